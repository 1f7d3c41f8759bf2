"""Everything around an agent while it runs: configuration, loop, files, devices."""
