"""Pages for people: one module for each, made from `templates/`."""
