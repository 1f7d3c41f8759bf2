"""Chains: steps that run off by themselves, to watch, wait and answer."""

from typing import Any

from envs.base import Environment
from envs.chains.discounting_chain import DiscountingChain
from envs.chains.memory_chain import LENGTHS, SIZES, MemoryChain
from envs.chains.n_back import NBack
from envs.chains.sequence_order import SequenceOrder
from envs.chains.umbrella_chain import SETTINGS, UmbrellaChain

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "MemoryChain-v0": (MemoryChain, {}),
    **{f"MemoryLength{n}-v0": (MemoryChain, {"length": n, "bits": 1}) for n in LENGTHS},
    **{f"MemorySize{n}-v0": (MemoryChain, {"length": 2, "bits": n}) for n in SIZES},
    "NBack-v0": (NBack, {}),
    "SequenceOrder-v0": (SequenceOrder, {}),
    "UmbrellaChain-v0": (UmbrellaChain, {}),
    **{
        f"UmbrellaLength{n}-v0": (UmbrellaChain, {"length": n, "distractors": 20})
        for n in SETTINGS
    },
    **{
        f"UmbrellaDistract{n}-v0": (UmbrellaChain, {"length": 20, "distractors": n})
        for n in SETTINGS
    },
    "DiscountingChain-v0": (DiscountingChain, {}),
}
