"""Gated DeltaNet against its equations; without decay it is DeltaNet."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.delta_loop import gated_loop
from tests.memory_models.linear.model_loops import (
    compare,
    compare_long,
    draw,
    make,
    perturbed,
    run,
)

SMALL = {"num_heads": 2, "head_size": 3, "taps": 3}


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("gated_delta_net", gated_loop, negative_eigenvalues=True, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("gated_delta_net", gated_loop, time, **SMALL)


def test_without_decay_the_state_is_that_of_the_delta_network(x64):
    gated = perturbed(make("gated_delta_net", **SMALL))
    gated = eqx.tree_at(lambda m: m.log_rate, gated, jnp.full(2, -1000.0))
    plain = make("delta_net", **SMALL)
    project = gated.layer.project
    inner, heads = 6, 2
    rates = np.arange(4 * inner, 4 * inner + heads)
    kept = np.r_[0 : 3 * inner, rates, rates[-1] + 1 + heads : project.bias.size]
    plain = eqx.tree_at(
        lambda m: (m.layer.project.weight, m.layer.project.bias, m.layer.convolve),
        plain,
        (project.weight[:, kept], project.bias[kept], gated.layer.convolve),
    )
    inputs, starts = (jnp.asarray(x) for x in draw(40, 0.15))
    states = [
        run(model, model.initial_state(), inputs, starts)[0] for model in (gated, plain)
    ]
    np.testing.assert_allclose(states[0][0], states[1][0], rtol=0, atol=1e-12)


def test_decays_start_as_documented():
    model = make("gated_delta_net", num_heads=64, head_size=1)
    rate = np.exp(np.asarray(model.log_rate))
    assert rate.min() >= 0.01 and 12 < rate.max() <= 16
    step = np.log1p(np.exp(np.asarray(model.offset)))
    assert 0.00099 < step.min() < 0.003 and 0.03 < step.max() < 0.101


def test_a_decay_of_zero_clears_the_state():
    """A decay too strong for float32 leaves the last write, not nan."""
    model = make("gated_delta_net", **SMALL)
    model = eqx.tree_at(lambda m: m.offset, model, jnp.full(2, 1e4))
    inputs, starts = (jnp.asarray(x, t) for x, t in zip(draw(40, 0), "fb", strict=True))
    (state, _), outputs = run(model, model.initial_state(), inputs, starts > 0)
    assert np.isfinite(outputs).all()
    assert (np.linalg.matrix_rank(np.asarray(state)) == 1).all()


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="head_size=0"):
        make("gated_delta_net", head_size=0)
