"""RATE against lists of steps and tokens, and its valve alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    apply,
    build,
    heads_of,
    matches,
    norm,
    perturbed,
    random_run,
    softmax,
    stays_with_double,
)
from tests.memory_models.attention.token_loop import token_run

INPUTS, OUTPUTS = 3, 6


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "segment_length": 5, **options}
    return build(
        "rate",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **{"num_tokens": 3, "cached_segments": 1, **options},
    )


def kept(valve, memory, written):
    rows = []
    new = [
        heads_of(apply(valve.key_value, np.maximum(n, 0)), 2, valve.num_heads)
        for n in written
    ]
    for m in memory:
        (q,) = heads_of(apply(valve.query, m), 1, valve.num_heads)
        read = []
        for h in range(valve.num_heads):
            scores = np.array([q[h] @ k[h] for k, _ in new]) / np.sqrt(len(q[h]))
            read.append(softmax(scores) @ np.array([v[h] for _, v in new]))
        row = apply(valve.out, np.concatenate(read))
        rows.append(norm(m + row) if valve.residual else row)
    return np.array(rows)


def reference(model, inputs, starts):
    return token_run(model, inputs, starts, lambda m, n: kept(model.valve, m, n))


@pytest.mark.parametrize("cached_segments", [0, 1])
def test_outputs_are_those_of_a_list_of_steps(x64, cached_segments):
    residual = cached_segments == 1
    model = make(cached_segments=cached_segments, valve_residual=residual)
    matches(perturbed(model), reference, 90, INPUTS, tolerance=1e-9)


def test_a_valve_of_identities_and_one_token_copies_the_new_memory(x64):
    valve, one = make(num_tokens=1).valve, jnp.eye(OUTPUTS)
    valve = eqx.tree_at(
        lambda v: (v.query.weight, v.key_value.weight, v.out.weight),
        valve,
        (one, jnp.concatenate([one, one], axis=1), one),
    )
    memory, written = jnp.asarray(random_run(2, OUTPUTS)[0])[:, None]
    found = valve(memory, written)
    np.testing.assert_allclose(found, np.maximum(written, 0), rtol=0, atol=1e-12)


def test_gradients_reach_earlier_segments(x64):
    model = perturbed(make(cached_segments=0))

    def last(inputs):
        starts = jnp.arange(23) == 2
        return model(model.initial_state(), inputs, starts)[1][-1].sum()

    inputs = jnp.asarray(random_run(23, INPUTS)[0])
    reached = np.abs(jax.jit(jax.grad(last))(inputs)).max(1) > 0
    np.testing.assert_array_equal(reached, np.arange(23) >= 2)


@pytest.mark.slow  # by default rmt and transformer_xl stand for their mechanisms
@pytest.mark.parametrize("time", [2000, 100_000])
def test_float32_stays_with_float64(time):
    stays_with_double(lambda: make(cached_segments=0), reference, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="num_tokens=0"):
        make(num_tokens=0)
    with pytest.raises(ValueError, match="valve_heads=4, output_size=6"):
        make(valve_heads=4)
