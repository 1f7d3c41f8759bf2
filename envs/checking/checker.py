"""`check_env`: does a task keep the contract? For tasks of one's own, and for ours.

First everything that needs no compiling: parameters, spaces, card, shapes and dtypes
(in both precisions), purity. Then play (`envs.checking.play`): a few hundred episodes
of random actions and of the oracle's.
"""

import dataclasses
import inspect
from typing import Any, ClassVar, get_origin

import jax
import numpy as np
from gymnasium import spaces

from envs.base import Environment
from envs.checking.card import check_card
from envs.checking.play import check_play
from envs.checking.problem import CheckError, problem
from envs.checking.structure import check_optional_methods, check_pure, check_types
from envs.spaces import children

__all__ = ["CheckError", "check_env"]


def check_env(
    env: Any, *, episodes: int = 256, seed: int = 0, fast: bool = False
) -> None:
    """Check a task against the contract of `envs.base`; a few seconds.

    Args:
        env: the task.
        episodes: how many are played at random and, where there is one, by the
            oracle, to compare their mean return with the card.
        seed: of that play.
        fast: leave it at a second or two: fewer and shorter episodes, in the present
            precision alone, whose mean returns are not compared.

    Raises:
        CheckError: the first violation found: what is wrong, why it matters, what to
            do.
    """
    _check_parameters(env)
    for role in ("observation_space", "action_space"):
        _check_space(env, role, getattr(env, role))
    check_card(env)
    present = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    for double in (present,) if fast else (False, True):
        with jax.enable_x64(double):
            check_types(env, " under jax.enable_x64" if double else "")
    check_optional_methods(env)
    check_pure(env)
    if fast:
        check_play(env, _FAST_EPISODES, seed, _FAST_STEPS)
    else:
        check_play(env, episodes, seed)


_FAST_EPISODES = 32
_FAST_STEPS = 128


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
    for field in dataclasses.fields(env):
        value = getattr(env, field.name)
        try:
            hash(value)
        except TypeError as error:
            raise problem(
                env,
                f"holds {_told(value)} in its field {field.name!r}, so it cannot be "
                f"hashed ({error}).",
                "Tasks are static arguments of compiled programs, which are looked up "
                "by hash.",
                "Make every field a number, a string or a tuple of them; build arrays "
                "and spaces in methods and properties.",
            ) from error


def _told(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array, {value.dtype}{list(value.shape)},"
    return f"a {type(value).__name__}"


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
            role.partition("[")[0],
        )
    if isinstance(space, spaces.Box) and np.dtype(space.dtype).itemsize == 8:
        raise problem(
            env,
            f"has {role} {space} with dtype {space.dtype}.",
            "Arrays have 32 bits unless jax_enable_x64 is set, so no element could "
            "lie in it.",
            "Give the Box dtype=numpy.float32 (or int32, uint8).",
            role.partition("[")[0],
        )
