"""Numpy Gymnasium environments as tasks: described here, stepped on the host."""

from envs.host.guard import HostError
from envs.host.task import HostTask, blank, map_space
from envs.host.vector import HostStep, HostVector, spread_seeds

__all__ = [
    "HostError",
    "HostStep",
    "HostTask",
    "HostVector",
    "blank",
    "map_space",
    "spread_seeds",
]
