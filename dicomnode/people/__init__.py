"""Who may use the page, and with which keys: rows in the same database as the worklist's."""
