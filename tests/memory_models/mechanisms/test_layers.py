"""Norms in cases that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.layers import layer_norm, rms_norm, unit_norm


def test_norms_by_hand(x64):
    x = np.random.default_rng(0).normal(2.0, 3.0, (2, 3, 5))
    x[1] *= 100  # an axis of its own: rows are not normalised together
    found = layer_norm(jnp.asarray(x), 0.0)
    np.testing.assert_allclose(
        found, (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    )
    root = np.sqrt((x**2).mean(-1, keepdims=True))
    np.testing.assert_allclose(rms_norm(jnp.asarray(x), 0.0), x / root)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    np.testing.assert_allclose(unit_norm(jnp.asarray(x), 0.0), x / length)


def test_a_length_of_zero_has_a_gradient():
    for norm in (layer_norm, rms_norm, unit_norm):
        gradient = jax.grad(lambda x, norm=norm: norm(x)[0])(jnp.zeros(3))
        assert jnp.isfinite(gradient).all(), norm


@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_the_derivatives_of_layer_norm_are_those_of_its_formula(epsilon, x64):
    """Forward, reverse, twice; with the epsilon, and where all features are equal."""

    def plain(x, epsilon):
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred / jnp.sqrt(variance + epsilon)

    x = jax.random.normal(jax.random.key(0), (2, 3, 5)).at[0, 0].set(0.7)
    dx, weights = jax.random.normal(jax.random.key(1), (2, *x.shape))

    def derivatives(norm):
        def loss(x):
            return (weights[0, 1] * norm(x, epsilon)).sum()

        forward = jax.jvp(lambda x: norm(x, epsilon), (x,), (dx,))
        reverse = jax.grad(lambda x: (weights * norm(x, epsilon)).sum())(x)
        return forward, reverse, jax.hessian(loss)(x[0, 1])

    for one, other in zip(
        jax.tree.leaves(derivatives(layer_norm)),
        jax.tree.leaves(derivatives(plain)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-9)
