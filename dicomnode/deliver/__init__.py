"""Results leave for the peers they are owed to."""
