"""sLSTM against the unscaled equations of its paper, and its closed form."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.model_loops import (
    Convolution,
    check,
    compare_long,
    draw,
    layer_norm,
    linear,
    make,
    numbers,
    perturbed,
    run,
    sigmoid,
    silu,
)

SMALL = {"num_heads": 2, "taps": 3}


def loop(model, inputs, starts):
    """Equations 8 to 17 of the paper, with an m of minus infinity at first."""
    count, units, _ = model.recurrent.shape
    convolve, outputs = Convolution(model.convolve), []

    zeros, nothing = np.zeros((count, units)), np.full((count, units), -np.inf)
    c, n, h, m = zeros, zeros, zeros, nothing
    for x, start in zip(inputs, starts, strict=True):
        if start:
            c, n, h, m = zeros, zeros, zeros, nothing
            convolve.reset()
        u = linear(model.encode, x)
        w = linear(model.encode, layer_norm(x))
        given = [
            *np.split(linear(model.gates, silu(convolve(w))), 2),
            *np.split(linear(model.values, w), 2),
        ]
        raw = np.array([part.reshape(count, units) for part in given])
        for head in range(count):
            mixed = h[head] @ model.recurrent[head]
            raw[:, head] += mixed.reshape(4, units)
        i, f, z, o = raw
        log_f = np.log(sigmoid(f))
        before, m = m, np.maximum(log_f + m, i)
        c = np.exp(log_f + before - m) * c + np.exp(i - m) * np.tanh(z)
        n = np.exp(log_f + before - m) * n + np.exp(i - m)
        h = sigmoid(o) * c / n
        outputs.append(layer_norm(h).ravel() * model.scale + u)
    return [c, n, h, m, convolve.tail()], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    model = perturbed(make("slstm", **SMALL), 0.5)
    inputs, starts = draw(40, 0.15)
    found = run(model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts))
    check(found, loop(numbers(model), inputs, starts), 1e-10)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("slstm", loop, time, **SMALL)


def test_constant_gates_give_the_mean_of_what_was_written(x64):
    """f = 1 and i constant: c / n is the mean of tanh(z), from the first step on."""
    model = perturbed(make("slstm", **SMALL))
    size = 6
    gates, values = model.gates, model.values
    model = eqx.tree_at(
        lambda m: (m.gates.weight, m.gates.bias, m.values.bias, m.recurrent),
        model,
        (
            jnp.zeros_like(gates.weight),
            jnp.concatenate([jnp.full(size, -3.0), jnp.full(size, 1e3)]),
            jnp.zeros_like(values.bias),
            jnp.zeros_like(model.recurrent),
        ),
    )
    inputs, starts = draw(40, 0.0)
    (cell, _), _ = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    plain = numbers(model)
    values = linear(plain.values, linear(plain.encode, layer_norm(inputs)))
    written = np.tanh(values[:, :size])
    np.testing.assert_allclose(
        np.asarray(cell[0] / cell[1]).ravel(), written.mean(0), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(cell[1], 40.0, rtol=1e-12)


def test_biases_of_the_forget_gate_start_as_documented():
    bias = np.asarray(make("slstm", **SMALL).gates.bias).reshape(2, 2, 3)
    ramp = 5 - 12 * np.array([0, 0.5, 1]) ** 0.3
    np.testing.assert_allclose(bias, [[[0, 0, 0]] * 2, [ramp] * 2], atol=1e-6)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="output_size=6 and num_heads=4"):
        make("slstm", num_heads=4)
