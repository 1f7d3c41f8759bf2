"""MEMO against its equations, with a list of facts."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.episodic import loops

SLOTS, ITEM, HEADS, SIZE = 4, 3, 2, 3


def make(items=3, hops=2, **options):
    model = loops.make(
        "memo",
        num_slots=SLOTS,
        item_size=ITEM,
        num_heads=HEADS,
        head_size=SIZE,
        items=items,
        hops=hops,
        **options,
    )
    return loops.perturbed(model)


def look(model, q, keys, values):
    """One hop."""
    asked, found = loops.linear(model.address, q), []
    for head in range(HEADS):
        part = slice(head * SIZE, (head + 1) * SIZE)
        weights = loops.softmax(keys[:, part] @ asked[part] / SIZE**0.5)
        found.append(weights @ values[:, part])
    return loops.layer_norm(q + loops.linear(model.combine, np.concatenate(found)))


def reference(model, inputs, starts):
    """Facts are lists of embedded steps, newest first."""
    embedded, facts, outputs = [], [], []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            embedded, facts = [], []
        embedded = [loops.linear(model.embed, x), *embedded][: model.items]
        missing = [np.zeros(ITEM)] * (model.items - len(embedded))
        facts = [*facts, np.concatenate([*embedded, *missing])][-SLOTS:]
        keys, values = np.split(loops.linear(model.write, np.array(facts)), 2, axis=1)
        q, left, answer = loops.linear(model.query, x), 1.0, 0.0
        for hop in range(model.hops):
            q = look(model, q, keys, values)
            stop = 1.0 if hop == model.hops - 1 else 0.0
            if model.halt is not None and not stop:
                stop = loops.sigmoid(loops.linear(model.halt, q)[0])
            answer, left = answer + left * stop * q, left * (1 - stop)
        both = loops.linear(model.read, np.concatenate([x, answer]))
        outputs.append(loops.layer_norm(both))
    return np.array(outputs)


@pytest.mark.parametrize(
    "options",
    [{}, {"halting": True, "hops": 3}, {"items": 1}],
    ids=["facts of three", "halting", "facts of one"],
)
def test_outputs_are_those_of_the_equations(x64, options):
    loops.compare(make(**options), reference)


def test_one_hop_is_a_key_value_memory(x64):
    """Facts of one step, identity weights around one look: soft attention."""
    model = make(items=1, hops=1)
    eye = jnp.eye(HEADS * SIZE)
    model = eqx.tree_at(
        lambda m: (m.address.weight, m.combine.weight), model, (eye, eye)
    )
    inputs, starts = loops.data(20)
    _, outputs = loops.run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    embedding = loops.double(model.embed.weight) @ loops.double(model.write.weight)
    keys, values = np.split(inputs @ embedding, 2, axis=1)
    query = loops.linear(model.query, inputs)
    step, episode = np.arange(20), np.cumsum(starts)
    age = step[:, None] - step
    mask = (age >= 0) & (age < SLOTS) & (episode[:, None] == episode)
    found = np.zeros_like(query)
    for head in range(HEADS):
        part = slice(head * SIZE, (head + 1) * SIZE)
        scores = np.exp(query[:, part] @ keys[:, part].T / SIZE**0.5) * mask
        found[:, part] = scores / scores.sum(1, keepdims=True) @ values[:, part]
    answer = np.concatenate([inputs, loops.layer_norm(query + found)], axis=1)
    expected = loops.layer_norm(loops.linear(model.read, answer))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    loops.compare_in_float32(make(), reference, time)


@pytest.mark.parametrize("option", ["num_slots", "items", "hops"])
def test_sizes_without_meaning_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}=0"):
        loops.make("memo", **{option: 0})
