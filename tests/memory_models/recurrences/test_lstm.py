"""LSTM against torch.nn.LSTM with the same weights: outputs and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from tests.memory_models.linear.model_loops import compare_long, linear, sigmoid
from tests.memory_models.recurrences.torch_recurrence import (
    HIDDEN,
    INPUTS,
    compare,
    make,
)


def transplant(model, weights):
    """The torch weights; torch orders gates i, f, g, o, and so does ours."""
    gates = jnp.split(weights["weight_hh_l0"].T, 4, axis=1)
    return eqx.tree_at(
        lambda m: (
            m.project.weight,
            m.project.bias,
            *(gate.weight for gate in m.recurrent),
        ),
        model,
        (
            weights["weight_ih_l0"].T,
            weights["bias_ih_l0"] + weights["bias_hh_l0"],
            *gates,
        ),
    )


def gradients_of(model, theirs):
    gates = jnp.concatenate([gate.weight for gate in model.recurrent], axis=1)
    return (
        (model.project.weight, theirs["weight_ih_l0"].T),
        (model.project.bias, theirs["bias_ih_l0"]),
        (gates, theirs["weight_hh_l0"].T),
    )


def test_outputs_and_gradients_are_those_of_torch(x64):
    torch.manual_seed(0)
    reference = torch.nn.LSTM(INPUTS, HIDDEN).double()
    compare("lstm", reference, transplant, gradients_of)


def loop(model, inputs, starts):
    h = c = np.zeros(model.recurrent[0].weight.shape[0])
    outputs = []
    for x, start in zip(linear(model.project, inputs), starts, strict=True):
        h, c = (np.zeros_like(h), np.zeros_like(c)) if start else (h, c)
        i, f, g, o = (
            part + linear(gate, h)
            for part, gate in zip(np.split(x, 4), model.recurrent, strict=True)
        )
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return [h, c], np.array(outputs)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("lstm", loop, time)


def test_weights_start_as_documented():
    model = make("lstm")
    gates = [gate.weight for gate in model.recurrent]
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(HIDDEN), atol=1e-5)
    assert not np.allclose(gates[0], gates[1])
    drawn = np.asarray(model.project.bias).reshape(4, HIDDEN)
    steps = np.exp(drawn[1])
    assert (steps >= 1).all() and (steps <= 127).all() and steps.max() > 60
    np.testing.assert_array_equal(drawn[0], -drawn[1])
    np.testing.assert_array_equal(drawn[2:], 0)

    model = memory_models.make(
        "lstm", input_size=2, output_size=3, key=jax.random.key(0), timescale=0
    )
    bias = np.zeros((4, 3))
    bias[1] = 1.0
    np.testing.assert_array_equal(model.project.bias, bias.ravel())
    with pytest.raises(ValueError, match="timescale=2"):
        memory_models.make(
            "lstm", input_size=2, output_size=3, key=jax.random.key(0), timescale=2
        )


def test_open_forget_and_closed_input_gates_keep_the_cell():
    model = make("lstm")
    bias = model.project.bias.at[:HIDDEN].set(-1e4).at[HIDDEN : 2 * HIDDEN].set(1e4)
    model = eqx.tree_at(lambda m: m.project.bias, model, bias)
    cell = jnp.linspace(-3.0, 3.0, HIDDEN)
    state = (jnp.zeros(HIDDEN), cell)
    (_, final), _ = model(state, jnp.ones((20, INPUTS)), jnp.zeros(20, bool))
    np.testing.assert_array_equal(final, cell)
