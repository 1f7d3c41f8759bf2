"""Unknown maps: explore, remember, and plan the shortest way."""

from typing import Any

from envs.base import Environment
from envs.planning.memory_planning_game import MemoryPlanningGame

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "MemoryPlanningGame-v0": (MemoryPlanningGame, {}),
}
