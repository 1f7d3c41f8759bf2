"""HCAM against a loop with a list of chunks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.attention.chunks import readable
from tests.memory_models.attention.loops import (
    apply,
    build,
    doubled,
    feed_forward,
    heads_of,
    norm,
    perturbed,
    random_run,
    rope,
    run,
    softmax,
    stays_with_double,
)

INPUTS, OUTPUTS = 3, 6
SMALL = {
    "num_chunks": 4,
    "chunk_size": 3,
    "top_k": 2,
    "window": 4,
    "num_heads": 2,
    "head_size": 4,
}


def make(**options):
    return build(
        "hcam",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **{**SMALL, **options},
    )


def inside(read, x, chunk):
    """Attention from x to the steps of one chunk."""
    length, width = chunk.shape
    frequency = 10_000.0 ** (-np.arange(0, width, 2) / width)
    angle = np.arange(length)[::-1, None] * frequency
    placed = chunk + np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    heads = read.num_heads
    (q,) = heads_of(x @ read.ask.weight[:, width:] + read.ask_bias, 1, heads)
    found = []
    for h in range(heads):
        pairs = [heads_of(apply(read.key_value, row), 2, heads)[:, h] for row in placed]
        keys, values = np.array(pairs).transpose(1, 0, 2)
        found.append(softmax(keys @ q[h] / np.sqrt(len(q[h]))) @ values)
    return apply(read.out, np.concatenate(found))


def choices(scores, top_k, slack=0.0):
    """The best chunks, of those within 1/1024 the newest, as sets of their numbers.

    More than one where another could be meant, given rounding of `slack` / 1024.
    """
    behind = (scores.max() - scores) * 1024
    return {
        frozenset(np.lexsort((-np.arange(len(scores)), steps))[:top_k])
        for offset in {0.0, slack, -slack}
        for steps in [np.floor(np.maximum(behind + offset, 0))]
    }


def reads(read, x, chunks, slack=0.0):
    """What is read, of every choice that could be meant."""
    if not chunks:
        return [np.zeros_like(x)]
    asked = x @ read.ask.weight[:, : len(x)]
    scores = np.array(
        [asked @ apply(read.summarise, c.mean(0)) / np.sqrt(len(x)) for c in chunks]
    )
    found = []
    for best in choices(scores, read.top_k, slack):
        weights = softmax(scores[list(best)])
        parts = [inside(read, x, chunks[i]) for i in best]
        found.append(weights @ np.array(parts))
    return found


def local_read(model, near):
    heads = model.num_heads
    q, _, _ = near[-1]
    read = []
    for h in range(heads):
        scores = [
            rope(q[h], age) @ k[h] / np.sqrt(len(q[h]))
            for age, (_, k, _) in enumerate(near[::-1])
        ]
        values = np.array([v[h] for _, _, v in near[::-1]])
        read.append(softmax(np.array(scores)) @ values)
    return apply(model.out, np.concatenate(read))


def reference(model, inputs, starts, replayed=None):
    """`replayed` outputs decide where rounding could have decided between chunks."""
    outputs, near, running, chunks = [], [], [], []
    for raw, start in zip(inputs, starts, strict=True):
        if start:
            near, running, chunks = [], [], []
        x = apply(model.encode, raw)
        n = norm(x)
        near = [*near, heads_of(apply(model.project, n), 3, model.num_heads)]
        near = near[-model.window :]
        x = x + local_read(model, near)
        slack = 0.0 if replayed is None else 0.02
        possible = [
            y + feed_forward(model.feed_forward, norm(y))
            for y in (x + r for r in reads(model.read, norm(x), chunks, slack))
        ]
        meant = 0 if replayed is None else replayed[len(outputs)]
        outputs.append(min(possible, key=lambda y: np.abs(y - meant).max()))
        running = [*running, n]
        if len(running) == model.chunk_size:
            chunks = [*chunks, np.array(running)][-model.num_chunks :]
            running = []
    return np.array(outputs)


@pytest.mark.parametrize("top_k", [1, 2])
def test_outputs_are_those_of_a_list_of_chunks(x64, top_k):
    inputs, starts = random_run(100, INPUTS, rate=0.04)
    model = perturbed(make(top_k=top_k))
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    expected = reference(doubled(model), inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-10)
    assert (np.diff(np.flatnonzero(starts)) > 20).any()


def test_one_chunk_and_no_choice_is_attention_over_that_chunk(x64):
    """Given heads of one and no choice, torch attends to the same steps."""
    import torch

    model = perturbed(make(num_chunks=1, top_k=1, num_heads=1, head_size=OUTPUTS))
    (_, store), _ = run(
        model,
        model.initial_state(),
        jnp.asarray(random_run(3, INPUTS)[0]),
        jnp.zeros(3, bool),
    )
    x = np.random.default_rng(5).normal(size=OUTPUTS)
    found = model.read.step(jnp.asarray(x), store, readable(store))
    read = doubled(model).read
    frequency = 10_000.0 ** (-np.arange(0, OUTPUTS, 2) / OUTPUTS)
    angle = np.array([2.0, 1.0, 0.0])[:, None] * frequency
    rows = np.asarray(store.rows[0]) + np.concatenate([np.sin(angle), np.cos(angle)], 1)
    keys, values = np.split(apply(read.key_value, rows), 2, axis=1)
    query = x @ read.ask.weight[:, OUTPUTS:] + read.ask_bias
    attend = torch.nn.functional.scaled_dot_product_attention
    expected = attend(*(torch.tensor(np.atleast_2d(p)) for p in (query, keys, values)))
    np.testing.assert_allclose(
        found, apply(read.out, expected.numpy()[0]), rtol=0, atol=1e-12
    )


def test_before_the_first_chunk_is_complete_the_memory_adds_nothing():
    model = perturbed(make())
    louder = eqx.tree_at(
        lambda m: (m.read.out.weight, m.read.out.bias),
        model,
        replace_fn=lambda w: 9 * w,
    )
    inputs, starts = jnp.ones((4, INPUTS)), jnp.zeros(4, bool)
    (_, one), (_, other) = (
        run(m, m.initial_state(), inputs, starts) for m in (model, louder)
    )
    np.testing.assert_array_equal(one[:3], other[:3])
    assert not np.allclose(one[3], other[3])


@pytest.mark.parametrize("memory_gradient", [False, True])
def test_gradients_into_the_memory(x64, memory_gradient):
    """Of the last output: steps before the window are reached through chunks only."""
    model, time = perturbed(make(memory_gradient=memory_gradient, top_k=4)), 12

    def last(inputs):
        return model(model.initial_state(), inputs, jnp.zeros(time, bool))[1][-1].sum()

    inputs = jnp.asarray(random_run(time, INPUTS)[0])
    reached = np.abs(jax.jit(jax.grad(last))(inputs)).max(1) > 0
    expected = np.arange(time) >= (0 if memory_gradient else time - SMALL["window"])
    np.testing.assert_array_equal(reached, expected)
    assert (model.card.gradient_stops == "nowhere") == memory_gradient


def test_float32_stays_with_float64():
    stays_with_double(make, reference, 2000, INPUTS, replay=True)


@pytest.mark.slow
def test_float32_stays_with_float64_for_long():
    stays_with_double(make, reference, 100_000, INPUTS, replay=True)


def test_step_and_sequence_choose_the_same_of_equal_chunks():
    """Chunks of the same steps in another order have the same mean, but for rounding.

    In float32, where the two multiply in another order: one of them used to choose
    the oldest and the other one by the place in its ring.
    """
    model, time = perturbed(make()), 120
    symbols = np.random.default_rng(0).integers(0, 2, time)
    inputs, starts = jnp.asarray(np.eye(INPUTS)[symbols], jnp.float32), np.zeros(time)
    starts = jnp.asarray(starts, bool)
    _, at_once = run(model, model.initial_state(), inputs, starts)
    step = eqx.filter_jit(
        lambda model, *given: jax.lax.scan(
            lambda state, row: model.step(state, *row), model.initial_state(), given
        )[1]
    )
    np.testing.assert_allclose(step(model, inputs, starts), at_once, rtol=0, atol=1e-4)


def test_sizes_without_meaning_are_refused():
    for options, message in (
        ({"window": 2}, "window=2, chunk_size=3"),
        ({"top_k": 5}, "top_k=5, num_chunks=4"),
        ({"num_chunks": 0}, "num_chunks=0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
