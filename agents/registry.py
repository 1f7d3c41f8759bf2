"""Agents by name."""

from typing import Any

from agents.convert import nearest
from agents.ppo import PPO

_REGISTRY: dict[str, Any] = {}


def register(name: str, target: Any) -> None:
    """Register an agent class (a frozen dataclass with fields env and memory).

    Raises:
        ValueError: the name is taken.
    """
    if _REGISTRY.get(name, target) is not target:
        raise ValueError(f"agent name {name!r} is taken; choose another name.")
    _REGISTRY[name] = target


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_REGISTRY)


def lookup(name: str) -> Any:
    """The registered class.

    Raises:
        KeyError: no such name; the message gives the nearest one.
    """
    if name not in _REGISTRY:
        hint = nearest(name, _REGISTRY)
        raise KeyError(f"there is no agent {name!r}.{hint} See agents.names().")
    return _REGISTRY[name]


def make(name: str, **settings: Any) -> Any:
    """Build an agent; `env` and `memory` are needed, other settings have defaults."""
    return lookup(name)(**settings)


register("ppo", PPO)
