"""What was bound to what: names, boxes and rooms, and the objects that go with them."""

from typing import Any

from envs.base import Environment
from envs.object_recall.object_permanence import ObjectPermanence
from envs.object_recall.rapid_word_learning import LEVELS, RapidWordLearning
from envs.object_recall.room_recall import RoomRecall

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
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
