"""Tasks seen as pictures, with twins in which nothing is hidden.

Every id of the tasks below has one more with `Pixels` before its version:
`AutoencodeEasy-v0` is also `AutoencodeEasyPixels-v0`.
"""

from typing import Any

from envs import grids, mazes, popgym
from envs.base import Environment
from envs.grids.memory import MiniGridMemory
from envs.mazes.tmaze import TMaze
from envs.pixels import board_faces, card_faces, cartpole_faces, maze_faces
from envs.pixels.pixels import Face, Pixels, pixels_of
from envs.popgym.control.cartpole import CartPole
from envs.popgym.diagnostic.autoencode import Autoencode
from envs.popgym.diagnostic.count_recall import CountRecall
from envs.popgym.games.battleship import Battleship
from envs.popgym.games.concentration import Concentration
from envs.popgym.games.minesweeper import MineSweeper
from envs.popgym.navigation.labyrinth_escape import LabyrinthEscape
from envs.popgym.navigation.labyrinth_explore import LabyrinthExplore

__all__ = ["TASKS", "Face", "Pixels", "pixels_of"]

_LABYRINTH = Face(maze_faces.labyrinth, draws_action=True, side=maze_faces.square_side)
FACES: dict[type[Environment], Face] = {
    Autoencode: Face(card_faces.autoencode, side=card_faces.listed_side),
    Battleship: Face(
        board_faces.battleship, draws_action=True, side=board_faces.cell_side
    ),
    CartPole: Face(cartpole_faces.cartpole, best=cartpole_faces.best),
    Concentration: Face(card_faces.concentration, side=card_faces.card_side),
    CountRecall: Face(card_faces.count_recall, side=card_faces.pip_side),
    LabyrinthEscape: _LABYRINTH,
    LabyrinthExplore: _LABYRINTH,
    MineSweeper: Face(
        board_faces.minesweeper, draws_action=True, side=board_faces.cell_side
    ),
    MiniGridMemory: Face(maze_faces.minigrid_memory, side=maze_faces.square_side),
    TMaze: Face(maze_faces.tmaze),
}
_CLASSES = {target: pixels_of(target, face) for target, face in FACES.items()}

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    id.replace("-v", "Pixels-v"): (_CLASSES[target], parameters)
    for family in (mazes, grids, popgym)
    for id, (target, parameters) in family.TASKS.items()
    if target in _CLASSES
}
