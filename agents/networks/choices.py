"""Discrete action spaces as one list of choices, for agents that value every action."""

import dataclasses
import math

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

MOST = 4096
"""Choices beyond which one value for each is not a sensible head."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """The actions of a Discrete or MultiDiscrete space, numbered from 0.

    Attributes:
        sizes: number of options of each part of an action.
        starts: the smallest option of each part.
        scalar: whether actions are scalars (Discrete) or vectors (MultiDiscrete).
    """

    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    scalar: bool

    @classmethod
    def of(cls, space: gymnasium.Space, agent: str) -> "Choices":
        """Those of an action space.

        Raises:
            ValueError: an action space without a list, or too long a one, with an
                agent that does.
        """
        if isinstance(space, gymnasium.spaces.Discrete):
            return cls((int(space.n),), (int(space.start),), True)
        several = isinstance(space, gymnasium.spaces.MultiDiscrete)
        if not several or space.nvec.ndim > 1:
            raise ValueError(
                f"agent={agent} values every action, so it needs Discrete or "
                f"MultiDiscrete actions, not {space}; use agent=ppo."
            )
        found = cls(
            tuple(int(n) for n in space.nvec), tuple(int(x) for x in space.start), False
        )
        if found.count > MOST:
            raise ValueError(
                f"agent={agent} values every action, and {space} has {found.count:,} "
                f"of them, more than {MOST:,}; use agent=ppo."
            )
        return found

    @property
    def count(self) -> int:
        """How many there are."""
        return math.prod(self.sizes)

    def action(self, number: Int[Array, "..."]) -> Int[Array, "..."]:
        """The action with a number."""
        parts = []
        for size, start in zip(self.sizes[::-1], self.starts[::-1], strict=True):
            parts.append((number % size + start).astype(jnp.int32))
            number = number // size
        return parts[0] if self.scalar else jnp.stack(parts[::-1], axis=-1)

    def number(self, action: Int[Array, "..."]) -> Int[Array, "..."]:
        """The number of an action."""
        if self.scalar:
            return action - self.starts[0]
        number = jnp.zeros(action.shape[:-1], jnp.int32)
        for i, (size, start) in enumerate(zip(self.sizes, self.starts, strict=True)):
            number = number * size + (action[..., i] - start)
        return number

    def allowed(
        self, mask: Bool[Array, "... options"] | None
    ) -> Bool[Array, "... count"] | None:
        """Which actions a mask over the options of every part allows."""
        if mask is None or self.scalar:
            return mask
        allowed = jnp.ones((*mask.shape[:-1], 1), bool)
        begin = 0
        for size in self.sizes:
            part = mask[..., begin : begin + size]
            allowed = allowed[..., :, None] & part[..., None, :]
            allowed = allowed.reshape(*mask.shape[:-1], -1)
            begin += size
        return allowed


def masked(
    values: Float[Array, "... count"], allowed: Bool[Array, "... count"] | None
) -> Float[Array, "... count"]:
    """Values with those of forbidden actions far below all others."""
    if allowed is None:
        return values
    return jnp.where(allowed, values, jnp.finfo(values.dtype).min)


def epsilon_greedy(
    values: Float[Array, "batch count"],
    allowed: Bool[Array, "batch count"] | None,
    epsilon: Float[Array, " batch"],
    *,
    key: Key[Array, " batch"],
) -> Int[Array, " batch"]:
    """The best action, or with probability `epsilon` any that is allowed."""
    best = masked(values, allowed).argmax(-1)

    def draw(key: Array, logits: Array) -> tuple[Array, Array]:
        which, whether = jax.random.split(key)
        return jax.random.categorical(which, logits), jax.random.uniform(whether)

    equal = masked(jnp.zeros_like(values), allowed)
    any_action, chance = jax.vmap(draw)(key, equal)
    return jnp.where(chance < epsilon, any_action, best)


def value_of(
    values: Float[Array, "... count"], number: Int[Array, "..."]
) -> Float[Array, "..."]:
    """The value of one choice each."""
    return jnp.take_along_axis(values, number[..., None], axis=-1)[..., 0]
