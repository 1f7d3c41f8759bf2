"""Observations that are blank: now and then, or until late ones arrive."""

import dataclasses
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import PRNGKeyArray

from envs.base import Card, Observation
from envs.partial.wrapper import Partial
from envs.spaces import children


@dataclasses.dataclass(frozen=True)
class _Blankable(Partial):
    """A task whose observation can be blank, which a flag beside it says.

    Observations are `{"observation": the task's, "visible": 0 or 1}`. A blank one is
    zero, or the nearest number to it that its space contains; `visible` tells it from a
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
        low, high = _bounds(space)
        value = np.clip(np.zeros(like.shape), low, np.maximum(low, high))
        return jnp.asarray(value, like.dtype)
    found = {name: _nothing(part, like[name]) for name, part in parts}
    return found if isinstance(space, spaces.Dict) else tuple(found.values())


def _bounds(space: gymnasium.Space) -> tuple[Any, Any]:
    if isinstance(space, spaces.Box):
        return space.low, space.high
    low = getattr(space, "start", 0)
    return low, low + getattr(space, "nvec", getattr(space, "n", 1)) - 1


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
