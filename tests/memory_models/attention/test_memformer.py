"""Memformer against lists of steps and slots, and its update alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    apply,
    build,
    feed_forward,
    heads_of,
    matches,
    norm,
    perturbed,
    random_run,
    rope,
    softmax,
    stays_with_double,
)

INPUTS, OUTPUTS = 3, 6


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "segment_length": 5, **options}
    return build(
        "memformer",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **{"num_slots": 3, "temperature": 0.7, **options},
    )


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def outputs_of(model, x, steps, slots):
    """One step that sees `steps`, (age, x) pairs with itself, and slots."""
    heads = model.num_heads
    q, _, _ = heads_of(apply(model.project, norm(x)), 3, heads)
    read, seen = (
        [],
        [
            (age, *heads_of(apply(model.project, norm(s)), 3, heads)[1:])
            for age, s in steps
        ],
    )
    for h in range(heads):
        scores = [rope(q[h], age) @ k[h] for age, k, _ in seen]
        weights = softmax(np.array(scores) / np.sqrt(len(q[h])))
        read.append(weights @ np.array([v[h] for _, _, v in seen]))
    x = x + apply(model.out, np.concatenate(read))
    (q,) = heads_of(apply(model.ask, norm(x)), 1, heads)
    read, large = [], slots * np.sqrt(len(x))
    pairs = [heads_of(apply(model.slot_key_value, m), 2, heads) for m in large]
    for h in range(heads):
        scores = np.array([q[h] @ k[h] for k, _ in pairs]) / np.sqrt(len(q[h]))
        read.append(softmax(scores) @ np.array([v[h] for _, v in pairs]))
    x = x + apply(model.slot_out, np.concatenate(read))
    return x + feed_forward(model.feed_forward, norm(x))


def updated(model, slots, outputs):
    heads, rows = model.num_heads, []
    for slot, bias in zip(slots * np.sqrt(slots.shape[1]), model.bias, strict=True):
        seen = [heads_of(apply(model.update, y), 3, heads) for y in [slot, *outputs]]
        read, own = [], []
        for h in range(heads):
            query = seen[0][0][h]
            scores = np.array([query @ k[h] for _, k, _ in seen])
            weights = softmax(scores / np.sqrt(len(query)) / model.temperature)
            own.append(weights[0])
            read.append(weights[1:] @ np.array([v[h] for _, _, v in seen[1:]]))
        new = np.mean(own) * slot + apply(model.update_out, np.concatenate(read))
        rows.append(unit(new + bias))
    return np.array(rows)


def reference(model, inputs, starts):
    slots, segment, made, outputs = unit(model.bias), [], [], []
    for raw, start in zip(inputs, starts, strict=True):
        if start:
            slots, segment, made = unit(model.bias), [], []
        x = apply(model.encode, raw)
        segment.append(x)
        steps = list(enumerate(segment[::-1]))
        made.append(outputs_of(model, x, steps, slots))
        outputs.append(made[-1])
        if len(segment) == model.segment_length:
            slots = updated(model, slots, norm(np.array(made)))
            segment, made = [], []
    return np.array(outputs)


def test_outputs_are_those_of_a_list_of_steps(x64):
    matches(perturbed(make()), reference, 90, INPUTS, tolerance=1e-9)


def test_slots_in_another_order_give_the_same_slots_in_that_order(x64):
    model, order = perturbed(make()), np.array([2, 0, 1])
    other = eqx.tree_at(lambda m: m.bias, model, model.bias[order])
    segment = jnp.asarray(random_run(5, OUTPUTS)[0])
    memory = jnp.asarray(unit(random_run(3, OUTPUTS, seed=4)[0]))
    write = jax.jit(lambda model, memory: model.written(memory, segment))
    one, same = write(model, memory), write(other, memory[order])
    np.testing.assert_allclose(one[order], same, rtol=0, atol=1e-12)


def test_slots_that_see_only_themselves_drift_to_their_bias(x64):
    model = make(num_heads=1, head_size=OUTPUTS)
    one = jnp.eye(OUTPUTS)
    model = eqx.tree_at(
        lambda m: (m.update.weight, m.update_out.weight),
        model,
        (jnp.concatenate([9 * one, 9 * one, one], axis=1), one),
    )
    memory = jnp.asarray(unit(random_run(3, OUTPUTS, seed=4)[0]))
    segment = jnp.zeros((5, OUTPUTS))
    write = jax.jit(lambda memory: model.written(memory, segment))
    goal, distances = unit(np.asarray(model.bias)), []
    for _ in range(200):
        memory = write(memory)
        distances.append(np.linalg.norm(unit(memory) - goal, axis=1).max())
    assert distances[0] > 0.3
    assert np.all(np.diff(distances) < 1e-12)
    assert distances[-1] < 1e-3


def test_gradients_reach_earlier_segments(x64):
    model = perturbed(make())

    def last(inputs):
        starts = jnp.arange(23) == 2
        return model(model.initial_state(), inputs, starts)[1][-1].sum()

    inputs = jnp.asarray(random_run(23, INPUTS)[0])
    reached = np.abs(jax.jit(jax.grad(last))(inputs)).max(1) > 0
    np.testing.assert_array_equal(reached, np.arange(23) >= 2)


@pytest.mark.slow  # by default rmt and transformer_xl stand for their mechanisms
@pytest.mark.parametrize("time", [2000, 100_000])
def test_float32_stays_with_float64(time):
    stays_with_double(lambda: make(temperature=1.0), reference, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="num_slots=0"):
        make(num_slots=0)
    with pytest.raises(ValueError, match="temperature=0"):
        make(temperature=0.0)
