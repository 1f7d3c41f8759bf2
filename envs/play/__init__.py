"""Playing tasks by hand; see `python -m envs.play --help`."""
