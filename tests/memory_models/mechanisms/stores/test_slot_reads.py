"""Read kernels against scipy and sorting, ties and empty stores included."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.spatial

from memory_models.mechanisms.stores import slot_reads


def test_weights_of_readable_rows_only(x64):
    generator = np.random.default_rng(0)
    squared = np.square(generator.normal(size=(6, 9)) * 50)
    readable = generator.random((6, 9)) < 0.5
    readable[0] = False
    found = slot_reads.inverse_distance(
        jnp.asarray(squared), jnp.asarray(readable), 1e-3
    )
    kernel = np.where(readable, 1 / (squared + 1e-3), 0)[1:]
    np.testing.assert_allclose(found[1:], kernel / kernel.sum(-1, keepdims=True))
    np.testing.assert_array_equal(found[0], 0)


def test_gradients_of_an_empty_store_are_zero():
    def read(scores):
        nothing = jnp.zeros((2, 5), bool)
        return slot_reads.inverse_distance(scores, nothing, 1e-3).sum()

    gradient = jax.grad(read)(jnp.ones((2, 5)))
    np.testing.assert_array_equal(gradient, 0)


def test_distances_and_cosines(x64):
    generator = np.random.default_rng(0)
    queries, keys = generator.normal(size=(4, 3)), generator.normal(size=(7, 3))
    found = slot_reads.squared_distances(jnp.asarray(queries), jnp.asarray(keys))
    expected = scipy.spatial.distance.cdist(queries, keys, "sqeuclidean")
    np.testing.assert_allclose(found, expected, atol=1e-13)
    found = slot_reads.cosines(jnp.asarray(queries), jnp.asarray(keys), 0.0)
    expected = 1 - scipy.spatial.distance.cdist(queries, keys, "cosine")
    np.testing.assert_allclose(found, expected, atol=1e-13)
    zero = slot_reads.cosines(jnp.asarray(queries), jnp.zeros((1, 3)))
    np.testing.assert_array_equal(zero, 0)


def test_the_nearest_are_those_that_sorting_finds():
    generator = np.random.default_rng(0)
    distances = generator.random((20, 12)).astype(np.float32)
    readable = generator.random((20, 12)) < 0.6
    order = np.tile(np.arange(12), (20, 1))
    found = slot_reads.nearest(
        jnp.asarray(distances), jnp.asarray(readable), jnp.asarray(order), 4, 12
    )
    for row, flags, chosen in zip(distances, readable, found, strict=True):
        there = np.flatnonzero(flags)
        expected = there[np.argsort(row[there])][:4]
        np.testing.assert_array_equal(np.flatnonzero(chosen), np.sort(expected))


def test_ties_and_all_but_ties_go_by_order():
    distances = jnp.float32(0.5) * (1 + 1e-7 * jnp.array([3.0, 0, 2, 1, 0, 0]))
    order = jnp.array([2, 5, 1, 0, 4, 3])
    readable = jnp.array([True, True, True, False, True, True])
    found = slot_reads.nearest(distances[None], readable[None], order[None], 2, 6)
    np.testing.assert_array_equal(np.flatnonzero(found[0]), [0, 2])


def test_leading_rows_by_steps_below_the_best_then_by_order():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 9)).round(2).astype(np.float32)
    scores[0] *= 1e30  # further below than ranks go: the order of those is lost
    scores[1:100] += generator.uniform(0, 1e-7, (99, 9)).astype(np.float32)
    readable = generator.random((200, 9)) < 0.6
    readable[0], readable[1] = True, False
    order = np.array([generator.permutation(9) for _ in scores])
    given = (jnp.asarray(readable), jnp.asarray(order, jnp.int32))
    ranks = np.asarray(slot_reads.leading(jnp.asarray(scores), *given, 9))
    for row in range(1, 200):
        rows = np.flatnonzero(readable[row])
        if not len(rows):
            assert len(set(ranks[row])) == 1
            continue
        below = scores[row, rows].max() - scores[row, rows].astype(np.float64)
        sought = rows[np.lexsort((order[row, rows], np.floor(below * 1024 + 1e-3)))]
        np.testing.assert_array_equal(np.argsort(ranks[row])[: len(rows)], sought)
    assert ranks[0].argmin() == scores[0].argmax() and (ranks >= 0).all()

    for count in (1, 4, 20):
        last = slot_reads.last_of_the_first(jnp.asarray(ranks), given[0], count)
        chosen = readable & (ranks <= np.asarray(last))
        np.testing.assert_array_equal(chosen.sum(1), np.minimum(count, readable.sum(1)))


def test_gradients_of_distances_are_those_of_the_differences(x64):
    generator = np.random.default_rng(0)
    queries, keys, weights = (
        jnp.asarray(generator.normal(size=shape)) for shape in ((3, 4), (5, 4), (3, 5))
    )

    def plain(queries, keys):
        return (weights * jnp.square(queries[:, None] - keys[None]).sum(-1)).sum()

    def ours(queries, keys):
        return (weights * slot_reads.squared_distances(queries, keys)).sum()

    found, expected = (
        jax.grad(function, (0, 1))(queries, keys) for function in (ours, plain)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_what_cannot_be_read_is_not_the_best():
    """However large its score: measured from there, all others would be equal."""
    scores = jnp.asarray([1e9, 3.0, 1.0, 2.0])
    readable = jnp.asarray([False, True, True, True])
    order = jnp.asarray([3, 2, 1, 0], jnp.int32)
    ranks = slot_reads.leading(scores, readable, order, 4)
    np.testing.assert_array_equal(np.argsort(ranks), [1, 3, 2, 0])
