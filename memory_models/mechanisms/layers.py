"""Layers shared by memory models and agents."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from memory_models.mechanisms.affine import affine


class Linear(eqx.Module):
    """`y = x @ W + b` on the last axis of an input of any rank.

    Weights multiply from the right: under `jax.vmap` that stays one large matrix
    product, where `W @ x` becomes many small ones.

    Attributes:
        weight: `[inputs, outputs]`.
        bias: `[outputs]`, or None.
    """

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"] | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        key: PRNGKeyArray,
        use_bias: bool = True,
        initializer: jax.nn.initializers.Initializer | None = None,
    ):
        """Initialise; the default draws weights LeCun-normal and biases zero."""
        initializer = initializer or jax.nn.initializers.lecun_normal()
        dtype = jax.dtypes.canonicalize_dtype(float)
        self.weight = initializer(key, (inputs, outputs), dtype)
        self.bias = jnp.zeros(outputs, dtype) if use_bias else None

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Array:
        """Apply to `[..., inputs]`, giving `[..., outputs]`."""
        return affine(x, self.weight, self.bias)


def chrono_bias(key: PRNGKeyArray, size: int, timescale: int) -> Float[Array, " size"]:
    """Biases of a gate that keeps a state for 1 to `timescale` steps.

    `log(u)` with u uniform between 1 and `timescale - 1` ('chrono initialisation',
    Tallec and Ollivier 2018, arXiv:1804.11188): a sigmoid of it is 1 - 1 / (1 + u).
    """
    dtype = jax.dtypes.canonicalize_dtype(float)
    return jnp.log(jax.random.uniform(key, (size,), dtype, 1.0, timescale - 1.0))


def check_timescale(name: str, timescale: int) -> None:
    """Refuse a timescale that says nothing.

    Raises:
        ValueError: neither 0 (off) nor at least 3.
    """
    if timescale != 0 and timescale < 3:
        raise ValueError(
            f"{name} got timescale={timescale}; give the steps of the longest memory "
            "at the start, 3 or more, or 0 to leave it out."
        )


def layer_norm(
    x: Float[Array, "*batch features"], epsilon: float = 1e-5
) -> Float[Array, "*batch features"]:
    """Layer normalisation over the last axis without learned scale or offset."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + epsilon)
