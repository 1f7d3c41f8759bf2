"""The simple recurrent network against torch.nn.RNN: outputs and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from tests.memory_models.linear.model_loops import compare_long, linear
from tests.memory_models.recurrences.torch_recurrence import (
    HIDDEN,
    INPUTS,
    compare,
    make,
)


def transplant(model, weights):
    """The torch weights; torch multiplies from the left and has two biases."""
    return eqx.tree_at(
        lambda m: (m.project.weight, m.project.bias, m.recurrent.weight),
        model,
        (
            weights["weight_ih_l0"].T,
            weights["bias_ih_l0"] + weights["bias_hh_l0"],
            weights["weight_hh_l0"].T,
        ),
    )


def gradients_of(model, theirs):
    return (
        (model.project.weight, theirs["weight_ih_l0"].T),
        (model.project.bias, theirs["bias_ih_l0"]),
        (model.recurrent.weight, theirs["weight_hh_l0"].T),
    )


def test_outputs_and_gradients_are_those_of_torch(x64):
    torch.manual_seed(0)
    reference = torch.nn.RNN(INPUTS, HIDDEN).double()
    compare("elman", reference, transplant, gradients_of)


def loop(model, inputs, starts):
    h, outputs = np.zeros(model.recurrent.weight.shape[0]), []
    for x, start in zip(linear(model.project, inputs), starts, strict=True):
        h = np.tanh(x + (0.0 if start else 1.0) * h @ model.recurrent.weight)
        outputs.append(h)
    return [h], np.array(outputs)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("elman", loop, time)


def test_recurrent_weights_start_orthogonal():
    weight = make("elman").recurrent.weight
    np.testing.assert_allclose(weight.T @ weight, np.eye(HIDDEN), atol=1e-5)


def test_a_first_input_is_still_there_after_a_hundred_steps():
    """At the start, with the default scale; not with the usual one."""

    def kept(scale):
        model = memory_models.make(
            "elman",
            input_size=4,
            output_size=64,
            key=jax.random.key(0),
            input_scale=scale,
        )
        inputs = jnp.zeros((100, 4)).at[0].set(jnp.array([1.0, -1.0, 0.5, 2.0]))
        outputs = model(model.initial_state(), inputs, jnp.arange(100) == 0)[1]
        return np.linalg.norm(outputs[-1]) / np.linalg.norm(outputs[0])

    assert kept(0.1) > 0.45 > 0.2 > kept(1.0)
    with pytest.raises(ValueError, match=r"input_scale=0\.0"):
        kept(0.0)
