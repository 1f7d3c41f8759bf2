"""DeltaNet against its equations; what a write does to a read, in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.delta_scan import delta_scan
from memory_models.mechanisms.scans.matrix_scan import matrix_scan
from tests.memory_models.linear.delta_loop import delta_loop
from tests.memory_models.linear.model_loops import compare, compare_long, make

SMALL = {"num_heads": 2, "head_size": 3, "taps": 3}


@pytest.mark.parametrize("negative", [False, True])
def test_outputs_and_state_are_those_of_the_equations(x64, negative):
    compare("delta_net", delta_loop, negative_eigenvalues=negative, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("delta_net", delta_loop, time, **SMALL)


def scan_one_head(keys, values, rates):
    """What a read of every key finds at the end, `[keys, values]`, and the state."""
    time, size = keys.shape
    starts, state = jnp.zeros(time, bool), jnp.zeros((1, size, values.shape[1]))
    k, v, rates = keys[:, None], values[:, None], rates[:, None]
    final, _ = delta_scan(k, k, v, rates, starts, state, chunk_size=4)
    summed, _ = matrix_scan(k, k, v, starts, state, chunk_size=4)
    return keys @ final[0], final[0], summed[0]


def test_the_last_value_written_at_a_key_is_read_exactly(x64):
    """beta = 1 and |k| = 1, keys in any direction, each written twice in a row."""
    generator = np.random.default_rng(0)
    keys = np.repeat(generator.normal(size=(5, 8)), 2, axis=0)
    keys = jnp.asarray(keys / np.linalg.norm(keys, axis=1, keepdims=True))
    values = jnp.asarray(generator.normal(size=(10, 4)))
    read, _, _ = scan_one_head(keys, values, jnp.ones(10))
    np.testing.assert_allclose(read[-1], values[-1], rtol=0, atol=1e-12)


def test_with_orthonormal_keys_it_is_linear_attention(x64):
    generator = np.random.default_rng(0)
    keys = jnp.asarray(np.linalg.qr(generator.normal(size=(7, 7)))[0])
    values = jnp.asarray(generator.normal(size=(7, 4)))
    read, final, summed = scan_one_head(keys, values, jnp.ones(7))
    np.testing.assert_allclose(final, summed, rtol=0, atol=1e-12)
    np.testing.assert_allclose(read, values, rtol=0, atol=1e-12)


def test_a_rate_of_two_turns_a_read_around(x64):
    """Writing zero at a key with beta = 2 is a reflection: twice is the identity."""
    keys = jnp.asarray(np.eye(3)[[0, 1, 0, 0]])
    values = jnp.asarray([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    rates = jnp.asarray([1.0, 1.0, 2.0, 2.0])
    once, _, _ = scan_one_head(keys[:3], values[:3], rates[:3])
    twice, _, _ = scan_one_head(keys, values, rates)
    np.testing.assert_allclose(once[:2], [[-1.0, -2.0], [3.0, 4.0]], atol=1e-12)
    np.testing.assert_allclose(twice[:2], values[:2], atol=1e-12)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="taps=0"):
        make("delta_net", taps=0)
