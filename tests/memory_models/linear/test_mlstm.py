"""mLSTM against the unscaled equations of its paper, and its closed forms."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.linear.mlstm import weighted_means
from memory_models.mechanisms.scans.chunks import LOWEST
from memory_models.mechanisms.scans.matrix_scan import gated_matrix_scan
from tests.memory_models.linear.model_loops import (
    Convolution,
    check,
    compare_long,
    draw,
    heads,
    layer_norm,
    linear,
    make,
    numbers,
    perturbed,
    run,
    sigmoid,
    silu,
)

SMALL = {"num_heads": 2, "head_size": 3, "taps": 3}


def loop(model, inputs, starts):
    """Equations 19 to 27 of the paper: C and n as they are, never rescaled.

    The log of the scale is followed apart from them, to compare what is stored.
    """
    count, inner = model.num_heads, model.skip.size
    size, convolve = inner // count, Convolution(model.convolve)
    c, n = np.zeros((count, size, size)), np.zeros((count, size))
    m, outputs = np.full(count, -np.inf), []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            c, n, m = np.zeros_like(c), np.zeros_like(n), np.full(count, -np.inf)
            convolve.reset()
        u, z, through = np.split(linear(model.project, x), [inner, 2 * inner])
        mixed = silu(convolve(u))
        q, k = np.split(linear(model.query_key, mixed), 2)
        v = linear(model.value, u)
        i, f = np.split(linear(model.gates, np.concatenate([q, k, v])), 2)
        f, q, k, v = sigmoid(f), heads(q, count), heads(k, count), heads(v, count)
        k = k / np.sqrt(size)
        write = np.exp(i)[:, None] * k
        c = f[:, None, None] * c + write[:, :, None] * v[:, None, :]
        n = f[:, None] * n + write
        m = np.maximum(np.log(f) + m, i)
        # The authors' 1e-6 is added to a denominator scaled by exp(-m).
        weight = np.maximum(np.abs((q * n).sum(1)), 1) + 1e-6 * np.exp(m)
        h = np.einsum("hk,hkv->hv", q, c) / weight[:, None]
        kept = layer_norm(h).ravel() + model.skip * mixed
        outputs.append(linear(model.mix, kept * silu(z)) + through)
    scaled = np.concatenate([c, n[..., None]], axis=2) * np.exp(-m)[:, None, None]
    return [scaled, m, convolve.tail()], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    model = perturbed(make("mlstm", **SMALL), 0.5)
    inputs, starts = draw(40, 0.15)
    found = run(model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts))
    check(found, loop(numbers(model), inputs, starts), 1e-9)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("mlstm", loop, time, **SMALL)


def test_open_gates_give_linear_attention_divided_by_at_least_one(x64):
    generator = np.random.default_rng(0)
    q, k, v = generator.normal(size=(3, 13, 1, 4))
    v[..., -1] = 1.0
    zeros = jnp.zeros((13, 1))
    empty = jnp.zeros((1, 4, 4)), jnp.full(1, LOWEST)
    _, (sums, scale) = gated_matrix_scan(
        *(jnp.asarray(x) for x in (q, k, v)),
        zeros,
        jnp.zeros(13, bool),
        empty,
        log_decay=zeros,
        chunk_size=4,
    )
    scores = np.tril(q[:, 0] @ k[:, 0].T)
    weight = np.abs(scores.sum(1, keepdims=True))
    assert weight.min() < 0.9 and weight.max() > 1.1
    expected = scores @ v[:, 0, :-1] / np.maximum(weight, 1)
    np.testing.assert_array_equal(scale, 0.0)
    found = weighted_means(sums, scale)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0)


def test_gates_beyond_the_range_of_float32_neither_overflow_nor_vanish():
    """exp(200) is no number of float32; the output is that of any other constant."""
    model = make("mlstm", **SMALL)
    inputs, starts = (jnp.asarray(x) for x in draw(40, 0.15))
    inputs = inputs.astype(jnp.float32)
    runs = []
    for gate in (50.0, 200.0):
        bias = model.gates.bias.at[:2].set(gate)
        other = eqx.tree_at(lambda m: m.gates.bias, model, bias)
        runs.append(run(other, other.initial_state(), inputs, starts)[1])
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-4)
    closed = eqx.tree_at(lambda m: m.gates.bias, model, bias.at[:2].set(-1e6))
    assert np.isfinite(run(closed, closed.initial_state(), inputs, starts)[1]).all()


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="taps=0"):
        make("mlstm", taps=0)
