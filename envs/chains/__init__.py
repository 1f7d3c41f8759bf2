"""Chains: bits shown at the start are asked for at the end."""

from typing import Any

from envs.base import Environment
from envs.chains.memory_chain import LENGTHS, SIZES, MemoryChain

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "MemoryChain-v0": (MemoryChain, {}),
    **{f"MemoryLength{n}-v0": (MemoryChain, {"length": n, "bits": 1}) for n in LENGTHS},
    **{f"MemorySize{n}-v0": (MemoryChain, {"length": 2, "bits": n}) for n in SIZES},
}
