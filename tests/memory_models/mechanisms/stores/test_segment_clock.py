"""The segment clock with a small write and read, against a list of steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.stores.ring_attention import bands
from memory_models.mechanisms.stores.segment_clock import (
    empty_clock,
    enter,
    follow,
    leave,
    restart,
)

WIDTH = 2


def write(weight, operand):
    memory, segment = operand
    scale = jnp.arange(1.0, segment.shape[0] + 1)[:, None]
    return jnp.tanh(memory @ weight + (scale * segment).sum(0))


def first(weight, length, history):
    return empty_clock(weight[0], jnp.zeros(WIDTH), length, history)


def sequence(clock, weight, x, starts, length, history):
    """Each step reads its memory, and the sum of all steps that it sees."""
    initial = first(weight, length, history)
    clock, segments = follow(clock, initial, x, starts, write, weight, length)
    cut = bands(segments.tape, (history + 1) * length)
    memories, whose = segments.memories_of(cut, segments.memories, length)
    memory = jnp.einsum("nqv,nvw->nqw", whose.astype(x.dtype), memories)
    seen = cut.visible(segments.first).astype(x.dtype)
    steps = jnp.einsum("nqk,nkw->nqw", seen, cut.keys(segments.tape.entries))
    return clock, jnp.concatenate([cut.merge(memory), cut.merge(steps)], axis=1)


def step(clock, weight, x, start, length, history):
    clock = restart(clock, first(weight, length, history), start)
    clock, visible = enter(clock, x, length)
    steps = visible.astype(x.dtype) @ clock.entries
    output = jnp.concatenate([clock.memory, steps])
    return leave(clock, write, weight, length), output


def loop(weight, x, starts, length, history):
    memory, segments, outputs = weight[0], [[]], []
    for now, start in zip(x, starts, strict=True):
        if start:
            memory, segments = weight[0], [[]]
        segments[-1].append(now)
        outputs.append([*memory, *np.sum([s for part in segments for s in part], 0)])
        if len(segments[-1]) == length:
            scale = np.arange(1, length + 1)[:, None]
            memory = np.tanh(memory @ weight + (scale * segments[-1]).sum(0))
            segments = [*segments, []][-(history + 1) :]
    return np.array(outputs)


def drawn(time):
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(WIDTH, WIDTH))
    return weight, generator.normal(size=(time, WIDTH)), generator.random(time) < 0.07


run = jax.jit(sequence, static_argnums=(4, 5))


@functools.partial(jax.jit, static_argnums=(4, 5))
def scanned(clock, weight, x, starts, length, history):
    def body(clock, element):
        return step(clock, weight, *element, length, history)

    return jax.lax.scan(body, clock, (x, starts))


def compare(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("length,history", [(3, 0), (4, 2), (50, 0)])
def test_steps_sequences_and_splits_are_those_of_a_list(x64, length, history):
    weight, x, starts = drawn(141)
    arguments = (jnp.asarray(weight), jnp.asarray(x), jnp.asarray(starts))
    clock, expected = (
        first(arguments[0], length, history),
        loop(weight, x, starts, length, history),
    )
    whole = run(clock, *arguments, length, history)
    compare(whole[1], expected)
    compare(whole, scanned(clock, *arguments, length, history))
    middle, head = run(clock, arguments[0], x[:50], starts[:50], length, history)
    for call in (scanned, run):
        final, tail = call(middle, arguments[0], x[50:], starts[50:], length, history)
        compare(whole, (final, jnp.concatenate([head, tail])))


def test_gradients_of_steps_and_sequences_agree(x64):
    weight, x, starts = drawn(70)
    weights = np.random.default_rng(1).normal(size=(70, 2 * WIDTH))

    def gradients(call):
        def weighted(weight, x):
            clock = first(weight, 3, 1)
            return jnp.sum(call(clock, weight, x, starts, 3, 1)[1] * weights)

        return jax.jit(jax.grad(weighted, (0, 1)))(weight, x)

    compare(gradients(run), gradients(scanned))


def test_many_streams_write_at_their_own_times(x64):
    weight, x, _ = drawn(40)
    starts = np.random.default_rng(2).random((24, 40)) < 0.1
    rows = jnp.broadcast_to(x, (24, *x.shape))
    clock = first(jnp.asarray(weight), 4, 0)
    batched = jax.jit(
        jax.vmap(scanned, (None, None, 0, 0, None, None)), static_argnums=(4, 5)
    )
    _, found = batched(clock, weight, rows, starts, 4, 0)
    expected = [loop(weight, x, flags, 4, 0) for flags in starts]
    compare(found, np.array(expected))
