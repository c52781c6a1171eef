"""How the shipped demonstration model comes to be."""
