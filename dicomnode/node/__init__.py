"""The stages joined into a running node."""
