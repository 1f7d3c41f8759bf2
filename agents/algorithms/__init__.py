"""Algorithms, one file each, and the losses, optimiser and settings they share."""
