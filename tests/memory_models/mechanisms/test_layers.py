"""Norms in cases that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np

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
