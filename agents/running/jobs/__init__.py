"""A run as a job of a machine: signals, the queue, the other processes of it."""
