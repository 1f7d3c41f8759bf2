"""The LMU against its paper's equations; its memory as a delay line."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import cont2discrete

from memory_models.mechanisms.scans.dense_scan import dense_scan
from memory_models.recurrences.lmu import legendre_hold
from tests.memory_models.linear.model_loops import compare, compare_long, linear, make

SMALL = {"channels": 2, "order": 3, "window": 5}


def legendre_system(order, window):
    """A and B of the paper's equation 2, entry by entry."""
    a, b = np.zeros((order, order)), np.zeros((order, 1))
    for i in range(order):
        b[i] = (2 * i + 1) * (-1) ** i / window
        for j in range(order):
            sign = -1 if i < j else (-1) ** (i - j + 1)
            a[i, j] = (2 * i + 1) * sign / window
    return a, b


def scipy_hold(order, window):
    a, b = legendre_system(order, window)
    nothing = np.eye(order), np.zeros((order, 1))
    ad, bd, *_ = cont2discrete((a, b, *nothing), 1.0, method="zoh")
    return ad, bd[:, 0]


@pytest.mark.parametrize("order,window", [(1, 1), (3, 5), (12, 50), (32, 16), (16, 1)])
def test_the_discretisation_is_that_of_scipy(order, window):
    pairs = zip(legendre_hold(order, window), scipy_hold(order, window), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def loop(model, inputs, starts):
    a, b = scipy_hold(model.order, model.window)
    h = np.zeros(model.recurrent.weight.shape[0])
    m, outputs = np.zeros((model.write.weight.shape[1], model.order)), []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            h, m = np.zeros_like(h), np.zeros_like(m)
        u = linear(model.write, x)
        m = np.array([a @ row + b * signal for row, signal in zip(m, u, strict=True)])
        given = linear(model.project, x) + linear(model.read, m.ravel())
        h = np.tanh(given + linear(model.recurrent, h))
        outputs.append(h)
    return [h, m], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("lmu", loop, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("lmu", loop, time, **SMALL)


def test_the_coefficients_sum_to_the_signal_a_window_ago():
    """Legendre polynomials are 1 at the far end of the window: a delay of 50 steps."""
    order, window, time = 12, 50, 400
    a, b = legendre_hold(order, window)
    signal = np.sin(2 * np.pi * np.arange(time) / 60).astype(np.float32)
    drive = jnp.asarray(signal[:, None, None] * b, jnp.float32)
    states = dense_scan(
        jnp.asarray(a.T, jnp.float32),
        drive,
        jnp.zeros(time, bool),
        jnp.zeros((1, order), jnp.float32),
    )
    delayed = np.asarray(states)[:, 0].sum(1)
    error = np.abs(delayed[150:] - signal[100:-50]).max()
    assert error < 0.06
    assert np.abs(delayed[150:] - signal[150:]).max() > 0.5
    assert np.abs(np.linalg.eigvals(a)).max() < 0.9


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="window=0"):
        make("lmu", window=0)
