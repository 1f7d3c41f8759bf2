"""A pole on a cart and a pendulum, seen in part: POPGym's control and noisy tasks."""
