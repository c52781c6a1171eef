"""Models that come as programs, looked through before they are opened."""
