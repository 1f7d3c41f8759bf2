"""Losses of policies and values, as means over everything given."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def clipped_surrogate(
    log_ratio: Float[Array, "..."], advantage: Float[Array, "..."], clip: float
) -> Float[Array, ""]:
    """The policy's loss: the pessimistic one of two objectives, negated.

    Schulman et al. 2017, eq. 7.

    Args:
        log_ratio: log of new over old probability of the action taken.
        advantage: of that action.
        clip: bound on how far the ratio may move from 1.
    """
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -jnp.minimum(ratio * advantage, clipped * advantage).mean()


def ratio_metrics(
    log_ratio: Float[Array, "..."], clip: float
) -> dict[str, Float[Array, ""]]:
    """How far the policy has moved from the one that acted, by tag."""
    ratio = jnp.exp(log_ratio)
    return {
        "policy/kl": (ratio - 1 - log_ratio).mean(),
        "policy/clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
    }


def squared_error(
    value: Float[Array, "..."],
    target: Float[Array, "..."],
    old_value: Float[Array, "..."],
    clip: float | None,
) -> Float[Array, ""]:
    """Half the mean squared error of values, optionally clipped like the ratio.

    Args:
        value: estimated now.
        target: what it should have been.
        old_value: estimated when acting.
        clip: bound on the change that counts; None for none. Of the two errors the
            larger counts.
    """
    error = jnp.square(value - target)
    if clip is not None:
        change = jnp.clip(value - old_value, -clip, clip)
        error = jnp.maximum(error, jnp.square(old_value + change - target))
    return 0.5 * error.mean()


_SLOPE = 1e-3
"""Of the linear part of `rescaled`, which keeps it invertible."""


def rescaled(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Values squeezed like a square root (Pohlen et al. 2018, proposition A.2).

    h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x
    """
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + _SLOPE * x


def unscaled(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of `rescaled`, without the cancellation of its textbook form."""
    size = jnp.abs(y)
    u = _SLOPE + 1 + size
    root = jnp.sqrt(1 + 4 * _SLOPE * u)
    m = (2 * (_SLOPE + size) - 4 * _SLOPE * u / (1 + root)) / (1 + root)
    return jnp.sign(y) * m * (m + 2)
