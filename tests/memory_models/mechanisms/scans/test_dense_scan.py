"""The dense scan against a numpy loop and against its own step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.dense_scan import dense_scan, dense_step
from tests.memory_models.mechanisms.step_loops import by_steps, close, gradients

scan = jax.jit(dense_scan)


def draw(time):
    generator = np.random.default_rng(0)
    transition = 0.5 * generator.normal(size=(3, 3))
    drive = generator.normal(size=(time, 2, 3))
    state = generator.normal(size=(2, 3))
    return tuple(jnp.asarray(x) for x in (transition, drive, state))


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_states_are_those_of_the_loop(x64, chance):
    transition, drive, state = draw(13)
    starts = np.random.default_rng(1).random(13) < chance
    found = scan(transition, drive, jnp.asarray(starts), state)
    h = np.asarray(state)
    for t in range(13):
        h = (np.zeros_like(h) if starts[t] else h) @ transition + drive[t]
        np.testing.assert_allclose(found[t], h, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_steps(x64):
    transition, *arguments = draw(13)
    starts = jnp.asarray(np.random.default_rng(1).random(13) < 0.3)

    def whole(drive, state):
        return dense_scan(transition, drive, starts, state)

    def stepped(drive, state):
        def step(drive, state):
            state = dense_step(transition, drive, state)
            return state, state

        return by_steps(step, (drive,), starts, state)[1]

    close(gradients(whole, tuple(arguments)), gradients(stepped, tuple(arguments)))


def test_a_nan_is_gone_after_a_start():
    transition, drive, state = draw(13)
    found = scan(transition, drive, jnp.arange(13) == 6, jnp.full_like(state, jnp.nan))
    assert np.isfinite(found[6:]).all() and np.isnan(found[:6]).all()


def test_no_gradient_reaches_the_transition():
    arrays = (x.astype(jnp.float32) for x in draw(4))
    transition, drive, state = arrays

    def total(transition, drive):
        return dense_scan(transition, drive, jnp.zeros(4, bool), state).sum()

    of_transition, of_drive = jax.grad(total, (0, 1))(transition, drive)
    np.testing.assert_array_equal(of_transition, 0)
    assert np.abs(of_drive).min() > 0
