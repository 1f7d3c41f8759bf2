"""Linear attention against its paper's equations, and against attention itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.model_loops import (
    OUTPUTS,
    compare,
    compare_long,
    draw,
    heads,
    linear,
    make,
    numbers,
    perturbed,
    rms_norm,
    run,
)


def elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


def projected(model, x):
    inner, count = model.mix.weight.shape[0], model.num_heads
    q, k, v, skip = np.split(linear(model.project, x), [inner, 2 * inner, 3 * inner])
    return elu(heads(q, count)) + 1, elu(heads(k, count)) + 1, heads(v, count), skip


def loop(model, inputs, starts):
    """Equations 16 to 20 of the paper, with a sum S and a normaliser z."""
    size = model.mix.weight.shape[0] // model.num_heads
    outputs = []
    sums = np.zeros((model.num_heads, size, size))
    z = np.zeros((model.num_heads, size))
    for x, start in zip(inputs, starts, strict=True):
        if start:
            sums, z = np.zeros_like(sums), np.zeros_like(z)
        q, k, v, skip = projected(model, x)
        sums = sums + k[:, :, None] * v[:, None, :]
        z = z + k
        weights = (q * z).sum(1, keepdims=True) + 1e-6
        read = np.einsum("hk,hkv->hv", q, sums) / weights
        outputs.append(rms_norm(linear(model.mix, read.ravel()) + skip))
    return [np.concatenate([sums, z[:, :, None]], axis=2)], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("linear_attention", loop, head_size=3)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("linear_attention", loop, time, head_size=3)


def test_it_is_causal_attention_with_a_kernel(x64):
    model = perturbed(make("linear_attention", num_heads=1, head_size=4))
    inputs, starts = draw(40, 0.0)
    start = jnp.asarray(starts)
    _, found = run(model, model.initial_state(), jnp.asarray(inputs), start)
    plain = numbers(model)
    rows = [projected(plain, x) for x in inputs]
    q, k, v, skip = (np.array(part) for part in zip(*rows, strict=True))
    weights = np.tril(q[:, 0] @ k[:, 0].T)
    read = weights @ v[:, 0] / (weights.sum(1, keepdims=True) + 1e-6)
    expected = rms_norm(linear(plain.mix, read) + skip)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_large_negative_features_give_finite_outputs():
    model = make("linear_attention", head_size=3)
    inputs = jnp.full((4, 5), -1e3).at[::2].set(1e3)
    _, outputs = run(model, model.initial_state(), inputs, jnp.zeros(4, bool))
    assert outputs.shape == (4, OUTPUTS) and np.isfinite(outputs).all()


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="head_size=0"):
        make("linear_attention", head_size=0)
