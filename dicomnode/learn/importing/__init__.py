"""Models made elsewhere become model folders: read without running any of theirs, then proven."""
