"""What people did, who called, and how the node stood: rows beside the worklist's, not of it."""
