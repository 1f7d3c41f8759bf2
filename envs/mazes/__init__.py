"""T-mazes: a cue seen at the start says where to turn at the end."""

from typing import Any

from envs.base import Environment
from envs.mazes.bakker_tmaze import BakkerTMaze
from envs.mazes.tmaze import TMaze
from envs.mazes.tmaze_noisy import TMazeNoisy
from envs.mazes.tmaze_places import TMazePlaces

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "TMaze-v0": (TMaze, {}),
    "TMazeActive-v0": (TMaze, {"active": True}),
    "TMazeNoisy-v0": (TMazeNoisy, {}),
    "TMazePlaces-v0": (TMazePlaces, {}),
    "BakkerTMaze-v0": (BakkerTMaze, {}),
}
