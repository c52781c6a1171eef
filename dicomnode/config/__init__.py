"""Settings an administrator edits: the node, its peers and its pipelines."""
