"""Tasks written for gymnax, as tasks of this repository.

Gymnax tasks are pure functions too, but their `step` starts over by itself, so that the
last observation of an episode is lost. The adapter calls what lies beneath it.
"""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import PRNGKeyArray

from envs.base import Card, Environment, MemoryKind, Transition, float_dtype, unknown

_NO_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Gymnax(Environment):
    """A task of the gymnax package, or of a class with its interface.

    Auto-reset is bypassed: only `reset_env` and `step_env` are used. Where the task has
    `is_truncated` (gymnax 1.0), the flag of `step_env` is a termination, and the time
    limit is asked for beside it. Where it has none, its `done` says nothing about why:
    with `max_steps_in_episode` among its parameters an end that a task without the
    limit would have had, too, is a termination, and one at the limit a truncation, with
    its state still worth something; without it every end is a termination.

    What the task demands of memory is not known: all returns on its card are unknown,
    so runs end without a verdict.

    Attributes:
        name: an id of `gymnax.make`, or 'module:Class' of one's own.
        max_steps: time limit instead of the task's own, where it has one.
        memory: the kind of memory that it needs, for the card.
    """

    name: str = "CartPole-v1"
    max_steps: int | None = None
    memory: MemoryKind = "none"

    def __post_init__(self) -> None:
        if self.max_steps is not None:
            if self._own_limit is None:
                raise ValueError(
                    f"{self.name} has no max_steps_in_episode among its parameters, so "
                    "max_steps cannot change it; leave it null."
                )
            if not 1 <= self.max_steps < _NO_LIMIT:
                raise ValueError(
                    f"max_steps must be at least 1 and below 2**31 - 1, not "
                    f"{self.max_steps}."
                )

    @property
    def _task(self) -> tuple[Any, Any]:
        return _load(self.name)

    @property
    def _own_limit(self) -> int | None:
        limit = getattr(self._task[1], "max_steps_in_episode", None)
        return None if limit is None else int(limit)

    @property
    def _limit(self) -> int | None:
        return self.max_steps or self._own_limit

    def _limited(self, limit: int | None) -> Any:
        """The task's parameters with that limit, if it has one."""
        params = self._task[1]
        if limit is None or limit == self._own_limit:
            return params
        return params.replace(max_steps_in_episode=limit)

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """Start an episode; the state carries the number of steps taken."""
        task, _ = self._task
        with _lenient():
            observation, state = task.reset_env(key, self._limited(self._limit))
        fixed = jax.tree.map(_strong, state)
        return self._observed(observation), (fixed, jnp.zeros((), jnp.int32))

    def step(self, key: PRNGKeyArray, state: Any, action: Any) -> Transition:
        """Step without starting over."""
        task, _ = self._task
        inner, time = state
        with _lenient():
            step = functools.partial(task.step_env, key, inner, action)
            params, truncated = self._limited(self._limit), jnp.zeros((), bool)
            observation, after, reward, end, _ = step(params)
            after = jax.tree.map(
                lambda new, old: jnp.asarray(new, old.dtype), after, inner
            )
            if hasattr(task, "is_truncated"):
                truncated = jnp.asarray(task.is_truncated(after, params), bool)
            elif self._limit is not None:
                # A task may show the time that is left, so the limit is lifted for the
                # flag alone; compiled, what both share is computed once.
                end = step(self._limited(_NO_LIMIT))[3]
        terminated = jnp.asarray(end, bool)
        time = time + 1
        if self._limit is not None:
            truncated |= time >= self._limit
        return (
            self._observed(observation),
            (after, time),
            jnp.asarray(reward, float_dtype()).reshape(()),
            terminated,
            truncated,
            {},
        )

    def _observed(self, observation: Any) -> Any:
        space = self.observation_space

        def convert(space: gymnasium.Space, x: Any) -> Any:
            if isinstance(space, spaces.Dict):
                return {name: convert(part, x[name]) for name, part in space.items()}
            if isinstance(space, spaces.Tuple):
                return tuple(map(convert, space.spaces, x))
            dtype = space.dtype if isinstance(space, spaces.Box) else jnp.int32
            return jnp.asarray(x, dtype).reshape(space.shape or ())

        return convert(space, observation)

    @property
    def observation_space(self) -> gymnasium.Space:
        """The task's, as a Gymnasium space."""
        return _spaces(self.name)[0]

    @property
    def action_space(self) -> gymnasium.Space:
        """The task's, as a Gymnasium space."""
        return _spaces(self.name)[1]

    @property
    def card(self) -> Card:
        """Nothing is known about it."""
        why = "a task of another package, of which no return was derived"
        return Card(
            memory=self.memory,
            paper=f"gymnax, {self.name}",
            horizon=(0, 0),
            truncates=True,
            floor=unknown(why),
            memoryless=unknown(why),
            recall=unknown(why),
            oracle=unknown(why),
            max_episode_steps=self._limit,
            outside_memory=True,  # for all that is known
        )


@contextlib.contextmanager
def _lenient() -> Iterator[None]:
    """JAX's own promotion of types and ranks, which those tasks rely on."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@functools.cache
def _load(name: str) -> tuple[Any, Any]:
    """The task and its default parameters, whose arrays outlive any tracing."""
    module_name, colon, attribute = name.partition(":")
    with jax.ensure_compile_time_eval(), _lenient():
        if colon:
            task = _own(module_name, attribute)()
            return task, task.default_params
        try:
            gymnax = importlib.import_module("gymnax")
        except ModuleNotFoundError as error:
            if error.name != "gymnax":  # one of its own imports
                raise ValueError(f"gymnax cannot be imported: {error}.") from error
            raise ValueError(
                f"{name!r} is a task of the gymnax package, which is not installed; "
                "pip install gymnax, or name a class of your own as 'module:Class'."
            ) from error
        return gymnax.make(name)


def _own(module_name: str, attribute: str) -> Any:
    """A user's class with the interface of gymnax."""
    told = f"name={module_name}:{attribute}"
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(
            f"{told} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    target = getattr(module, attribute, None)
    if not (hasattr(target, "step_env") and hasattr(target, "reset_env")):
        raise ValueError(
            f"{told} is no class with the interface of gymnax, because it has no "
            "reset_env and step_env."
        )
    return target


@functools.cache
def _spaces(name: str) -> tuple[gymnasium.Space, gymnasium.Space]:
    """Of observations and of actions; their bounds are numbers even while tracing."""
    task, params = _load(name)
    with jax.ensure_compile_time_eval(), _lenient():
        found = task.observation_space(params), task.action_space(params)
        return _space(found[0]), _space(found[1])


def _strong(x: Any) -> jax.Array:
    """An array of a fixed dtype, from whatever a state holds."""
    x = jnp.asarray(x)
    return x.astype(x.dtype)


def _space(space: Any) -> gymnasium.Space:
    """A gymnax space as a Gymnasium space, told apart by what it has."""
    if isinstance(space, gymnasium.Space):
        return space
    if hasattr(space, "spaces"):
        if isinstance(space.spaces, Mapping):
            return spaces.Dict({k: _space(v) for k, v in space.spaces.items()})
        return spaces.Tuple([_space(part) for part in space.spaces])
    if hasattr(space, "n"):
        return spaces.Discrete(int(space.n))
    dtype = np.dtype(space.dtype)
    if dtype.itemsize == 8:  # what 32 bits make of it
        dtype = np.dtype(dtype.str[:-1] + "4")
    low, high = (
        np.broadcast_to(np.asarray(bound, dtype), space.shape)
        for bound in (space.low, space.high)
    )
    return spaces.Box(low, high, dtype=dtype.type)
