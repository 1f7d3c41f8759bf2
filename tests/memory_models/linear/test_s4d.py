"""S4D against its paper's equations, scipy's discretisation, and its own kernel."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import cont2discrete

from tests.memory_models.linear.model_loops import (
    compare,
    compare_long,
    layer_norm,
    linear,
    make,
    numbers,
    perturbed,
    run,
    sigmoid,
)

SMALL = {"modes": 2}


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def discretised(model):
    """exp(Lambda step), and (exp(Lambda step) - 1) / Lambda, in complex numbers.

    The real part of Lambda step is at most -1e-6 (linear_scan.MINIMUM_RATE).
    """
    step = np.exp(model.log_step)[:, None]
    eigenvalue = -np.exp(model.log_rate) + 1j * model.frequency - 1e-6 / step
    decay = np.exp(eigenvalue * step)
    return decay, (decay - 1) / eigenvalue


def loop(model, inputs, starts):
    decay, gain = discretised(model)
    c, h, outputs = model.read[0] + 1j * model.read[1], np.zeros_like(decay), []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            h = np.zeros_like(h)
        u = linear(model.encode, x)
        v = layer_norm(u)
        h = decay * h + gain * v[:, None]
        w = gelu(2 * (c * h).sum(1).real + model.through * v)
        outputs.append(u + linear(model.value, w) * sigmoid(linear(model.gate, w)))
    return [h.real, h.imag], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("s4d", loop, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("s4d", loop, time, **SMALL)


def test_the_discretisation_is_that_of_scipy(x64):
    model = perturbed(make("s4d", **SMALL))
    decay, gain = (np.asarray(a) + 1j * np.asarray(b) for a, b in model.dynamics())
    plain = numbers(model)
    step = np.exp(plain.log_step)
    for feature in range(len(step)):
        rate = np.exp(plain.log_rate[feature]) + 1e-6 / step[feature]
        for mode in range(2):
            # One complex number as a rotation of the plane.
            a, b = -rate[mode], plain.frequency[feature, mode]
            system = (
                np.array([[a, -b], [b, a]]),
                np.array([[1.0], [0.0]]),
                np.eye(2),
                np.zeros((2, 1)),
            )
            ad, bd, *_ = cont2discrete(system, step[feature], method="zoh")
            found = decay[feature, mode], gain[feature, mode]
            expected = ad[0, 0] + 1j * ad[1, 0], bd[0, 0] + 1j * bd[1, 0]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_an_impulse_leaves_the_kernel(x64):
    """The states after an input that is normalised to nothing else are its powers."""
    model = perturbed(make("s4d", **SMALL))
    time = 200
    inputs = jnp.zeros((time, 5)).at[0].set(1.0)
    model = eqx.tree_at(lambda m: m.encode.bias, model, jnp.zeros(6))
    starts = jnp.zeros(time, bool)
    (real, imaginary), _ = run(model, model.initial_state(), inputs, starts)
    plain = numbers(model)
    decay, gain = discretised(plain)
    v = layer_norm(plain.encode.weight.sum(0))
    expected = decay ** (time - 1) * gain * v[:, None]
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(real, expected.real, rtol=0, atol=1e-12)
    np.testing.assert_allclose(imaginary, expected.imag, rtol=0, atol=1e-12)


@pytest.mark.parametrize("log_rate", [-200.0, 50.0])
def test_no_value_of_the_parameters_makes_a_state_grow(log_rate):
    model = make("s4d", **SMALL)
    rates = jnp.full_like(model.log_rate, log_rate)
    model = eqx.tree_at(lambda m: m.log_rate, model, rates)
    decay, gain = model.dynamics()
    assert float(jnp.hypot(*decay).max()) <= 1.0
    assert all(np.isfinite(part).all() for part in gain)


def test_options_without_meaning_are_refused():
    with pytest.raises(ValueError, match="modes=0"):
        make("s4d", modes=0)
    with pytest.raises(ValueError, match="step_min=0"):
        make("s4d", step_min=0.0)
