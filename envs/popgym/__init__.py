"""The tasks of POPGym, at its three levels of difficulty (Morad et al. 2023)."""

from typing import Any

from envs.base import Environment
from envs.popgym.control.cartpole import CartPole
from envs.popgym.control.pendulum import Pendulum
from envs.popgym.diagnostic.autoencode import Autoencode
from envs.popgym.diagnostic.count_recall import CountRecall
from envs.popgym.diagnostic.repeat_first import RepeatFirst
from envs.popgym.diagnostic.repeat_previous import RepeatPrevious
from envs.popgym.games.battleship import Battleship
from envs.popgym.games.concentration import Concentration
from envs.popgym.games.higher_lower import HigherLower
from envs.popgym.games.minesweeper import MineSweeper
from envs.popgym.multiarmed_bandit import MultiarmedBandit
from envs.popgym.navigation.labyrinth_escape import LabyrinthEscape
from envs.popgym.navigation.labyrinth_explore import LabyrinthExplore

LEVELS = ("Easy", "Medium", "Hard")


def _at_every_level(
    name: str, target: type[Environment], **parameters: tuple[Any, Any, Any]
) -> dict[str, tuple[type[Environment], dict[str, Any]]]:
    """Three ids; each parameter is given for every level."""
    rows = zip(*parameters.values(), strict=True)
    return {
        f"{name}{level}-v0": (target, dict(zip(parameters, row, strict=True)))
        for level, row in zip(LEVELS, rows, strict=True)
    }


_VELOCITIES = ("velocities", "velocities", "velocities")
_LONGER, _NOISIER = (200, 400, 600), (0.1, 0.2, 0.3)

TASKS = {
    **_at_every_level("Autoencode", Autoencode, decks=(1, 2, 3)),
    **_at_every_level(
        "Concentration",
        Concentration,
        decks=(1, 2, 1),
        kind=("colours", "colours", "ranks"),
    ),
    **_at_every_level(
        "CountRecall",
        CountRecall,
        decks=(1, 2, 4),
        kind=("colours", "suits", "ranks"),
    ),
    **_at_every_level("HigherLower", HigherLower, decks=(1, 2, 3)),
    **_at_every_level("PositionOnlyCartPole", CartPole, steps=_LONGER),
    **_at_every_level(
        "VelocityOnlyCartPole", CartPole, observed=_VELOCITIES, steps=_LONGER
    ),
    **_at_every_level("NoisyPositionOnlyCartPole", CartPole, sigma=_NOISIER),
    **_at_every_level("PositionOnlyPendulum", Pendulum, steps=(200, 150, 100)),
    **_at_every_level("NoisyPositionOnlyPendulum", Pendulum, sigma=_NOISIER),
    **_at_every_level(
        "MultiarmedBandit", MultiarmedBandit, arms=(10, 20, 30), steps=_LONGER
    ),
    **_at_every_level("Battleship", Battleship, size=(8, 10, 12)),
    **_at_every_level("MineSweeper", MineSweeper, size=(4, 6, 8), mines=(2, 6, 10)),
    **_at_every_level("LabyrinthEscape", LabyrinthEscape, size=(10, 14, 18)),
    **_at_every_level("LabyrinthExplore", LabyrinthExplore, size=(10, 14, 18)),
    **_at_every_level("RepeatFirst", RepeatFirst, decks=(1, 8, 16)),
    **_at_every_level("RepeatPrevious", RepeatPrevious, decks=(1, 2, 3), k=(4, 32, 64)),
}
