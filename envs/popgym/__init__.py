"""The tasks of POPGym, at its three levels of difficulty (Morad et al. 2023)."""

from typing import Any

from envs.base import Environment
from envs.popgym.autoencode import Autoencode
from envs.popgym.concentration import Concentration
from envs.popgym.count_recall import CountRecall
from envs.popgym.higher_lower import HigherLower
from envs.popgym.repeat_first import RepeatFirst
from envs.popgym.repeat_previous import RepeatPrevious

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
    **_at_every_level("RepeatFirst", RepeatFirst, decks=(1, 8, 16)),
    **_at_every_level("RepeatPrevious", RepeatPrevious, decks=(1, 2, 3), k=(4, 32, 64)),
}
