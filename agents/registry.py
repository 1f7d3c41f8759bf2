"""Agents by name."""

import dataclasses
from typing import Any

from agents.algorithms.dqn import DQN
from agents.algorithms.ppo import PPO
from agents.algorithms.pqn import PQN
from agents.algorithms.sac import SAC
from agents.algorithms.settings import check_parts
from agents.convert import nearest
from agents.sb3.off_policy import SB3DQN
from agents.sb3.on_policy import SB3PPO, SB3RecurrentPPO

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
    if not isinstance(name, str):
        raise KeyError(f"an agent's name is text, such as 'ppo', not {name!r}.")
    if name not in _REGISTRY:
        hint = nearest(name, _REGISTRY)
        raise KeyError(f"there is no agent {name!r}.{hint} See agents.names().")
    return _REGISTRY[name]


def make(name: str, **settings: Any) -> Any:
    """Build an agent; `env` and `memory` are needed, other settings have defaults.

    Raises:
        KeyError: no such agent; the message names the nearest one.
        ValueError: no such setting, something missing, or a value that is refused.
    """
    target = lookup(name)
    known = [field.name for field in dataclasses.fields(target)]
    for setting in settings:
        if setting not in known:
            hint = nearest(setting, known)
            raise ValueError(f"agent {name!r} has no setting {setting!r}.{hint}")
    parts = {"env": "task, from envs.make", "memory": "memory_models.builder"}
    for part, kind in parts.items():
        if part not in settings:
            raise ValueError(f"agent {name!r} needs {part}=, a {kind}.")
    check_parts(settings["env"], settings["memory"])
    return target(**settings)


register("dqn", DQN)
register("ppo", PPO)
register("pqn", PQN)
register("sac", SAC)
register("sb3_dqn", SB3DQN)
register("sb3_ppo", SB3PPO)
register("sb3_recurrent_ppo", SB3RecurrentPPO)
