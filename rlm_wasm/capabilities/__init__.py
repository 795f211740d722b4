"""What a guest may ask for, one capability a file; a session's table holds what was granted."""
