"""`check_env`: does a task keep the contract? For tasks of one's own, and for ours.

First everything that needs no compiling: parameters, spaces, card, shapes and dtypes
(in both precisions), purity. Then play (`envs.checking.play`): a few hundred episodes
of random actions and of the oracle's.
"""

import dataclasses
import inspect
import itertools
from typing import Any, ClassVar, get_origin

import jax
import numpy as np
from gymnasium import spaces

from envs.base import Card, Environment, Return
from envs.checking.play import check_play
from envs.checking.problem import CheckError, problem
from envs.checking.structure import check_optional_methods, check_pure, check_types
from envs.spaces import children

__all__ = ["CheckError", "check_env"]


def check_env(env: Any, *, episodes: int = 256, seed: int = 0) -> None:
    """Check a task against the contract of `envs.base`; a few seconds.

    Args:
        env: the task.
        episodes: how many are played at random and, where there is one, by the
            oracle, to compare their mean return with the card.
        seed: of that play.

    Raises:
        CheckError: the first violation found: what is wrong, why it matters, what to
            do.
    """
    _check_parameters(env)
    for role in ("observation_space", "action_space"):
        _check_space(env, role, getattr(env, role))
    _check_card(env)
    for double in (False, True):
        with jax.enable_x64(double):
            check_types(env, " under jax.enable_x64" if double else "")
    check_optional_methods(env)
    check_pure(env)
    check_play(env, episodes, seed)


def _check_parameters(env: Any) -> None:
    if not isinstance(env, Environment):
        raise problem(
            env,
            "is not an envs.Environment.",
            "Rollouts, agents and analysis rely on that contract.",
            "Subclass envs.Environment and pass an instance.",
        )
    fields = {field.name for field in dataclasses.fields(env)}
    for name, annotation in inspect.get_annotations(type(env)).items():
        if get_origin(annotation) is not ClassVar and name not in fields:
            raise problem(
                env,
                f"annotates {name!r}, which is not a field.",
                "A subclass of a dataclass must itself be one, or two tasks with "
                "different parameters count as equal and share compiled code.",
                "Decorate the class with @dataclasses.dataclass(frozen=True).",
            )
    try:
        hash(env)
    except TypeError as error:
        raise problem(
            env,
            f"cannot be hashed ({error}).",
            "Tasks are static arguments of compiled programs, which are looked up by "
            "hash.",
            "Make every field a number, a string or a tuple of them; build arrays "
            "and spaces in methods and properties.",
        ) from error


def _check_space(env: Environment, role: str, space: Any) -> None:
    parts = children(space)
    if parts is not None:
        for name, part in parts:
            _check_space(env, f"{role}[{name!r}]", part)
        return
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.Box):
        raise problem(
            env,
            f"has {role} {space!r}.",
            "Encoders and policies know Discrete, MultiDiscrete, Box, Dict and Tuple.",
            "Express it with these.",
        )
    if isinstance(space, spaces.Box) and np.dtype(space.dtype).itemsize == 8:
        raise problem(
            env,
            f"has {role} {space} with dtype {space.dtype}.",
            "Arrays have 32 bits unless jax_enable_x64 is set, so no element could "
            "lie in it.",
            "Give the Box dtype=numpy.float32 (or int32, uint8).",
        )


def _check_card(env: Environment) -> None:
    card = env.card
    if not isinstance(card, Card):
        raise problem(
            env,
            f"has card {card!r}.",
            "Plots and verdicts read the card.",
            "Return an envs.Card.",
        )
    names = ("floor", "memoryless", "recall", "oracle")
    for name in names:
        _check_return(env, name, getattr(card, name))
    known = [(name, getattr(card, name).value) for name in names]
    known = [(name, value) for name, value in known if value is not None]
    for (lower, low), (upper, high) in itertools.pairwise(known):
        if low > high + 1e-9:
            raise problem(
                env,
                f"has {lower} {low} above {upper} {high} on its card.",
                "Each of floor <= memoryless <= recall <= oracle may use all that the "
                "one before it may.",
                "Recompute them, or mark one envs.unknown(why).",
            )
    least, most = card.horizon
    longest = card.max_episode_steps
    if not 0 <= least <= most or (longest is not None and most > longest):
        raise problem(
            env,
            f"has horizon {card.horizon} with max_episode_steps {longest}.",
            "It counts steps between a cue and the action that uses it, fewest and "
            "most, within an episode.",
            "Correct the two numbers.",
        )
    memoryless, recall = card.memoryless.value, card.recall.value
    if card.memory == "none" or memoryless is None or recall is None:
        return
    if memoryless >= recall:
        raise problem(
            env,
            f"claims to need {card.memory!r} memory, but memoryless {memoryless} "
            f"reaches recall {recall}.",
            "Then no result on it can show memory.",
            "Set memory='none' on the card, or change the task.",
        )


def _check_return(env: Environment, name: str, value: Return) -> None:
    simulation = (value.episodes is not None) and (value.half_width is not None)
    honest = (value.value is None) == (value.how == "unknown")
    if not honest or simulation != (value.how == "simulated"):
        raise problem(
            env,
            f"has {name} {value} on its card.",
            "A return is known and says how, or is unknown and says why.",
            "Build it with envs.exact, envs.computed, envs.simulated or envs.unknown.",
        )
