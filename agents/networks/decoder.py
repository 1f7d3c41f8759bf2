"""From what a memory gives back to what was observed: an auxiliary task.

Reconstructing the current observation from the memory's output trains encoder and
memory where reward is rare (Lampinen et al. 2021, arXiv:2105.14039, section 3; Hill et
al. 2020, arXiv:2009.01719). It works with every memory, and never acts.
"""

import math
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs
from agents.experience.normalize import Moments
from agents.spaces import (
    flatten_leaf,
    is_image,
    leaf_width,
    named_leaves,
    observation_keys,
)
from memory_models import Linear

LARGEST_SIDE = 16
"""Pixels are reconstructed after averaging down to at most this many a side."""


class Decoder(eqx.Module):
    """One linear layer per observation key, and the error of what they give.

    Numbers are compared by squared error (standardised, where the agent standardises
    them; pixels in 0 to 1), choices by cross-entropy. Each key's error is a mean over
    its numbers or choices, and the keys' errors are averaged.

    Attributes:
        layers: by observation key.
        space: of the observations.
    """

    layers: dict[str, Linear]
    space: Any = eqx.field(static=True)

    def __init__(self, space: Any, width: int, *, key: PRNGKeyArray):
        """Draw the weights.

        Args:
            space: the observation space, wrapped to be hashable (`encoder.Static`).
            width: of the memory's output.
            key: for the weights.
        """
        leaves = observation_keys(space.value)
        keys = jax.random.split(key, len(leaves))
        self.space = space
        self.layers = {
            name: Linear(width, target_width(leaf), key=k)
            for (name, leaf), k in zip(leaves.items(), keys, strict=True)
        }

    def error(
        self,
        summary: Float[Array, "*lead width"],
        inputs: Inputs,
        moments: dict[str, Moments] | None,
    ) -> Float[Array, ""]:
        """Mean reconstruction error.

        Args:
            summary: the memory's output.
            inputs: with the observation that the memory had just read.
            moments: statistics of the keys that are standardised.
        """
        spaces = observation_keys(self.space.value)
        leaves = named_leaves(self.space.value, inputs.observation)
        errors = []
        for name, space in spaces.items():
            leaf = leaves[name]
            if moments and name in moments:
                leaf = moments[name].standardized(leaf)
            target = reconstruction_target(space, leaf).astype(summary.dtype)
            errors.append(leaf_error(space, self.layers[name](summary), target))
        return jnp.stack(errors).mean()


def leaf_error(
    space: gymnasium.Space, given: Float[Array, "..."], target: Float[Array, "..."]
) -> Float[Array, ""]:
    """Mean squared error of numbers, mean cross-entropy of choices."""
    sizes = choices(space)
    if not sizes:
        return jnp.square(given - target).mean()
    cuts = np.cumsum(sizes)[:-1]
    parts = zip(
        jnp.split(given, cuts, axis=-1), jnp.split(target, cuts, axis=-1), strict=True
    )
    each = [-(jax.nn.log_softmax(x) * y).sum(-1).mean() for x, y in parts]
    return jnp.stack(each).mean()


def choices(space: gymnasium.Space) -> list[int]:
    """Alternatives of each choice in a leaf; empty where it holds numbers."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.reshape(-1)]
    return []


def reconstruction_target(
    space: gymnasium.Space, leaf: Array
) -> Float[Array, "... features"]:
    """A leaf as the vector to reconstruct."""
    if not is_image(space):
        return flatten_leaf(space, leaf)
    height, width, channels = space.shape or (1, 1, 1)
    rows, columns = pooled(height), pooled(width)
    lead = leaf.shape[:-3]
    image = leaf.astype(jax.dtypes.canonicalize_dtype(float)) / 255
    image = image[..., : rows * (height // rows), : columns * (width // columns), :]
    image = image.reshape(
        *lead, rows, height // rows, columns, width // columns, channels
    )
    return image.mean((-4, -2)).reshape(*lead, -1)


def pooled(side: int) -> int:
    """Pixels a side after averaging."""
    return side // math.ceil(side / LARGEST_SIDE)


def target_width(space: gymnasium.Space) -> int:
    """Length of the vector that `reconstruction_target` gives."""
    if not is_image(space):
        return leaf_width(space)
    height, width, channels = space.shape or (1, 1, 1)
    return pooled(height) * pooled(width) * channels
