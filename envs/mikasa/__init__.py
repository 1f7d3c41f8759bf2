"""Tasks of MIKASA-Base that no other family here has."""

from typing import Any

from envs.base import Environment
from envs.mikasa.memory_cards import MemoryCards
from envs.mikasa.numpad import Numpad

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "MemoryCardsEasy-v0": (MemoryCards, {"pairs": 5}),
    "MemoryCardsMedium-v0": (MemoryCards, {"pairs": 10}),
    "MemoryCardsHard-v0": (MemoryCards, {"pairs": 30}),
    "Numpad-v0": (Numpad, {}),
}
