"""What points at the images themselves: segments, presentation states, key objects."""
