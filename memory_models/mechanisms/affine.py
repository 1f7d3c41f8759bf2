"""`x @ weight + bias` as one operation, with gradients that are cheap on every backend.

JAX would do, but for one thing: under `vmap` an input is `[time, batch, features]`, and
the gradient of its weight becomes a product that sums over two axes. XLA on CPU writes
a transposed copy of the cotangent for it, which takes as long as the product itself.
Here the leading axes are always merged first, and `vmap` leaves its axis where it is
instead of moving it to the front. Forward and reverse derivatives of any order, `vmap`
and `scan` work as for any operation of JAX.
"""

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from memory_models.mechanisms.platform import by_platform


def affine(
    x: Float[Array, "*batch inputs"],
    weight: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"] | None = None,
) -> Float[Array, "*batch outputs"]:
    """`x @ weight + bias` on the last axis of `x`; without `bias`, the product alone.

    Args:
        x: inputs of any rank from 1.
        weight: multiplied from the right.
        bias: added where given.
    """
    rest = () if bias is None else (bias,)
    dtype = jnp.result_type(x, weight, *rest)
    return _affine.bind(*(jnp.asarray(value, dtype) for value in (x, weight, *rest)))


def transposed(matrix: Float[Array, "rows columns"]) -> Float[Array, "columns rows"]:
    """A transposed matrix, on CPU as a copy of its own.

    Left to itself XLA passes the transposition on to the product, where it is slower:
    by a tenth to a third for weight gradients, and repeated at every step in a loop.
    """

    def copied(matrix: Array) -> Array:
        return jax.lax.optimization_barrier(matrix.T)

    return by_platform(copied, jnp.transpose, matrix)


def _compute(x: Array, weight: Array, *bias: Array) -> Array:
    y = _flat(x) @ weight
    for b in bias:
        y = y + jnp.broadcast_to(b, y.shape)
    return y.reshape(*x.shape[:-1], weight.shape[1])


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _shape(x, weight, *bias):
    del bias
    return x.update(shape=(*x.shape[:-1], weight.shape[1]))


def _tangent(primals, tangents):
    x, weight = primals[:2]
    dx, *dparameters = tangents
    terms = []
    if not isinstance(dx, ad.Zero):
        terms.append(_affine.bind(dx, weight))
    if any(not isinstance(tangent, ad.Zero) for tangent in dparameters):
        dparameters = [ad.instantiate_zeros(tangent) for tangent in dparameters]
        terms.append(_affine.bind(x, *dparameters))
    return _affine.bind(*primals), sum(terms[1:], terms[0])


def _cotangents(g, x, weight, *bias):
    """Of the arguments in which the operation is used linearly."""
    if isinstance(g, ad.Zero):
        return [None for _ in (x, weight, *bias)]
    if ad.is_undefined_primal(x):
        return [_affine.bind(g, weight.T), None, *(None for _ in bias)]
    rows = _flat(g)
    of_weight = None
    if ad.is_undefined_primal(weight):
        x = _flat(x)
        # A few outputs (heads): transpose them rather than many inputs.
        few = 8 * rows.shape[1] <= x.shape[1]
        of_weight = (transposed(rows) @ x).T if few else transposed(x) @ rows
    of_bias = (rows.sum(0) if ad.is_undefined_primal(b) else None for b in bias)
    return [None, of_weight, *of_bias]


def _batched(arguments, axes):
    x, *rest = arguments
    axis, *rest_axes = axes
    if axis is None or any(a is not None for a in rest_axes):
        return jax.vmap(_compute, axes)(*arguments), 0
    if axis == x.ndim - 1:
        x, axis = jnp.moveaxis(x, -1, 0), 0
    return _affine.bind(x, *rest), axis


_affine = Primitive("affine")
_affine.def_impl(jax.jit(_compute))
_affine.def_abstract_eval(_shape)
mlir.register_lowering(_affine, mlir.lower_fun(_compute, multiple_results=False))
ad.primitive_jvps[_affine] = _tangent
ad.primitive_transposes[_affine] = _cotangents
batching.primitive_batchers[_affine] = _batched
