"""Less in every observation: keys left out, or noise on numbers."""

import dataclasses
from typing import Any, cast

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
