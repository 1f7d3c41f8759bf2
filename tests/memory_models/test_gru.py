"""GRU against torch.nn.GRU with the same weights: outputs and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch

import memory_models

TIME, INPUTS, HIDDEN = 11, 5, 7


def transplant(model, reference):
    """The torch weights; torch has a second bias for r and z, which adds to the first.

    torch orders gates r, z, n and multiplies from the left.
    """
    weights = {
        name: jnp.asarray(parameter.detach().numpy())
        for name, parameter in reference.named_parameters()
    }
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


def test_outputs_and_gradients_are_those_of_torch(x64):
    torch.manual_seed(0)
    reference = torch.nn.GRU(INPUTS, HIDDEN).double()
    generator = np.random.default_rng(0)
    inputs, weights, state = (
        generator.normal(size=shape)
        for shape in ((TIME, INPUTS), (TIME, HIDDEN), (HIDDEN,))
    )
    torch_inputs = torch.tensor(inputs, requires_grad=True)
    torch_state = torch.tensor(state[None], requires_grad=True)
    expected, last = reference(torch_inputs, torch_state)
    (expected * torch.tensor(weights)).sum().backward()

    model = memory_models.make(
        "gru", input_size=INPUTS, output_size=HIDDEN, key=jax.random.key(0)
    )
    model = transplant(model, reference)

    def weighted(arguments):
        model, state, inputs = arguments
        last, outputs = model(state, inputs, jnp.zeros(TIME, bool))
        return jnp.sum(outputs * weights), (last, outputs)

    arguments = (model, jnp.asarray(state), jnp.asarray(inputs))
    found, (final, outputs) = eqx.filter_jit(eqx.filter_grad(weighted, has_aux=True))(
        arguments
    )
    same = dict(rtol=0, atol=1e-12)
    np.testing.assert_allclose(outputs, expected.detach(), **same)
    np.testing.assert_allclose(final, last[0].detach(), **same)
    by_model, by_state, by_inputs = found
    parameters = dict(reference.named_parameters())
    inner = parameters["bias_hh_l0"].grad
    for ours, theirs in (
        (by_inputs, torch_inputs.grad),
        (by_state, torch_state.grad[0]),
        (by_model.project.weight, parameters["weight_ih_l0"].grad.T),
        (by_model.project.bias, parameters["bias_ih_l0"].grad),
        (
            jnp.concatenate([gate.weight for gate in by_model.recurrent], axis=1),
            parameters["weight_hh_l0"].grad.T,
        ),
        (by_model.recurrent[2].bias, inner[2 * HIDDEN :]),
    ):
        np.testing.assert_allclose(ours, theirs, **same)


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
