"""Objects and what they were bound to: dances, names, boxes and rooms."""

from typing import Any

from envs.base import Environment
from envs.object_recall.ballet import Ballet
from envs.object_recall.object_permanence import ObjectPermanence
from envs.object_recall.rapid_word_learning import LEVELS, RapidWordLearning
from envs.object_recall.room_recall import RoomRecall

_BALLETS = {
    f"{dancers}Delay{delay}": {"dancers": dancers, "delay": delay, "max_steps": steps}
    for delay, steps in ((16, 320), (48, 1024))
    for dancers in (2, 4, 8)
}
"""The six levels of the paper."""

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "Ballet-v0": (Ballet, {}),
    "BalletSymbolic-v0": (Ballet, {"pixels": False}),
    **{f"Ballet{name}-v0": (Ballet, level) for name, level in _BALLETS.items()},
    **{
        f"BalletSymbolic{name}-v0": (Ballet, {**level, "pixels": False})
        for name, level in _BALLETS.items()
    },
    "RapidWordLearning-v0": (RapidWordLearning, {}),
    **{
        f"RapidWordLearning{name}-v0": (RapidWordLearning, parameters)
        for name, parameters in LEVELS.items()
    },
    "ObjectPermanence-v0": (ObjectPermanence, {}),
    "RoomRecall-v0": (RoomRecall, {}),
    "RoomRecallFirst-v0": (RoomRecall, {"question": "first"}),
    "RoomRecallLast-v0": (RoomRecall, {"question": "last"}),
    "RoomRecallWhere-v0": (RoomRecall, {"question": "where"}),
}
