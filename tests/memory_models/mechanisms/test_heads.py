"""Heads against slices, complex numbers and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from memory_models.mechanisms import heads


def test_heads_are_neighbouring_features():
    x = np.random.default_rng(0).normal(size=(5, 12))
    q, k = heads.head_parts(jnp.asarray(x), 2, 3)
    np.testing.assert_array_equal(q[:, 1], x[:, 2:4].astype(q.dtype))
    np.testing.assert_array_equal(k[:, 2], x[:, 10:12].astype(q.dtype))
    np.testing.assert_array_equal(heads.join_heads(k), x[:, 6:].astype(q.dtype))


def test_a_rotation_multiplies_by_a_complex_number(x64):
    generator = np.random.default_rng(1)
    x, angles = generator.normal(size=(4, 6)), generator.normal(size=(4, 3))
    turned = (x[:, :3] + 1j * x[:, 3:]) * np.exp(1j * angles)
    found = heads.rotate_pairs(jnp.asarray(x), jnp.cos(angles), jnp.sin(angles))
    np.testing.assert_allclose(found[:, :3], turned.real, atol=1e-14)
    np.testing.assert_allclose(found[:, 3:], turned.imag, atol=1e-14)


def test_softmax_of_what_is_allowed(x64):
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(6, 9)) * 50
    allowed = generator.random((6, 9)) < 0.5
    allowed[0] = False
    found = heads.masked_softmax(jnp.asarray(scores), jnp.asarray(allowed))
    expected = scipy.special.softmax(np.where(allowed[1:], scores[1:], -np.inf), -1)
    np.testing.assert_allclose(found[1:], expected, atol=1e-14)
    np.testing.assert_array_equal(found[0], 0)


def test_a_softmax_over_nothing_is_zero_and_has_gradients():
    logits = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    allowed = jnp.array([[True, False], [False, False]])
    np.testing.assert_array_equal(
        heads.masked_softmax(logits, allowed), [[1, 0], [0, 0]]
    )
    weighted = jax.grad(lambda x: heads.masked_softmax(x, allowed)[:, 0].sum())(logits)
    np.testing.assert_array_equal(weighted, np.zeros((2, 2)))
