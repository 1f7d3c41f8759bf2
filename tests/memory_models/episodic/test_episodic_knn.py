"""Episodic neighbours against sorting a list, and exact hits."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.episodic import loops
from tests.memory_models.episodic.nearest_loop import nearest

SIZE = 3


def make(**options):
    options = {"num_slots": 6, "neighbours": 3, **options}
    return loops.perturbed(loops.make("episodic_knn", slot_size=SIZE, **options))


def reference(model, inputs, starts):
    """Equations 1, 2 and 5 of the paper, over the list of this episode's steps."""
    past, outputs = [], []
    for x, start in zip(inputs, starts, strict=True):
        past = [] if start else past[-model.num_slots :]
        key, value = np.split(loops.linear(model.write, x), 2)
        recent = past[::-1]
        distances = [np.sum((key - k) ** 2) + model.delta for k, _ in recent]
        ages = range(len(recent))
        found, total = np.zeros(SIZE), 0.0
        for i in nearest(distances, ages, model.neighbours, model.num_slots):
            found, total = found + recent[i][1] / distances[i], total + 1 / distances[i]
        found = found / total if recent else found
        outputs.append(
            loops.layer_norm(loops.linear(model.read, np.concatenate([x, found])))
        )
        past.append((key, value))
    return np.array(outputs)


@pytest.mark.parametrize("neighbours", [1, 3, 6])
def test_outputs_are_those_of_the_equations(x64, neighbours):
    loops.compare(make(neighbours=neighbours), reference)


def test_an_exact_hit_returns_the_stored_value(x64):
    model = make(delta=1e-12)
    width = loops.INPUTS
    only_found = model.read.weight.at[:width].set(0.0)
    model = eqx.tree_at(lambda m: m.read.weight, model, only_found)
    inputs, _ = loops.data(5)
    inputs[4] = inputs[1]
    _, outputs = loops.run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.zeros(5, bool)
    )
    value = np.split(loops.linear(model.write, inputs[1]), 2)[1]
    both = np.concatenate([np.zeros(width), value])
    expected = loops.layer_norm(loops.linear(model.read, both))
    np.testing.assert_allclose(outputs[4], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    loops.compare_in_float32(make(), reference, time)


@pytest.mark.parametrize(
    "options", [{"neighbours": 7}, {"neighbours": 0}, {"delta": 0.0}]
)
def test_options_without_meaning_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        make(**options)
