"""What carries a network out: prepared images in, its numbers out."""
