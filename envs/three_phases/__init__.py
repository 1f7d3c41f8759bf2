"""Explore, collect apples, be paid: the tasks of Temporal Value Transport."""

from typing import Any

from envs.base import Environment
from envs.three_phases.key_to_door import KeyToDoor
from envs.three_phases.visual_match import VisualMatch

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "PassiveVisualMatch-v0": (VisualMatch, {}),
    "ActiveVisualMatch-v0": (VisualMatch, {"active": True}),
    "KeyToDoor-v0": (KeyToDoor, {}),
}
