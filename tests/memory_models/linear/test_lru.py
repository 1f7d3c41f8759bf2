"""LRU against its paper's equations, written as a loop in double precision."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.state_space_loop import (
    biased,
    check_bounded,
    check_float32,
    check_impulse,
    check_outputs,
    double,
    make,
)


def equations(model):
    """lambda = exp(-exp(nu_log) + i exp(theta_log)) and gamma = exp(gamma_log).

    Nu is 1e-6 larger than in the paper.
    """
    nu = 1e-6 + np.exp(double(model.log_rate))
    theta = np.exp(double(model.log_phase))
    return np.exp(-nu + 1j * theta), np.exp(double(model.log_gain))


def test_outputs_are_those_of_the_equations(x64):
    model = biased(make("lru", modes=16))
    check_outputs(model, *equations(model))


def test_an_impulse_is_answered_by_powers_of_lambda(x64):
    model = biased(make("lru", modes=16))
    check_impulse(model, *equations(model))


@pytest.mark.parametrize("time", [4096, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    model = make("lru")
    check_float32(model, *equations(model), time)


@pytest.mark.parametrize("value", [-80.0, 0.0, 20.0])
def test_no_value_of_the_parameters_makes_a_mode_grow(value):
    model, value = make("lru"), jnp.full(64, value)
    check_bounded(
        eqx.tree_at(lambda m: (m.log_rate, m.log_phase), model, (value, value))
    )


def test_modes_start_in_a_ring():
    radius = np.abs(equations(make("lru"))[0])
    assert 0.9 <= radius.min() < 0.91 and 0.99 < radius.max() <= 0.999 + 1e-6


def test_the_whole_unit_disc_is_a_ring_too():
    model = make("lru", modes=4000, r_min=0.0, r_max=1.0, max_phase=1.0)
    decay, gain = equations(model)
    radius, phase = np.abs(decay), np.angle(decay)
    assert radius.min() > 0 and 0.99 < radius.max() < 1
    assert abs((radius**2).mean() - 0.5) < 0.03  # uniform in area
    assert 0 < phase.min() < 0.01 and 0.99 < phase.max() <= 1.0
    assert abs(phase.mean() - 0.5) < 0.03
    # Float32 knows 1 - |lambda|^2 of the slowest modes to a few parts in a thousand.
    np.testing.assert_allclose(gain, np.sqrt(1 - radius**2), rtol=1e-2)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="modes=0"):
        make("lru", modes=0)
    with pytest.raises(ValueError, match=r"r_max=1\.1"):
        make("lru", r_max=1.1)
    with pytest.raises(ValueError, match=r"r_min=0\.9, r_max=0\.5"):
        make("lru", r_max=0.5)
    with pytest.raises(ValueError, match=r"max_phase=0\.0"):
        make("lru", max_phase=0.0)
