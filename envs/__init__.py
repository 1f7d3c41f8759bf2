"""Tasks that need memory, and the vectoriser that runs many streams of one.

    env = envs.make("TMaze-v0", length=20)
    batch = envs.VectorEnv(env, num_envs=1024)

Importing this package registers the tasks here and, as `engram/<id>`, in Gymnasium.
"""

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
from envs.checker import CheckError, check_env
from envs.memory_chain import LENGTHS, SIZES, MemoryChain
from envs.probes import KINDS, Probe
from envs.registry import config_name, make, names, register
from envs.repeat_first import RepeatFirst
from envs.repeat_previous import RepeatPrevious
from envs.tmaze import TMaze
from envs.tmaze_noisy import TMazeNoisy
from envs.tmaze_places import TMazePlaces
from envs.vector import Step, VectorEnv, VectorState

__all__ = [
    "Card",
    "CheckError",
    "Environment",
    "Return",
    "Step",
    "VectorEnv",
    "VectorState",
    "check_env",
    "computed",
    "config_name",
    "exact",
    "make",
    "names",
    "register",
    "simulated",
    "unknown",
]

check_siblings(__file__, ("agents", "memory_models"))

register("TMaze-v0", TMaze)
register("TMazeActive-v0", TMaze, active=True)
register("TMazeNoisy-v0", TMazeNoisy)
register("TMazePlaces-v0", TMazePlaces)
register("MemoryChain-v0", MemoryChain)
for _length in LENGTHS:
    register(f"MemoryLength{_length}-v0", MemoryChain, length=_length, bits=1)
for _bits in SIZES:
    register(f"MemorySize{_bits}-v0", MemoryChain, length=2, bits=_bits)
for _level, _decks in (("Easy", 1), ("Medium", 8), ("Hard", 16)):
    register(f"RepeatFirst{_level}-v0", RepeatFirst, decks=_decks)
for _level, _decks, _k in (("Easy", 1, 4), ("Medium", 2, 32), ("Hard", 3, 64)):
    register(f"RepeatPrevious{_level}-v0", RepeatPrevious, decks=_decks, k=_k)
for _kind in KINDS:
    _name = "".join(word.capitalize() for word in _kind.split("_"))
    register(f"Probe{_name}-v0", Probe, kinds=(_kind,))
