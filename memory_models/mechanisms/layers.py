"""Layers shared by memory models and agents."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from memory_models.mechanisms.affine import affine


def orthogonal(scale: float = 1.0) -> jax.nn.initializers.Initializer:
    """Orthogonal weights times `scale`, drawn for one seed after the other.

    A batch of factorisations is spread over the CPU's threads by JAX (0.10.2), which
    waits for them on one of those threads: two batches at a time can wait for ever.
    """
    initializer = jax.nn.initializers.orthogonal(scale)

    def draw(key: Any, shape: Any, *rest: Any, **options: Any) -> Array:
        @jax.custom_batching.sequential_vmap
        def one(key: Any) -> Array:
            return initializer(key, shape, *rest, **options)

        return one(key)

    return draw


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
        bias: Float[Array, " outputs"] | None = None,
    ):
        """Initialise; the default draws weights LeCun-normal and biases zero.

        Args:
            inputs: length of the last axis of what comes in.
            outputs: length of the last axis of what goes out.
            key: for the weights.
            use_bias: whether there is a bias.
            initializer: of the weights.
            bias: the biases at the start, where they are not zero.
        """
        initializer = initializer or jax.nn.initializers.lecun_normal()
        dtype = jax.dtypes.canonicalize_dtype(float)
        self.weight = initializer(key, (inputs, outputs), dtype)
        if use_bias and bias is None:
            bias = jnp.zeros(outputs, dtype)
        self.bias = bias

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Array:
        """Apply to `[..., inputs]`, giving `[..., outputs]`."""
        return affine(x, self.weight, self.bias)


def chrono_bias(
    name: str, key: PRNGKeyArray, size: int, timescale: int
) -> Float[Array, " size"]:
    """Biases of a gate whose units keep their state for 1 to `timescale` steps.

    `log(u)` with u uniform between 1 and `timescale - 1` ('chrono initialisation',
    Tallec and Ollivier 2018, arXiv:1804.11188): a sigmoid of it is 1 - 1 / (1 + u).
    With a timescale of 0 they are zero.

    Raises:
        ValueError: a timescale that is neither 0 nor at least 3, of the model `name`.
    """
    dtype = jax.dtypes.canonicalize_dtype(float)
    if timescale == 0:
        return jnp.zeros(size, dtype)
    if timescale < 3:
        raise ValueError(
            f"{name} got timescale={timescale}; give the steps of the longest memory "
            "at the start, 3 or more, or 0 to leave it out."
        )
    return jnp.log(jax.random.uniform(key, (size,), dtype, 1.0, timescale - 1.0))


def layer_norm(
    x: Float[Array, "*batch features"], epsilon: float = 1e-5
) -> Float[Array, "*batch features"]:
    """Layer normalisation over the last axis without learned scale or offset."""
    return _layer_norm(x, epsilon)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _layer_norm(x: Array, epsilon: float) -> Array:
    return _normalised(x, epsilon)[0]


@_layer_norm.defjvp
def _layer_norm_jvp(epsilon: float, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Two means, of which an accelerator makes one loop; plain derivatives take three.

    Written with the mean and the deviation of x, which depend on it, they cancel to

        dy = (dx - mean(dx) - y mean(y dx)) / deviation.
    """
    (x,), (dx,) = primals, tangents
    y, scale = _normalised(x, epsilon)
    along = (y * dx).mean(-1, keepdims=True)
    return y, scale * (dx - dx.mean(-1, keepdims=True) - y * along)


def _normalised(x: Array, epsilon: float) -> tuple[Array, Array]:
    """The result, and one over the deviation."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    scale = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * scale, scale


def rms_norm(
    x: Float[Array, "*batch features"], epsilon: float = 1e-5
) -> Float[Array, "*batch features"]:
    """Divide by the root of the mean square; no learned scale."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + epsilon)


def unit_norm(
    x: Float[Array, "*batch features"], epsilon: float = 1e-6
) -> Float[Array, "*batch features"]:
    """Divide by the length, so that it is 1; the gradient at 0 is finite."""
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + epsilon)


def check_sizes(name: str, **sizes: int) -> None:
    """Refuse options of the model `name` that are below 1.

    Raises:
        ValueError: one of `sizes` is.
    """
    if min(sizes.values()) < 1:
        needed = ", ".join(f"{option} >= 1" for option in sizes)
        given = ", ".join(f"{option}={size}" for option, size in sizes.items())
        raise ValueError(f"{name} needs {needed}; got {given}.")
