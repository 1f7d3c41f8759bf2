"""Robot tasks by group, one file each."""
