"""What models with one matrix state per head share: heads, norms, refused sizes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def check_heads(name: str, **sizes: int) -> None:
    """Refuse sizes below 1.

    Raises:
        ValueError: one of `sizes` is below 1.
    """
    if min(sizes.values()) < 1:
        needed = ", ".join(f"{option} >= 1" for option in sizes)
        given = ", ".join(f"{option}={size}" for option, size in sizes.items())
        raise ValueError(f"{name} needs {needed}; got {given}.")


def split_heads(
    x: Float[Array, "*time width"], heads: int
) -> Float[Array, "*time heads size"]:
    """The last axis cut into heads."""
    return x.reshape(*x.shape[:-1], heads, -1)


def join_heads(x: Float[Array, "*time heads size"]) -> Float[Array, "*time width"]:
    """All heads side by side."""
    return x.reshape(*x.shape[:-2], -1)


def rms_norm(x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
    """Divide by the root of the mean square; no learned scale."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)


def unit_norm(x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
    """Divide by the length, so that it is 1; the gradient at 0 is finite."""
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-6)
