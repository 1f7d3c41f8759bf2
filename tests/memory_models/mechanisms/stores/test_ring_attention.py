"""Attention over a ring, in bands, against lists of steps and against a dense mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.stores.ring_attention import (
    POSITIONS,
    empty_ring,
    extend,
    keep,
    windowed_attention,
)

HEADS, SIZE = 2, 4


def sequence(queries, keys, values, starts, ring, window, logits):
    initial = empty_ring(window - 1, (jnp.zeros((HEADS, SIZE)),) * 2)
    tape = extend(ring, initial, (keys, values), starts)
    return keep(tape), windowed_attention(queries, tape, window, logits)


run = jax.jit(sequence, static_argnums=(5, 6))


def drawn(time, seed=0):
    generator = np.random.default_rng(seed)
    qkv = generator.normal(size=(3, time, HEADS, SIZE))
    return qkv, generator.random(time) < 0.1


def empty(window):
    return empty_ring(window - 1, (jnp.zeros((HEADS, SIZE)),) * 2)


def loop(q, k, v, starts, window):
    past, outputs = [], []
    for t, start in enumerate(starts):
        past = [*([] if start else past), t][-window:]
        scores = np.einsum("hd,khd->hk", q[t], k[past]) / np.sqrt(SIZE)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        outputs.append(np.einsum("hk,khd->hd", weights, v[past]))
    return np.array(outputs)


@pytest.mark.parametrize("time,window", [(1, 3), (20, 4), (100, 7), (150, 50)])
def test_outputs_are_those_of_a_list(x64, time, window):
    qkv, starts = drawn(time)
    args = (*map(jnp.asarray, qkv), jnp.asarray(starts))
    _, found = run(*args, empty(window), window, POSITIONS["none"])
    expected = loop(*qkv, starts, window)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", POSITIONS)
def test_any_split_gives_the_same(x64, positions):
    qkv, starts = drawn(77)
    window, logits = 9, POSITIONS[positions]
    args = (*map(jnp.asarray, qkv), jnp.asarray(starts))
    whole = run(*args, empty(window), window, logits)
    for cuts in ([33], [1, 34]):
        ring, outputs = empty(window), []
        for part in zip(*(jnp.split(x, np.array(cuts)) for x in args), strict=True):
            ring, output = run(*part, ring, window, logits)
            outputs.append(output)
        for a, b in zip(
            jax.tree.leaves(whole),
            jax.tree.leaves((ring, jnp.concatenate(outputs))),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_gradients_are_those_of_a_dense_mask(x64):
    time, window = 70, 6
    qkv, starts = drawn(time)
    past = window - 1
    old = np.random.default_rng(1).normal(size=(2, past, HEADS, SIZE))
    starts[:3], starts[3] = False, True
    ring = empty(window)._replace(
        entries=tuple(map(jnp.asarray, old)), count=jnp.asarray(past, jnp.int32)
    )
    weights = np.random.default_rng(2).normal(size=(time, HEADS, SIZE))
    now, then = np.arange(time)[:, None] + past, np.arange(past + time)
    episode = np.cumsum(starts)
    of_keys = np.concatenate([np.zeros(past), episode])
    mask = (then <= now) & (now - then < window) & (of_keys == episode[:, None])

    def banded(q, k, v, entries):
        used = ring._replace(entries=entries)
        return sequence(q, k, v, jnp.asarray(starts), used, window, POSITIONS["none"])[
            1
        ]

    def dense(q, k, v, entries):
        k, v = jnp.concatenate([entries[0], k]), jnp.concatenate([entries[1], v])
        scores = jnp.einsum("qhd,khd->hqk", q, k) / np.sqrt(SIZE)
        scores = jnp.where(jnp.asarray(mask)[None], scores, -jnp.inf)
        return jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v)

    def gradients(function):
        def weighted(arguments):
            return jnp.sum(function(*arguments) * weights)

        return jax.jit(jax.value_and_grad(weighted))(
            (*map(jnp.asarray, qkv), ring.entries)
        )

    for a, b in zip(
        jax.tree.leaves(gradients(banded)),
        jax.tree.leaves(gradients(dense)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_a_poisoned_ring_is_gone_at_a_start():
    qkv, starts = drawn(5)
    starts[:] = [True, False, False, True, False]
    args = [jnp.asarray(x, jnp.float32) for x in qkv]
    ring = empty(4)
    bad = ring._replace(
        entries=jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), ring.entries),
        count=jnp.asarray(3, jnp.int32),
    )
    flags = jnp.asarray(starts)
    after, found = run(*args, flags, bad, 4, POSITIONS["none"])
    clean_after, clean = run(*args, flags, ring, 4, POSITIONS["none"])
    np.testing.assert_array_equal(found, clean)
    jax.tree.map(np.testing.assert_array_equal, after, clean_after)
