"""The clock against counting, and its sinusoids after two billion steps."""

import jax.numpy as jnp
import numpy as np

from memory_models.mechanisms import clock


def test_steps_are_counted_from_every_start():
    generator = np.random.default_rng(0)
    for entering in (0, 5):
        starts = generator.random(40) < 0.15
        starts[0] = entering == 0
        now, expected = entering, []
        for start in starts:
            now = 0 if start else now
            expected.append(now)
            now += 1
        last, found = clock.steps_of_episode(
            jnp.int32(entering if entering else 77), jnp.asarray(starts)
        )
        np.testing.assert_array_equal(found, expected)
        assert last == now


def test_a_clock_stops_rather_than_wraps():
    largest = np.iinfo(np.int32).max
    last, steps = clock.steps_of_episode(jnp.int32(largest - 2), jnp.zeros(5, bool))
    np.testing.assert_array_equal(steps, largest - np.array([2, 1, 0, 0, 0]))
    assert last == largest
    last, steps = clock.steps_of_episode(jnp.int32(largest), jnp.zeros(1, bool))
    assert (last, steps[0]) == (largest, largest)


def test_sinusoids_are_as_exact_late_as_early():
    periods = clock.whole_periods(6, 4, 10_000)
    np.testing.assert_array_equal(periods[[0, -1]], [4, 10_000])
    steps = np.array([0, 1, 17, 100_003, 1_999_999_999])
    found = clock.sinusoids(jnp.asarray(steps, jnp.int32), periods, jnp.float32)
    angle = 2 * np.pi * (steps[:, None] % periods) / periods
    expected = np.concatenate([np.sin(angle), np.cos(angle)], -1)
    np.testing.assert_allclose(found, expected, atol=2e-6)
