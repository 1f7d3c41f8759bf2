"""From words on the command line to tasks, memories and agents."""
