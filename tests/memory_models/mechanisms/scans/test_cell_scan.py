"""The cell scan against a Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models import cell_scan


def cell(state, x):
    total, count = state
    total = jnp.tanh(0.9 * total + x)
    return (total, count + 1), total * count


def loop(state, initial, inputs, starts):
    outputs = []
    for x, start in zip(inputs, starts, strict=True):
        total, count = initial if start else state
        total = np.tanh(0.9 * total + x)
        outputs.append(total * count)
        state = (total, count + 1)
    return state, np.array(outputs)


@pytest.mark.parametrize("unroll", [1, 4])
def test_outputs_are_those_of_a_loop(x64, unroll):
    generator = np.random.default_rng(0)
    inputs, starts = generator.normal(size=(10, 3)), generator.random(10) < 0.3
    state = (generator.normal(size=3), np.float64(5.0))
    initial = (generator.normal(size=3), np.float64(-1.0))
    (total, count), outputs = cell_scan(
        cell,
        jax.tree.map(jnp.asarray, state),
        jax.tree.map(jnp.asarray, initial),
        jnp.asarray(inputs),
        jnp.asarray(starts),
        unroll=unroll,
    )
    (last_total, last_count), expected = loop(state, initial, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(total, last_total, rtol=0, atol=1e-12)
    assert count == last_count


def test_a_poisoned_state_heals_at_the_next_start():
    bad = (jnp.full(3, jnp.nan), jnp.array(jnp.inf))
    initial = (jnp.zeros(3), jnp.array(0.0))
    (total, count), outputs = cell_scan(
        cell, bad, initial, jnp.ones((6, 3)), jnp.arange(6) == 2
    )
    assert not np.isfinite(outputs[:2]).any()
    assert np.isfinite(outputs[2:]).all()
    assert np.isfinite(total).all()
    assert count == 4


def test_an_initial_state_learns_through_starts():
    def after(initial):
        state = (jnp.ones(3), jnp.array(0.0))
        given = (initial, jnp.array(0.0))
        (total, _), _ = cell_scan(
            cell, state, given, jnp.ones((5, 3)), jnp.arange(5) == 3
        )
        return total.sum()

    gradient = jax.grad(after)(jnp.full(3, 0.1))
    assert (np.abs(gradient) > 0).all()
