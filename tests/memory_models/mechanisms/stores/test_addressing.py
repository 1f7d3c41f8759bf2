"""Addressing in cases that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from memory_models.mechanisms.stores import addressing


def one_hot(index, size=4):
    return jnp.eye(size)[index]


def test_allocation_by_hand():
    found = addressing.allocation(jnp.array([0.5, 0.2, 0.9]))
    # Least used first: 1 - 0.2, then (1 - 0.5) * 0.2, then (1 - 0.9) * 0.2 * 0.5.
    np.testing.assert_allclose(found, [0.1, 0.8, 0.01], atol=1e-5)
    np.testing.assert_allclose(
        addressing.allocation(jnp.zeros(4)), one_hot(0), atol=1e-5
    )
    np.testing.assert_allclose(addressing.allocation(jnp.ones(4)), 0, atol=1e-6)


def test_allocation_is_largest_where_usage_is_smallest():
    usage = np.random.default_rng(0).random((20, 13)).astype(np.float32)
    found = np.asarray(jax.vmap(addressing.allocation)(jnp.asarray(usage)))
    np.testing.assert_array_equal(found.argmax(1), usage.argmin(1))
    np.testing.assert_array_equal(found.argmin(1), usage.argmax(1))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-2)
    assert found.min() >= 0


def test_usage_that_all_but_ties_is_taken_in_order():
    usage = jnp.array([0.5, 0.25 + 1e-7, 0.25])
    assert addressing.allocation(usage).argmax() == 1


def test_a_full_write_uses_a_slot_and_a_full_read_frees_it():
    usage = jnp.array([0.3, 0.6, 0.2, 0.9])
    written = addressing.usage_after(usage, one_hot(3), jnp.zeros((2, 4)), jnp.ones(2))
    np.testing.assert_allclose(written, [0.3, 0.6, 0.2, 1.0])
    reads = jnp.stack([one_hot(1), 0.5 * one_hot(0)])
    freed = addressing.usage_after(usage, jnp.zeros(4), reads, jnp.array([1.0, 0.5]))
    np.testing.assert_allclose(freed, [0.3 * 0.75, 0.0, 0.2, 0.9], rtol=1e-6)


def test_links_follow_the_order_of_writes():
    link, precedence = jnp.zeros((4, 4)), jnp.zeros(4)
    for slot in (0, 1, 3, 2):
        write = one_hot(slot)
        link = addressing.link_after(link, precedence, write)
        precedence = addressing.precedence_after(precedence, write)
    expected = np.zeros((4, 4))
    for before, after in ((0, 1), (1, 3), (3, 2)):
        expected[after, before] = 1
    np.testing.assert_array_equal(link, expected)
    np.testing.assert_array_equal(precedence, one_hot(2))
    np.testing.assert_array_equal(link @ one_hot(0), one_hot(1))
    np.testing.assert_array_equal(link.T @ one_hot(2), one_hot(3))


def test_links_and_precedence_stay_weights():
    generator = np.random.default_rng(0)
    link, precedence = jnp.zeros((5, 5)), jnp.zeros(5)
    for _ in range(30):
        write = generator.random(5).astype(np.float32)
        write = jnp.asarray(write / (write.sum() + generator.random()))
        link = addressing.link_after(link, precedence, write)
        precedence = addressing.precedence_after(precedence, write)
        assert float(link.min()) >= 0
        assert float(link.sum(0).max()) <= 1 + 1e-6
        assert float(link.sum(1).max()) <= 1 + 1e-6
        assert float(precedence.sum()) <= 1 + 1e-6
        np.testing.assert_array_equal(jnp.diag(link), 0)
    unchanged = addressing.precedence_after(precedence, jnp.zeros(5))
    np.testing.assert_array_equal(unchanged, precedence)


def test_content_weights_are_a_sharpened_softmax_of_cosines(x64):
    memory = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]])
    keys, strengths = np.array([[5.0, 6.0], [1.0, 0.0]]), np.array([0.7, -1.2])
    found = addressing.content_weights(
        jnp.asarray(memory), jnp.asarray(keys), jnp.asarray(strengths)
    )
    norms = np.linalg.norm(keys, axis=1)[:, None] * np.linalg.norm(memory, axis=1)
    cosines = np.divide(keys @ memory.T, norms, where=norms > 0, out=np.zeros((2, 3)))
    sharp = np.log1p(np.exp(strengths))[:, None] * cosines
    np.testing.assert_allclose(found, scipy.special.softmax(sharp, -1), atol=1e-6)


def test_no_gradient_flows_through_the_write_that_raised_the_usage():
    reads, free = one_hot(1)[None], jnp.asarray([0.5])

    def usage(before, write):
        return addressing.usage_after(before, write, reads, free).sum()

    before, write = jnp.full(4, 0.25), jnp.full(4, 0.5)
    of_before, of_write = jax.grad(usage, (0, 1))(before, write)
    np.testing.assert_array_equal(of_write, 0)
    assert (of_before > 0).all()
