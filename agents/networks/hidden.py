"""Features of a task's hidden variables, for a critic that may see them in training.

The policy never does, so acting needs none of this (asymmetric actor-critic, Pinto et
al. 2018, "Asymmetric Actor Critic for Image-Based Robot Learning").
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from envs.base import Environment
from memory_models import Linear, orthogonal

CHOICES = 16
"""Whole numbers from 0 up to here are also given as one-hot."""


class HiddenEncoder(eqx.Module):
    """One layer on the hidden variables of a task, `name -> (value, age)`.

    The contract does not bound hidden variables. So every number x is given as
    sign(x) log(1 + |x|), and a whole number also as one-hot over 0 to 15 (nothing is
    set for others), which covers suits, sides and cells.

    Attributes:
        layer: the layer.
        shapes: of each array of one stream, in the order of the flattened dict.
    """

    layer: Linear
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __init__(self, env: Environment, size: int, *, key: PRNGKeyArray):
        """Build for what `env.hidden` returns, `size` features in all."""
        variables = jax.eval_shape(
            lambda key: env.hidden(env.reset(key)[1]), jax.random.key(0)
        )
        self.shapes = tuple(leaf.shape for leaf in jax.tree.leaves(variables))
        width = jax.eval_shape(lambda x: numbers_of(x, self.shapes), variables).shape[
            -1
        ]
        self.layer = Linear(width, size, key=key, initializer=orthogonal(2**0.5))

    def __call__(self, hidden: Any) -> Float[Array, "... features"]:
        """Encode hidden variables with any leading axes."""
        return jax.nn.relu(self.layer(numbers_of(hidden, self.shapes)))


def numbers_of(
    hidden: Any, shapes: tuple[tuple[int, ...], ...]
) -> Float[Array, "... numbers"]:
    """Hidden variables with any leading axes as one vector; see `HiddenEncoder`."""
    parts = []
    for leaf, shape in zip(jax.tree.leaves(hidden), shapes, strict=True):
        lead = leaf.shape[: leaf.ndim - len(shape)]
        flat = leaf.reshape(*lead, math.prod(shape))
        number = flat.astype(jax.dtypes.canonicalize_dtype(float))
        parts.append(jnp.sign(number) * jnp.log1p(jnp.abs(number)))
        if jnp.issubdtype(flat.dtype, jnp.integer):
            choice = jax.nn.one_hot(flat, CHOICES, dtype=number.dtype)
            parts.append(choice.reshape(*lead, -1))
    return jnp.concatenate(parts, axis=-1)
