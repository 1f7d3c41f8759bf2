"""Dual coding against a list of pairs, and against soft attention."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from tests.memory_models.episodic import loops
from tests.memory_models.episodic.nearest_loop import nearest

COLUMNS = {"place": (0, 2), "cue": (2, 5)}


def make(**options):
    options = {"num_slots": 6, "top_k": 3, "slot_size": 3, **options}
    return loops.perturbed(loops.make("dual_coding", columns=COLUMNS, **options))


def cosine(a, b):
    return a @ b / np.sqrt((a @ a + 1e-6) * (b @ b + 1e-6))


def reference(model, inputs, starts):
    """The pairs of this episode in a list, newest last."""
    pairs, outputs = [], []
    for x, start in zip(inputs, starts, strict=True):
        pairs = [] if start else pairs[-model.num_slots :]
        found, recent = [x], pairs[::-1]
        for direction, layer in enumerate(model.queries):
            query, read = loops.linear(layer, x), np.zeros(3)
            similar = [cosine(query, pair[direction]) for pair in recent]
            away = [2 - s for s in similar]
            chosen = nearest(away, range(len(recent)), model.top_k, model.num_slots)
            if chosen:
                sharpness = np.exp(float(model.log_sharpness[direction]))
                weights = loops.softmax([sharpness * similar[i] for i in chosen])
                values = np.array([recent[i][1 - direction] for i in chosen])
                read = weights @ values
            found.append(read)
        both = loops.linear(model.read, np.concatenate(found))
        outputs.append(loops.layer_norm(both))
        slices = [x[start:stop] for start, stop in model.slices]
        codes = zip(model.encode, slices, strict=True)
        pairs.append([loops.linear(layer, part) for layer, part in codes])
    return np.array(outputs)


@pytest.mark.parametrize("both_directions", [False, True])
@pytest.mark.parametrize("top_k", [1, 3])
def test_outputs_are_those_of_the_equations(x64, both_directions, top_k):
    loops.compare(make(both_directions=both_directions, top_k=top_k), reference)


def test_all_slots_and_one_column_are_soft_attention(x64):
    time = 20
    model = make(key_column="cue", value_column="cue", num_slots=time, top_k=time)
    inputs, starts = loops.data(time)
    _, outputs = loops.run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    step, episode = np.arange(time), np.cumsum(starts)
    mask = (step[:, None] > step) & (episode[:, None] == episode)
    query = loops.linear(model.queries[0], inputs)
    key, value = (loops.linear(layer, inputs[:, 2:5]) for layer in model.encode)
    query, key = (
        x / np.sqrt((x * x).sum(1, keepdims=True) + 1e-6) for x in (query, key)
    )
    found = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(x) for x in (query, key, value)),
        attn_mask=torch.tensor(mask),
        scale=float(jnp.exp(model.log_sharpness[0])),
    )
    found = np.where(mask.any(1, keepdims=True), found.numpy(), 0)
    both = np.concatenate([inputs, found], axis=1)
    expected = loops.layer_norm(loops.linear(model.read, both))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


def test_repeated_observations_are_read_the_same_by_step_and_sequence():
    model = eqx.filter_jit(make)(num_slots=8, top_k=2)
    generator = np.random.default_rng(0)
    rows = np.eye(5, dtype=np.float32)[generator.integers(0, 3, 200)]
    rows[:, 2:] += generator.normal(size=(200, 3)) * (rows[:, :1] == 0)
    inputs, starts = jnp.asarray(rows, jnp.float32), jnp.zeros(200, bool)
    state = model.initial_state()
    _, whole = loops.run(model, state, inputs, starts)
    step = eqx.filter_jit(
        lambda m, s, x: jax.lax.scan(lambda c, y: m.step(c, *y), s, x)
    )
    _, stepped = step(model, state, (inputs, starts))
    np.testing.assert_allclose(whole, stepped, rtol=0, atol=2e-5)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    loops.compare_in_float32(make(), reference, time)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="top_k=7, num_slots=6"):
        make(top_k=7)
    with pytest.raises(ValueError, match=r"'dual_coding' needs .*'cue'.*'place'"):
        memory_models.make(
            "dual_coding",
            input_size=5,
            output_size=6,
            key=jax.random.key(0),
            columns={"place": (0, 2)},
        )
