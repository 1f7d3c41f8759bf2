"""Heads, and what attention does with them wherever it looks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def split_heads(
    x: Float[Array, "*time width"], heads: int
) -> Float[Array, "*time heads size"]:
    """The last axis cut into heads."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def head_parts(
    x: Float[Array, "*time width"], parts: int, heads: int
) -> list[Float[Array, "*time heads size"]]:
    """Queries, keys and so on, of a product that made them side by side."""
    return [split_heads(part, heads) for part in jnp.split(x, parts, axis=-1)]


def join_heads(x: Float[Array, "*time heads size"]) -> Float[Array, "*time width"]:
    """All heads of each step, side by side."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def rotate_pairs(
    x: Float[Array, "*lead size"], cos: Float[Array, "..."], sin: Float[Array, "..."]
) -> Float[Array, "*lead size"]:
    """Turn the pairs made of the first and the second half of the last axis.

    Args:
        x: of even size.
        cos: of the angles, of the rank of `x`; its last axis has half the size.
        sin: likewise.
    """
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def masked_softmax(
    logits: Float[Array, "*batch keys"], allowed: Bool[Array, "*batch keys"]
) -> Float[Array, "*batch keys"]:
    """Softmax over the allowed keys; zeros, and no nan, where none is allowed."""
    lowest = jnp.asarray(jnp.finfo(logits.dtype).min, logits.dtype)
    logits = jnp.where(allowed, logits, lowest)
    top = jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    weights = jnp.where(allowed, jnp.exp(logits - top), 0)
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1)
