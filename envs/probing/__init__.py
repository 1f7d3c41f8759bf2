"""Probes: tiny tasks of known value, on which agents are tested."""

from typing import Any

from envs.base import Environment
from envs.probing.probe import KINDS, Probe


def _id(kind: str) -> str:
    return f"Probe{''.join(word.capitalize() for word in kind.split('_'))}-v0"


TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    _id(kind): (Probe, {"kinds": (kind,)}) for kind in KINDS
}
