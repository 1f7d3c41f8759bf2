"""The simple recurrent network against torch.nn.RNN: outputs and gradients."""

import equinox as eqx
import numpy as np
import torch

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


def test_recurrent_weights_start_orthogonal():
    weight = make("elman").recurrent.weight
    np.testing.assert_allclose(weight.T @ weight, np.eye(HIDDEN), atol=1e-5)
