"""The checks behind `envs.check_env`."""
