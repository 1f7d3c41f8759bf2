"""Wrappers that make any task partial: keys dropped, flicker, noise, delay.

Each is a task around a task. State, rewards, ends, oracle and pictures are the inner
task's, so random play and the oracle return what they did; what the best policies with
and without memory return changes, and is unknown in general.
"""

import abc
import dataclasses
from typing import Any, Literal, NamedTuple, cast

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import PRNGKeyArray

from envs.base import Card, Environment, Observation, State, Transition, unknown
from envs.spaces import children


class PartialState(NamedTuple):
    """The inner task's state, and what the wrapper keeps.

    Attributes:
        inner: state of the task.
        kept: past observations, oldest first, for `Delayed`; nothing for the others.
    """

    inner: State
    kept: Any


@dataclasses.dataclass(frozen=True)
class Partial(Environment):
    """`env`, of which less is seen; subclasses say what.

    Attributes:
        env: the task.
    """

    env: Environment

    @abc.abstractmethod
    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        """The first observation as it is seen, and what to keep."""

    @abc.abstractmethod
    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        """A later observation as it is seen, and what to keep."""

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, PartialState]:
        """Start the task, and see less of it."""
        task_key, own_key = jax.random.split(key)
        return self._first(own_key, self.env.reset(task_key))

    def _first(self, key: PRNGKeyArray, start: Any) -> tuple[Any, PartialState]:
        observation, inner = start
        seen, kept = self._begin(key, observation)
        return seen, PartialState(inner, kept)

    def step(self, key: PRNGKeyArray, state: PartialState, action: Any) -> Transition:
        """Step the task, and see less of it."""
        task_key, own_key = jax.random.split(key)
        observation, inner, *rest = self.env.step(task_key, state.inner, action)
        seen, kept = self._see(own_key, state.kept, observation)
        return cast(Transition, (seen, PartialState(inner, kept), *rest))

    # What the task leaves out stays left out, so these are values, not methods. -----

    @property
    def oracle(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own."""
        inner = self.env.oracle
        return inner and (lambda key, state: inner(key, state.inner))

    @property
    def hidden(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own."""
        inner = self.env.hidden
        return inner and (lambda state: inner(state.inner))

    @property
    def render(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own: the scene as the task shows it."""
        inner = self.env.render
        return inner and (lambda state: inner(state.inner))

    @property
    def action_mask(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own."""
        inner = self.env.action_mask
        return inner and (lambda state: inner(state.inner))

    @property
    def next_episode(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own, seen like any start."""
        inner = self.env.next_episode

        def start(key: PRNGKeyArray, state: PartialState) -> Any:
            task_key, own_key = jax.random.split(key)
            return self._first(own_key, inner(task_key, state.inner))

        return inner and start

    @property
    def observation_space(self) -> gymnasium.Space:
        """The task's, where the wrapper does not change it."""
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        """The task's."""
        return self.env.action_space

    def _card(self, kind: Literal["sequential", "filtering"], horizon: Any) -> Card:
        card = self.env.card
        why = f"not derived for {type(self).__name__}, which shows less than the task"
        return dataclasses.replace(
            card,
            memory=kind if card.memory == "none" else card.memory,
            horizon=horizon,
            memoryless=unknown(why),
            recall=unknown(why),
        )

    def _to_the_end(self) -> tuple[int, int]:
        """A horizon: from the task's least to nearly the whole episode."""
        card = self.env.card
        least, most = card.horizon
        return least, max(most, (card.max_episode_steps or 2) - 1)


@dataclasses.dataclass(frozen=True)
class WithoutKeys(Partial):
    """A Dict observation without some of its keys.

    Attributes:
        env: the task.
        keys: what to leave out.
    """

    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))
        space = self.env.observation_space
        if not isinstance(space, spaces.Dict):
            raise ValueError(
                f"there are no keys to drop: the task observes {space}, not a Dict."
            )
        missing = [key for key in self.keys if key not in space.spaces]
        if missing or len(self.keys) >= len(space.spaces):
            raise ValueError(
                f"cannot drop {', '.join(missing or self.keys)}: the task observes "
                f"{', '.join(space.spaces)}, of which at least one must remain."
            )

    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        return self._see(key, (), observation)

    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        del key
        seen = {k: v for k, v in observation.items() if k not in self.keys}
        return seen, kept

    @property
    def observation_space(self) -> gymnasium.Space:
        """The keys that remain."""
        space = cast(spaces.Dict, self.env.observation_space)
        rest = {k: v for k, v in space.spaces.items() if k not in self.keys}
        return spaces.Dict(rest)

    @property
    def card(self) -> Card:
        """What was observed must be remembered or inferred."""
        return self._card("filtering", self._to_the_end())


@dataclasses.dataclass(frozen=True)
class _Blankable(Partial):
    """A task whose observation can be blank, which a flag beside it says.

    Observations are `{"observation": the task's, "visible": 0 or 1}`. A blank one is
    zero, or the nearest number to it that its Box contains; `visible` tells it from a
    real zero.
    """

    def _shown(self, observation: Any) -> dict[str, Any]:
        return {"observation": observation, "visible": jnp.ones((), jnp.int32)}

    def _blank(self, like: Any) -> dict[str, Any]:
        nothing = _nothing(self.env.observation_space, like)
        return {"observation": nothing, "visible": jnp.zeros((), jnp.int32)}

    @property
    def observation_space(self) -> gymnasium.Space:
        """The task's observation, and whether it is on show."""
        inner = self.env.observation_space
        return spaces.Dict({"observation": inner, "visible": spaces.Discrete(2)})


def _nothing(space: gymnasium.Space, like: Any) -> Any:
    parts = children(space)
    if parts is None:
        low = getattr(space, "low", getattr(space, "start", 0))
        high = getattr(space, "high", np.inf)
        value = np.clip(np.zeros(like.shape), low, np.maximum(low, high))
        return jnp.asarray(value, like.dtype)
    found = {name: _nothing(part, like[name]) for name, part in parts}
    return found if isinstance(space, spaces.Dict) else tuple(found.values())


@dataclasses.dataclass(frozen=True)
class Flicker(_Blankable):
    """Observations that are blank now and then (Hausknecht & Stone 2015).

    Each observation, the first included, is blank with `probability`, independently
    of all others.

    Attributes:
        env: the task.
        probability: of a blank.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise ValueError(
                "flicker needs a probability between 0 (nothing changes) and 1 "
                f"(nothing is seen), both excluded; not {self.probability}."
            )

    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        return self._see(key, (), observation)

    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        blank = jax.random.bernoulli(key, self.probability)
        pair = self._blank(observation), self._shown(observation)
        return jax.tree.map(lambda a, b: jnp.where(blank, a, b), *pair), kept

    @property
    def card(self) -> Card:
        """The last things seen stand in for what is blank."""
        return self._card("filtering", self._to_the_end())


@dataclasses.dataclass(frozen=True)
class Delayed(_Blankable):
    """Observations that arrive late; blank until the first one does.

    Attributes:
        env: the task.
        steps: by which they are late.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 10_000:
            raise ValueError(
                f"delay needs at least 1 step and at most 10,000, not {self.steps}."
            )

    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        del key
        blank, first = self._blank(observation), self._shown(observation)
        kept = jax.tree.map(
            lambda a, b: jnp.concatenate(
                [jnp.broadcast_to(a, (self.steps - 1, *a.shape)), b[None]]
            ),
            blank,
            first,
        )
        return blank, kept

    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        del key
        seen = jax.tree.map(lambda x: x[0], kept)
        shown = self._shown(observation)
        kept = jax.tree.map(
            lambda x, new: jnp.concatenate([x[1:], new[None]]), kept, shown
        )
        return seen, kept

    @property
    def card(self) -> Card:
        """Own actions since then say what has become of what is seen."""
        card = self.env.card
        limit = card.max_episode_steps
        late = [
            steps + self.steps if limit is None else min(steps + self.steps, limit)
            for steps in card.horizon
        ]
        return self._card("sequential", tuple(late))


@dataclasses.dataclass(frozen=True)
class Noisy(Partial):
    """Normal noise on every floating number observed, clipped to the space.

    Attributes:
        env: the task.
        sigma: standard deviation.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise ValueError(
                f"noise needs a standard deviation above 0 and finite, not "
                f"{self.sigma}."
            )
        if not _floats(self.env.observation_space):
            raise ValueError(
                f"there is nothing to add noise to: the task observes "
                f"{self.env.observation_space}, without floating numbers."
            )

    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        return self._see(key, (), observation)

    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        return self._disturbed(self.env.observation_space, key, observation), kept

    def _disturbed(self, space: gymnasium.Space, key: PRNGKeyArray, x: Any) -> Any:
        parts = children(space)
        if parts is None:
            if not _floats(space):
                return x
            noise = self.sigma * jax.random.normal(key, x.shape, x.dtype)
            box = cast(spaces.Box, space)
            return jnp.clip(x + noise, jnp.asarray(box.low), jnp.asarray(box.high))
        keys = jax.random.split(key, len(parts))
        found = {
            name: self._disturbed(part, k, x[name])
            for (name, part), k in zip(parts, keys, strict=True)
        }
        return found if isinstance(space, spaces.Dict) else tuple(found.values())

    @property
    def card(self) -> Card:
        """All observations so far say something of the state now."""
        return self._card("filtering", self._to_the_end())


def _floats(space: gymnasium.Space) -> bool:
    """Whether an observation holds floating numbers anywhere."""
    parts = children(space)
    if parts is not None:
        return any(_floats(part) for _, part in parts)
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)


def make_partial(
    env: Environment,
    *,
    drop: tuple[str, ...] = (),
    noise: float = 0.0,
    flicker: float = 0.0,
    delay: int = 0,
) -> Environment:
    """`env` with less on show; whatever is left at its default changes nothing.

    Args:
        env: any task.
        drop: keys of a Dict observation to leave out.
        noise: standard deviation of normal noise on floating numbers.
        flicker: probability that an observation is blank.
        delay: steps by which observations are late.

    Raises:
        ValueError: the task has no such key, nothing to add noise to, or a number is
            out of range.
    """
    if drop:
        env = WithoutKeys(env, drop)
    if noise:
        env = Noisy(env, noise)
    if flicker:
        env = Flicker(env, flicker)
    if delay:
        env = Delayed(env, delay)
    return env
