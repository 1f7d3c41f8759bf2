"""Layers that the attention models share."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from memory_models.mechanisms.layers import Linear


class FeedForward(eqx.Module):
    """Two layers on every step alone, `activation(x W_1 + b_1) W_2 + b_2`.

    Attributes:
        into: W_1, b_1.
        out: W_2, b_2.
        activation: between them.
    """

    into: Linear
    out: Linear
    activation: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        key: PRNGKeyArray,
        activation: Callable[[Array], Array] = jax.nn.gelu,
    ):
        """Draw the weights."""
        into_key, out_key = jax.random.split(key)
        self.into = Linear(width, hidden, key=into_key)
        self.out = Linear(hidden, width, key=out_key)
        self.activation = activation

    def __call__(self, x: Float[Array, "*time width"]) -> Float[Array, "*time width"]:
        """Apply to every step."""
        return self.out(self.activation(self.into(x)))


def encoder(input_size: int, output_size: int, *, key: PRNGKeyArray) -> Linear | None:
    """What fits the features to the width of a residual block; None where they fit."""
    if input_size == output_size:
        return None
    return Linear(input_size, output_size, key=key)


def encoded(layer: Linear | None, x: Array) -> Array:
    """The features at the width of the block."""
    return x if layer is None else layer(x)
