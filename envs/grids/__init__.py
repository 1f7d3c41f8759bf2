"""Grids seen from where the agent stands."""

from typing import Any

from envs.base import Environment
from envs.grids.memory import MiniGridMemory

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "MiniGridMemory-v0": (MiniGridMemory, {}),
    **{
        f"MiniGridMemoryS{size}-v0": (MiniGridMemory, {"size": size})
        for size in (7, 9, 11, 13, 17)
    },
}
