"""What episodes consist of: places, paths, phases and their lengths, outcomes."""
