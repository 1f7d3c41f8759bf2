"""Gymnasium spaces on the device: sampling and membership as pure functions."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, PRNGKeyArray

Leaf = spaces.Discrete | spaces.MultiDiscrete | spaces.Box
"""The spaces that tasks may use, alone or inside Dict and Tuple."""


def children(space: gymnasium.Space) -> list[tuple[Any, gymnasium.Space]] | None:
    """Keys and subspaces of a Dict or Tuple; None for any other space."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return list(enumerate(space.spaces))
    return None


def leaf_shape(space: Leaf) -> tuple[int, ...]:
    """The shape of an element of a leaf space; () for Discrete."""
    return tuple(space.shape or ())


def sample(
    space: gymnasium.Space,
    key: PRNGKeyArray,
    mask: Bool[Array, " actions"] | None = None,
) -> Any:
    """Draw a uniformly random element of `space`.

    Args:
        space: unbounded sides of a Box fall back to a standard normal.
        key: the source of randomness.
        mask: elements allowed, for Discrete and MultiDiscrete (concatenated).

    Returns:
        Arrays of int32 or of the Box's own dtype.

    Raises:
        TypeError: a kind of space that tasks cannot use.
    """
    parts = children(space)
    if parts is not None:
        keys = jax.random.split(key, len(parts))
        drawn = [sample(part, k) for (_, part), k in zip(parts, keys, strict=True)]
        if isinstance(space, spaces.Dict):
            return dict(zip(space.spaces, drawn, strict=True))
        return tuple(drawn)
    if isinstance(space, spaces.Discrete):
        if mask is not None:
            return _masked(key, mask) + jnp.int32(int(space.start))
        low = int(space.start)
        return jax.random.randint(key, (), low, low + int(space.n), jnp.int32)
    if isinstance(space, spaces.MultiDiscrete):
        return _sample_multi(space, key, mask)
    if isinstance(space, spaces.Box):
        return _sample_box(space, key)
    raise TypeError(f"cannot sample from {space}: {_SUPPORTED}")


_SUPPORTED = "tasks use Discrete, MultiDiscrete, Box, Dict and Tuple spaces."


def _masked(key: PRNGKeyArray, mask: Bool[Array, " actions"]) -> Array:
    logits = jnp.where(mask, 0.0, -jnp.inf)
    return jax.random.categorical(key, logits).astype(jnp.int32)


def _sample_multi(
    space: spaces.MultiDiscrete, key: PRNGKeyArray, mask: Array | None
) -> Array:
    sizes = np.asarray(space.nvec)
    start = np.asarray(space.start).astype(np.int32)
    if mask is None:
        high = start + sizes.astype(np.int32)
        return jax.random.randint(key, sizes.shape, start, high, jnp.int32)
    ends = np.cumsum(sizes.ravel())[:-1]
    keys = jax.random.split(key, sizes.size)
    parts = [_masked(k, m) for k, m in zip(keys, jnp.split(mask, ends), strict=True)]
    return jnp.stack(parts).reshape(sizes.shape) + start


def _sample_box(space: spaces.Box, key: PRNGKeyArray) -> Array:
    shape = leaf_shape(space)
    if np.issubdtype(space.dtype, np.integer):
        low, high = space.low.astype(np.int64), space.high.astype(np.int64) + 1
        drawn = jax.random.randint(
            key, shape, low.astype(np.int32), high.astype(np.int32), jnp.int32
        )
        return drawn.astype(space.dtype)
    if not space.is_bounded():
        return jax.random.normal(key, shape, space.dtype)
    uniform = jax.random.uniform(key, shape, space.dtype)
    return jnp.asarray(space.low) + uniform * jnp.asarray(space.high - space.low)


def contains(space: gymnasium.Space, element: Any) -> Bool[Array, ""]:
    """Whether `element`, of the right structure and shape, lies in `space`.

    NaN lies in no space.
    """
    parts = children(space)
    if parts is not None:
        inside = [contains(part, element[name]) for name, part in parts]
        return jnp.stack(inside).all() if inside else jnp.ones((), bool)
    if isinstance(space, spaces.Box):
        low = jnp.asarray(space.low, element.dtype)
        high = jnp.asarray(space.high, element.dtype)
        return ((element >= low) & (element <= high)).all()
    if isinstance(space, spaces.Discrete):
        sizes, start = np.asarray(space.n), np.asarray(space.start)
    elif isinstance(space, spaces.MultiDiscrete):
        sizes, start = np.asarray(space.nvec), np.asarray(space.start)
    else:
        raise TypeError(f"cannot look into {space}: {_SUPPORTED}")
    shifted = element - jnp.asarray(start, element.dtype)
    return ((shifted >= 0) & (shifted < jnp.asarray(sizes, element.dtype))).all()
