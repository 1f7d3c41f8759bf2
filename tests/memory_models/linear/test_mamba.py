"""Mamba against the loop of its paper's Algorithm 2, and what its step size does."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.model_loops import (
    Convolution,
    compare,
    compare_long,
    draw,
    linear,
    make,
    numbers,
    perturbed,
    rms_norm,
    run,
    silu,
    softplus,
)

SMALL = {"channels": 4, "modes": 3, "taps": 3}


def loop(model, inputs, starts):
    """One channel and one mode at a time."""
    channels, modes = model.log_rate.shape
    rank = model.step_size.weight.shape[0]
    a = -np.exp(model.log_rate)
    h, convolve, outputs = np.zeros((channels, modes)), Convolution(model.convolve), []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            h = np.zeros_like(h)
            convolve.reset()
        normal = linear(model.project, rms_norm(x))
        u, z = np.split(normal[: 2 * channels], 2)
        skip = linear(model.project, x)[2 * channels :]
        c = silu(convolve(u))
        r, b, read = np.split(linear(model.select, c), [rank, rank + modes])
        dt = softplus(linear(model.step_size, r))
        o = np.zeros(channels)
        for i in range(channels):
            h[i] = np.exp(dt[i] * a[i]) * h[i] + dt[i] * b * c[i]
            o[i] = h[i] @ read + model.through[i] * c[i]
        outputs.append(linear(model.mix, o * silu(z)) + skip)
    return [h.copy(), convolve.tail()], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("mamba", loop, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("mamba", loop, time, **SMALL)


def final_state(offset, state):
    model = perturbed(make("mamba", **SMALL))
    size = model.step_size
    model = eqx.tree_at(
        lambda m: (m.step_size.weight, m.step_size.bias),
        model,
        (jnp.zeros_like(size.weight), jnp.full_like(size.bias, offset)),
    )
    inputs, starts = draw(40, 0.0)
    state = (state, model.initial_state()[1])
    (found, _), _ = run(model, state, jnp.asarray(inputs), jnp.asarray(starts))
    return found, loop(numbers(model), inputs, starts)[0][0]


def test_a_step_size_of_zero_keeps_the_state(x64):
    state = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    found, _ = final_state(-1e3, state)
    np.testing.assert_array_equal(found, state)


def test_a_large_step_size_leaves_the_last_input_only(x64):
    """dt = 1000, of which h is dt B c, whatever the state was."""
    found, fresh = final_state(1e3, jnp.full((4, 3), 1e3))
    np.testing.assert_allclose(found, fresh, rtol=1e-12)
    assert np.abs(fresh).min() > 1e-2


def test_parameters_start_as_documented():
    model = make("mamba", channels=64)
    np.testing.assert_allclose(np.exp(model.log_rate[5]), np.arange(1, 17), rtol=1e-6)
    step = softplus(np.asarray(model.step_size.bias))
    assert 0.00099 < step.min() < 0.003 and 0.03 < step.max() < 0.101


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="modes=0"):
        make("mamba", modes=0)
