"""S5 against its paper's equations, written as a loop in double precision."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import cont2discrete

from tests.memory_models.linear.state_space_loop import (
    OUTPUTS,
    biased,
    check_bounded,
    check_float32,
    check_impulse,
    check_outputs,
    double,
    make,
    matrices,
)


def equations(model):
    """Zero-order hold: exp(Lambda step) and (exp(Lambda step) - 1) / Lambda.

    Every step decays by 1e-6 more than in the paper.
    """
    step = np.exp(double(model.log_step))
    rate = np.exp(double(model.log_rate)) + 1e-6 / step
    eigenvalues = -rate + 1j * double(model.frequency)
    decay = np.exp(eigenvalues * step)
    return decay, (decay - 1) / eigenvalues


SMALL = {"modes": 16, "blocks": 2}


def test_outputs_are_those_of_the_equations(x64):
    model = biased(make("s5", **SMALL))
    check_outputs(model, *equations(model))


def test_an_impulse_is_answered_by_powers_of_lambda(x64):
    model = biased(make("s5", **SMALL))
    check_impulse(model, *equations(model))


@pytest.mark.parametrize("time", [4096, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    model = make("s5")
    check_float32(model, *equations(model), time)


@pytest.mark.parametrize("rate,step", [(-80, -10), (0, 0), (10, 10), (-80, 10)])
def test_no_value_of_the_parameters_makes_a_mode_grow(rate, step):
    model = make("s5")
    values = (jnp.full(64, float(rate)), jnp.full(64, float(step)))
    check_bounded(eqx.tree_at(lambda m: (m.log_rate, m.log_step), model, values))


def test_discretisation_is_that_of_scipy(x64):
    model = make("s5", **SMALL)
    decay, gain = (double(x[0]) + 1j * double(x[1]) for x in model.dynamics())
    eigenvalues = -np.exp(double(model.log_rate)) + 1j * double(model.frequency)
    steps = np.exp(double(model.log_step))
    for mode, (eigenvalue, step) in enumerate(zip(eigenvalues, steps, strict=True)):
        one = np.ones((1, 1))
        a, b, *_ = cont2discrete((eigenvalue * one, one, one, one), step, "zoh")
        np.testing.assert_allclose(decay[mode], a[0, 0], rtol=0, atol=2e-6)
        np.testing.assert_allclose(gain[mode], b[0, 0], rtol=0, atol=2e-6 * step)


def normal_part(size):
    """HiPPO-LegS plus the rank-one term that makes it normal (Gu et al. 2022)."""
    n = np.arange(size)
    hippo = -np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) - np.diag(n + 1.0)
    return hippo + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))


def test_modes_start_as_eigenvalues_of_hippo(x64):
    model = make("s5", **SMALL)
    eigenvalues, vectors = np.linalg.eig(normal_part(16))
    kept = eigenvalues.imag > 0
    order = np.argsort(eigenvalues[kept].imag)
    expected = np.tile(eigenvalues[kept][order], 2)
    np.testing.assert_allclose(-np.exp(model.log_rate), expected.real, atol=1e-8)
    np.testing.assert_allclose(model.frequency, expected.imag, atol=1e-8)
    # Why B and C need no change of basis: it is orthogonal, up to a factor.
    basis = np.sqrt(2) * np.hstack([vectors[:, kept].real, vectors[:, kept].imag])
    np.testing.assert_allclose(basis.T @ basis, np.eye(16), atol=1e-8)


def test_step_sizes_start_log_uniform():
    step = np.asarray(make("s5", modes=1024).log_step) / np.log(10)
    assert -3 <= step.min() < -2.95 and -1.05 < step.max() <= -1
    assert abs(step.mean() + 2) < 0.1


def test_b_and_c_start_as_normal_as_the_paper_draws_them():
    """Smith et al. 2023, B.3 and C: Re and Im of C have variance 1 / P, P = 2 modes.

    Both parts of each pair of modes are read: the factor 2 on C. B, changed to the
    basis of the eigenvectors, is complex normal of variance 1 / width.
    """
    modes = 1024
    model = make("s5", modes=modes)
    b, c = matrices(model.layer)
    for part in ((c / 2).real, (c / 2).imag):
        assert part.var() * 2 * modes == pytest.approx(1, rel=0.1)
        assert abs(part.mean()) < 0.1 * part.std()
    assert (np.abs(b) ** 2).mean() * OUTPUTS == pytest.approx(1, rel=0.1)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="modes=12, blocks=5"):
        make("s5", modes=12, blocks=5)
    with pytest.raises(ValueError, match=r"step_min=0\.0"):
        make("s5", step_min=0.0)
    with pytest.raises(ValueError, match=r"step_min=0\.2, step_max=0\.1"):
        make("s5", step_min=0.2)
