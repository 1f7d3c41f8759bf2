"""GRU against torch.nn.GRU with the same weights: outputs and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from tests.memory_models.linear.model_loops import compare_long, linear, sigmoid
from tests.memory_models.recurrences.torch_recurrence import HIDDEN, INPUTS, compare


def transplant(model, weights):
    """The torch weights; torch has a second bias for r and z, which adds to the first.

    torch orders gates r, z, n and multiplies from the left.
    """
    outer, inner = weights["bias_ih_l0"], weights["bias_hh_l0"]
    bias = outer + inner.at[2 * HIDDEN :].set(0.0)
    gates = jnp.split(weights["weight_hh_l0"].T, 3, axis=1)
    return eqx.tree_at(
        lambda m: (
            m.project.weight,
            m.project.bias,
            *(gate.weight for gate in m.recurrent),
            m.recurrent[2].bias,
        ),
        model,
        (weights["weight_ih_l0"].T, bias, *gates, inner[2 * HIDDEN :]),
    )


def gradients_of(model, theirs):
    gates = jnp.concatenate([gate.weight for gate in model.recurrent], axis=1)
    return (
        (model.project.weight, theirs["weight_ih_l0"].T),
        (model.project.bias, theirs["bias_ih_l0"]),
        (gates, theirs["weight_hh_l0"].T),
        (model.recurrent[2].bias, theirs["bias_hh_l0"][2 * HIDDEN :]),
    )


def test_outputs_and_gradients_are_those_of_torch(x64):
    torch.manual_seed(0)
    reference = torch.nn.GRU(INPUTS, HIDDEN).double()
    compare("gru", reference, transplant, gradients_of)


def loop(model, inputs, starts):
    h, outputs = np.zeros(model.recurrent[0].weight.shape[0]), []
    for x, start in zip(linear(model.project, inputs), starts, strict=True):
        h = np.zeros_like(h) if start else h
        in_r, in_z, in_n = np.split(x, 3)
        of_r, of_z, of_n = (linear(gate, h) for gate in model.recurrent)
        z = sigmoid(in_z + of_z)
        h = (1 - z) * np.tanh(in_n + sigmoid(in_r + of_r) * of_n) + z * h
        outputs.append(h)
    return [h], np.array(outputs)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("gru", loop, time)


def test_an_update_gate_of_one_keeps_the_state():
    model = memory_models.make(
        "gru", input_size=2, output_size=3, key=jax.random.key(0)
    )
    gate = slice(3, 6)
    model = eqx.tree_at(
        lambda m: m.project.bias, model, model.project.bias.at[gate].set(1e4)
    )
    state = jnp.array([0.3, -0.2, 0.9])
    final, _ = model(state, jnp.ones((50, 2)), jnp.zeros(50, bool))
    np.testing.assert_array_equal(final, state)


def test_recurrent_weights_of_each_gate_start_orthogonal():
    model = memory_models.make(
        "gru", input_size=2, output_size=6, key=jax.random.key(0)
    )
    gates = [gate.weight for gate in model.recurrent]
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(6), atol=1e-5)
    assert not np.allclose(gates[0], gates[1])


def test_units_start_with_memories_of_many_lengths():
    """Left alone, unit i keeps sigmoid(b_i) of its value: 1 to 127 steps."""
    model = memory_models.make(
        "gru", input_size=2, output_size=512, key=jax.random.key(0)
    )
    bias = np.asarray(model.project.bias).reshape(3, 512)
    steps = np.exp(bias[1])
    assert 1 <= steps.min() < 3 and 125 < steps.max() <= 127
    assert abs(steps.mean() - 64) < 4
    np.testing.assert_array_equal(bias[[0, 2]], 0)
    plain = memory_models.make(
        "gru", input_size=2, output_size=8, key=jax.random.key(0), timescale=0
    )
    np.testing.assert_array_equal(plain.project.bias, 0)
