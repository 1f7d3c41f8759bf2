"""The affine map against NumPy, and its derivatives against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from memory_models.mechanisms.affine import affine

SHAPES = [(3,), (5, 3), (4, 5, 3)]


def draw(*shapes):
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=shape)) for shape in shapes]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_numpy(shape, x64):
    x, weight, bias = draw(shape, (3, 2), (2,))
    expected = np.einsum("...i,ij->...j", x, weight)
    np.testing.assert_allclose(affine(x, weight), expected, atol=1e-12)
    expected = expected + np.asarray(bias)
    np.testing.assert_allclose(affine(x, weight, bias), expected, atol=1e-12)


@pytest.mark.parametrize("mapped", [(0, None, None), (1, None, None), (2, None, None)])
def test_derivatives_where_inputs_are_mapped(mapped, x64):
    x, weight, bias = draw((4, 5, 3), (3 if mapped[0] < 2 else 5, 2), (2,))

    @jax.jit  # also makes JAX arrays of what check_grads passes in
    def function(x, weight, bias):
        return jnp.sin(jax.vmap(affine, mapped)(x, weight, bias))

    rows = np.moveaxis(np.asarray(x), mapped[0], 0)
    expected = np.sin(rows @ np.asarray(weight) + np.asarray(bias))
    np.testing.assert_allclose(function(x, weight, bias), expected, atol=1e-12)
    check_grads(function, (x, weight, bias), order=2)


@pytest.mark.parametrize("mapped", [(0, 0, None), (None, 0, 0), (0, 0, 0)])
def test_derivatives_where_weights_are_mapped(mapped, x64):
    shapes = [(5, 3), (3, 2), (2,)]
    arguments = draw(
        *((4, *s) if axis == 0 else s for s, axis in zip(shapes, mapped, strict=True))
    )
    check_grads(jax.jit(jax.vmap(affine, mapped)), arguments, order=2)
    # A gradient per row, as analyses ask for.
    gradient = jax.jit(jax.grad(lambda *a: jnp.sin(affine(*a)).sum()))
    rows = jax.vmap(gradient, mapped)(*arguments)
    for i in range(4):
        pairs = zip(arguments, mapped, strict=True)
        alone = gradient(*(x if axis is None else x[i] for x, axis in pairs))
        np.testing.assert_allclose(rows[i], alone, atol=1e-12)


@pytest.mark.parametrize(
    ("inputs", "product"), [(3, [(3, 28), (28, 2)]), (16, [(2, 28), (28, 16)])]
)
def test_gradients_of_a_mapped_weight_need_one_product_over_all_rows(inputs, product):
    """What the operation is for: no sum over two axes, no batch of small products, and
    only the smaller operand is transposed where outputs are few."""
    x, weight = draw((7, 4, inputs), (inputs, 2))

    def loss(weight):
        return jnp.sin(jax.vmap(affine, (1, None), 1)(x, weight)).sum()

    products = [
        equation
        for equation in jax.make_jaxpr(jax.grad(loss))(weight).jaxpr.eqns
        if equation.primitive.name == "dot_general"
    ]
    assert [[v.aval.shape for v in e.invars] for e in products] == [product]
    expected = jax.grad(lambda w: jnp.sin(x @ w).sum())(weight)
    np.testing.assert_allclose(jax.grad(loss)(weight), expected, rtol=1e-5)
