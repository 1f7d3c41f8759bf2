"""Where things stand: lines, arcs, and small displacements."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

CENTRE = (-0.1, 0.0)
"""Of arcs: below the hand's first position, about."""


def arc(count: int, radius: float = 0.3, angle: float = np.pi) -> np.ndarray:
    """Places on an arc in front of the robot, from its left to its right, [count, 2].

    Args:
        count: how many, equally far apart.
        radius: metres.
        angle: between the first and the last, radians.
    """
    turns = np.linspace(angle / 2, -angle / 2, count)
    return np.stack(
        [CENTRE[0] + radius * np.cos(turns), CENTRE[1] + radius * np.sin(turns)], axis=1
    )


def line(count: int, spacing: float, x: float = 0.0) -> np.ndarray:
    """Places beside each other, from the robot's left to its right, [count, 2]."""
    y = spacing * ((count - 1) / 2 - np.arange(count))
    return np.stack([np.full(count, x), y], axis=1)


def jitter(
    key: PRNGKeyArray, places: np.ndarray, deviation: float, most: float, dtype: Any
) -> Float[Array, "count 2"]:
    """Places displaced by normal numbers cut off at `most`, metres."""
    bound = most / deviation
    drawn = jax.random.truncated_normal(key, -bound, bound, places.shape, dtype)
    return jnp.asarray(places, dtype) + jnp.asarray(deviation, dtype) * drawn


def on_table(places: Float[Array, "count 2"], height: float) -> Float[Array, "count 3"]:
    """Positions of things whose middle is at `height`."""
    return jnp.concatenate([places, jnp.full_like(places[:, :1], height)], axis=1)
