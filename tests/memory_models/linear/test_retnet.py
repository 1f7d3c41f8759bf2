"""RetNet against its paper: the recurrence, the parallel form, the sum of decays."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.linear.model_loops import (
    compare,
    compare_long,
    draw,
    heads,
    layer_norm,
    linear,
    make,
    numbers,
    perturbed,
    run,
    silu,
)

SMALL = {"num_heads": 2, "head_size": 4}


def rotate(x, time):
    """The pairs as complex numbers times exp(i t frequency)."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * time * frequency)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def projected(model, x, time):
    inner, count = model.mix.weight.shape[0], model.num_heads
    parts = np.split(linear(model.project, x), inner * np.arange(1, 5))
    q, k, v = (heads(part, count) for part in parts[:3])
    k = k / np.sqrt(k.shape[-1])
    return rotate(q, time), rotate(k, time), v, parts[3], parts[4]


def gammas(model):
    return 1 - 2.0 ** -np.linspace(*model.exponents, model.num_heads)


def read(model, outputs, gate, skip):
    return linear(model.mix, layer_norm(outputs, 1e-3).ravel() * silu(gate)) + skip


def loop(model, inputs, starts):
    """Equation 6 of the paper, with the rotation of equation 5."""
    size = model.mix.weight.shape[0] // model.num_heads
    gamma = gammas(model)[:, None, None]
    state, time, outputs = np.zeros((model.num_heads, size, size)), 0, []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            state, time = np.zeros_like(state), 0
        q, k, v, gate, skip = projected(model, x, time)
        state = gamma * state + k[:, :, None] * v[:, None, :]
        outputs.append(read(model, np.einsum("hk,hkv->hv", q, state), gate, skip))
        time += 1
    return [state, time], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("retnet", loop, tolerance=1e-6, **SMALL)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("retnet", loop, time, **SMALL)


def test_it_is_attention_masked_by_powers_of_gamma(x64):
    model = perturbed(make("retnet", **SMALL))
    inputs, starts = draw(40, 0.0)
    _, found = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    plain = numbers(model)
    rows = [projected(plain, x, t) for t, x in enumerate(inputs)]
    q, k, v, gate, skip = (np.array(part) for part in zip(*rows, strict=True))
    apart = np.arange(40)[:, None] - np.arange(40)
    mask = np.where(apart >= 0, gammas(plain)[:, None, None] ** np.abs(apart), 0)
    scores = np.einsum("thk,shk->hts", q, k) * mask
    outputs = np.einsum("hts,shv->thv", scores, v)
    expected = [read(plain, *row) for row in zip(outputs, gate, skip, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_equal_keys_and_values_sum_to_a_geometric_series(x64):
    """Without rotation, an output is q k v times 1 + gamma + gamma^2 + ..."""
    model = make("retnet", num_heads=3, head_size=2)
    model = eqx.tree_at(lambda m: m.project.weight, model, jnp.zeros((5, 24 + 6)))
    # The second of the two features of a pair turns by the same angle as the first,
    # so S itself, turned back by the last time, is the sum of turned writes.
    bias = jnp.zeros(30).at[6:12].set(jnp.sqrt(2.0)).at[12:18].set(3.0)
    model = eqx.tree_at(lambda m: m.project.bias, model, bias)
    time = 50
    (state, _), _ = run(
        model, model.initial_state(), jnp.zeros((time, 5)), jnp.zeros(time, bool)
    )
    powers = gammas(model)[:, None] ** np.arange(time)[::-1]
    turned = (1 + 1j) * (powers * np.exp(1j * np.arange(time))).sum(axis=1)
    expected = 3.0 * np.stack([turned.real, turned.imag], axis=1)
    np.testing.assert_allclose(state[:, :, 0], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state[:, :, 1], expected, rtol=0, atol=1e-6)


def test_time_may_wrap_around(x64):
    """Two inputs just before and after 2^32 steps are rotated as any other two."""
    model = perturbed(make("retnet", **SMALL))
    inputs = jnp.asarray(draw(6, 0.0)[0])
    starts = jnp.zeros(6, bool)
    zeros = model.initial_state()[0]
    runs = [
        run(model, (zeros, jnp.asarray(at, jnp.uint32)), inputs, starts)[1]
        for at in (0, 2**32 - 3)
    ]
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-10)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="head_size=3"):
        make("retnet", head_size=3)
    with pytest.raises(ValueError, match="num_heads=0"):
        make("retnet", num_heads=0)
