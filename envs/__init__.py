"""Tasks that need memory, and the vectoriser that runs many streams of one.

    env = envs.make("TMaze-v0", length=20)
    batch = envs.VectorEnv(env, num_envs=1024)

Importing this package registers the tasks here and, as `engram/<id>`, in Gymnasium.
"""

from envs import (
    bandits,
    chains,
    grids,
    mazes,
    mikasa,
    object_recall,
    pixels,
    planning,
    popgym,
    probing,
    robot,
    three_phases,
)
from envs._siblings import check_siblings
from envs.base import (
    Card,
    Environment,
    Return,
    computed,
    exact,
    simulated,
    unknown,
)
from envs.checking.checker import CheckError, check_env
from envs.gymnax_api import Gymnax
from envs.host import HostError, HostTask
from envs.partial import make_partial
from envs.registry import config_name, make, names, register
from envs.vector import Step, VectorEnv, VectorState

__all__ = [
    "Card",
    "CheckError",
    "Environment",
    "Gymnax",
    "HostError",
    "HostTask",
    "Return",
    "Step",
    "VectorEnv",
    "VectorState",
    "check_env",
    "computed",
    "config_name",
    "exact",
    "make",
    "make_partial",
    "names",
    "register",
    "simulated",
    "unknown",
]

check_siblings(__file__, ("agents", "memory_models"))

FAMILIES = (
    mazes,
    chains,
    grids,
    bandits,
    planning,
    mikasa,
    three_phases,
    object_recall,
    popgym,
    pixels,
    probing,
    robot,
)
for _family in FAMILIES:
    for _id, (_target, _parameters) in _family.TASKS.items():
        register(_id, _target, **_parameters)
