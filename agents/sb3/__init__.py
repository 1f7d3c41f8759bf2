"""Stable-Baselines3: its recurrent PPO with any memory, and any task as its VecEnv.

    from agents.sb3 import JaxVecEnv, MemoryRecurrentPPO

    env = JaxVecEnv("RepeatPreviousEasy-v0", num_envs=16)
    model = MemoryRecurrentPPO("MlpMemoryPolicy", env, policy_kwargs={"memory": "ffm"})
    model.learn(500_000)

Names are imported when they are used: torch and Stable-Baselines3 are an extra,
`pip install "engram-rl[sb3]"`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.sb3.policies import (
        CnnMemoryPolicy,
        MemoryRecurrentPolicy,
        MultiInputMemoryPolicy,
    )
    from agents.sb3.recurrent_ppo import MemoryRecurrentPPO
    from agents.sb3.vec_env import JaxVecEnv

__all__ = [
    "CnnMemoryPolicy",
    "JaxVecEnv",
    "MemoryRecurrentPPO",
    "MemoryRecurrentPolicy",
    "MultiInputMemoryPolicy",
]

_HOMES = {
    "CnnMemoryPolicy": "policies",
    "JaxVecEnv": "vec_env",
    "MemoryRecurrentPPO": "recurrent_ppo",
    "MemoryRecurrentPolicy": "policies",
    "MultiInputMemoryPolicy": "policies",
}
_EXTRA = ("torch", "stable_baselines3", "sb3_contrib")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    needs_extra()
    return getattr(importlib.import_module(f"agents.sb3.{_HOMES[name]}"), name)


def needs_extra() -> None:
    """Import what the extra holds.

    Raises:
        ModuleNotFoundError: something is missing, with the command that installs it.
    """
    for package in _EXTRA:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise ModuleNotFoundError(
                f"agents.sb3 needs {package}; install it with "
                'pip install "engram-rl[sb3]", or in a checkout '
                'pip install -c constraints.txt -e ".[sb3]".',
                name=package,
            ) from error
