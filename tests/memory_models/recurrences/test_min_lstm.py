"""min_lstm against its paper's equations, and as a latch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from tests.memory_models.linear.model_loops import (
    compare,
    compare_long,
    draw,
    linear,
    make,
    run,
    sigmoid,
)


def loop(model, inputs, starts):
    hidden = np.zeros(model.project.bias.size // 3)
    outputs = []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            hidden = np.zeros_like(hidden)
        forget, write, candidate = np.split(linear(model.project, x), 3)
        f, i = sigmoid(forget), sigmoid(write)
        hidden = f / (f + i) * hidden + i / (f + i) * candidate
        outputs.append(hidden)
    return [hidden], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("min_lstm", loop)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("min_lstm", loop, time)


@pytest.mark.parametrize("gate", [1e3, 1e30])
def test_it_latches_a_value(gate):
    """Where the gate's input is positive it copies its candidate, else it keeps it."""
    model = make("min_lstm")
    weight = jnp.zeros((5, 3 * 6)).at[1, -6:].set(1.0)
    weight = weight.at[0, :6].set(-gate).at[0, 6:12].set(gate)
    model = eqx.tree_at(lambda m: m.project.weight, model, weight)
    inputs = np.array(draw(40, 0.0)[0], np.float32)
    inputs[:, 0] = -1.0
    inputs[7, 0] = inputs[20, 0] = 1.0
    _, outputs = run(model, jnp.full(6, 9.0), jnp.asarray(inputs), jnp.zeros(40, bool))
    np.testing.assert_array_equal(outputs[:7], 9.0)
    np.testing.assert_array_equal(outputs[7:20], inputs[7, 1])
    np.testing.assert_array_equal(outputs[20:], inputs[20, 1])


def test_units_start_with_memories_of_many_lengths():
    """Without inputs a unit keeps 1 - 1 / (1 + u) of its value, u from 1 to 127."""
    model = memory_models.make(
        "min_lstm", input_size=2, output_size=256, key=jax.random.key(0)
    )
    kept, _ = model.step(jnp.ones(256), jnp.zeros(2), jnp.array(False))
    steps = 1 / (1 - np.asarray(kept)) - 1
    assert 0.9 < steps.min() < 4 and 120 < steps.max() < 130
    with pytest.raises(ValueError, match="timescale=1"):
        memory_models.make(
            "min_lstm", input_size=2, output_size=3, key=jax.random.key(0), timescale=1
        )
