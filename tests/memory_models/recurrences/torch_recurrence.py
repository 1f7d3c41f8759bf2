"""A recurrent model against torch with the same weights: outputs and gradients.

Two episodes: the first is entered by a used state, the second begins inside the
sequence, from a learned initial state.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch

import memory_models

TIME, START, INPUTS, HIDDEN = 11, 4, 5, 7


build = eqx.filter_jit(memory_models.make)
"""Compiled once for each model and precision."""


def make(name):
    return build(
        name,
        input_size=INPUTS,
        output_size=HIDDEN,
        key=jax.random.key(0),
        learned_initial_state=True,
    )


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def like(state, values):
    return tuple(values) if isinstance(state, tuple) else values[0]


def run_torch(reference, inputs, state, initial, weights):
    """Outputs, last state, and gradients left in every tensor given.

    Torch takes the state of an LSTM as a tuple, of the others as one array.
    """

    def given(values):
        rows = [value[None] for value in values]
        return tuple(rows) if len(rows) > 1 else rows[0]

    first, _ = reference(inputs[:START], given(state))
    second, last = reference(inputs[START:], given(initial))
    outputs = torch.cat([first, second])
    (outputs * torch.tensor(weights)).sum().backward()
    return outputs.detach(), [part[0].detach() for part in parts(last)]


def compare(name, reference, transplant, gradients_of):
    """Compare a model with `reference`, to float64's precision.

    Args:
        name: of the model.
        reference: the torch module.
        transplant: `(model, weights) -> model` with the torch weights, by name.
        gradients_of: `(model, gradients) -> pairs` of the model's and torch's gradient,
            in the model's layout.
    """
    generator = np.random.default_rng(0)
    model = make(name)
    size = len(parts(model.initial_state()))
    inputs = generator.normal(size=(TIME, INPUTS))
    weights = generator.normal(size=(TIME, HIDDEN))
    state, initial = generator.normal(size=(2, size, HIDDEN))

    tensors = [torch.tensor(x, requires_grad=True) for x in (inputs, state, initial)]
    expected, expected_last = run_torch(reference, *tensors, weights)

    named = dict(reference.named_parameters())
    values = {k: jnp.asarray(v.detach().numpy()) for k, v in named.items()}
    model = transplant(model, values)
    learned = like(model.initial, [jnp.asarray(x) for x in initial])
    model = eqx.tree_at(lambda m: m.initial, model, learned)
    entering = like(model.initial, [jnp.asarray(x) for x in state])

    def weighted(arguments):
        model, state, inputs = arguments
        last, outputs = model(state, inputs, jnp.arange(TIME) == START)
        return jnp.sum(outputs * weights), (last, outputs)

    found, (last, outputs) = eqx.filter_jit(eqx.filter_grad(weighted, has_aux=True))(
        (model, entering, jnp.asarray(inputs))
    )
    by_model, by_state, by_inputs = found
    torch_gradients = {k: jnp.asarray(v.grad.numpy()) for k, v in named.items()}
    by_torch = [tensor.grad.numpy() for tensor in tensors]
    assert np.abs(by_torch[2]).min() > 0
    for ours, theirs in (
        (outputs, expected),
        (jnp.stack(parts(last)), torch.stack(expected_last)),
        (by_inputs, by_torch[0]),
        (jnp.stack(parts(by_state)), by_torch[1]),
        (jnp.stack(parts(by_model.initial)), by_torch[2]),
        *gradients_of(by_model, torch_gradients),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
