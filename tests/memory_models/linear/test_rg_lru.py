"""RG-LRU against its paper's equations, the first step of an episode included."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.model_loops import (
    Convolution,
    compare,
    compare_long,
    draw,
    heads,
    linear,
    make,
    run,
    sigmoid,
    softplus,
)

SMALL = {"units": 4, "num_heads": 2, "taps": 3}


def gelu(x):
    """The approximation by tanh, JAX's and Griffin's."""
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def loop(model, inputs, starts):
    """Equations 1 to 4 and 6 of the paper."""
    units, h, fresh = model.log_rate.size, np.zeros_like(model.log_rate), True
    convolve, outputs = Convolution(model.convolve), []

    def gate(u, weight, bias):
        blocks = zip(heads(u, len(weight)), weight, strict=True)
        return sigmoid(np.concatenate([part @ block for part, block in blocks]) + bias)

    for x, start in zip(inputs, starts, strict=True):
        if start:
            fresh = True
            convolve.reset()
        u, z, skip = np.split(linear(model.project, x), [units, 2 * units])
        u = convolve(u)
        i = gate(u, model.input_gate, model.gate_bias[0])
        r = gate(u, model.decay_gate, model.gate_bias[1])
        a = np.exp(-8 * r * (1e-6 + softplus(model.log_rate)))
        h = i * u if fresh else a * h + np.sqrt(1 - a**2) * (i * u)
        fresh = False
        outputs.append(linear(model.mix, h * gelu(z)) + skip)
    return [h, convolve.tail(), False], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("rg_lru", loop, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("rg_lru", loop, time, **SMALL)


def test_a_closed_gate_keeps_the_state_and_has_finite_gradients():
    """g = 0, exactly, in float32: a is 1 and the root is of next to nothing."""
    model = make("rg_lru", **SMALL)
    bias = model.gate_bias.at[1].set(-1e4)
    model = eqx.tree_at(lambda m: m.gate_bias, model, bias)
    state = (jnp.linspace(-1.0, 1.0, 4), model.initial_state()[1], jnp.zeros((), bool))
    inputs, starts = draw(40, 0.0)
    inputs, starts = jnp.asarray(inputs, jnp.float32), jnp.asarray(starts)
    (hidden, *_), _ = run(model, state, inputs, starts)
    np.testing.assert_allclose(hidden, state[0], rtol=0, atol=1e-4)

    def total(model):
        return model(state, inputs, starts)[1].sum()

    gradient = eqx.filter_jit(eqx.filter_grad(total))(model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_decays_start_on_the_ring():
    model = make("rg_lru", units=400)
    a = np.exp(-8 * (1e-6 + softplus(np.asarray(model.log_rate))))
    assert 0.8999 < a.min() < 0.905 and 0.998 < a.max() < 0.9991
    np.testing.assert_allclose((a**2).mean(), (0.81 + 0.999**2) / 2, atol=0.01)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="units=6 and num_heads=4"):
        make("rg_lru", units=6, num_heads=4)
