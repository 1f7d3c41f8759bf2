"""The recurrent memory transformer against lists of steps and tokens."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    build,
    matches,
    perturbed,
    random_run,
    run,
    stays_with_double,
)
from tests.memory_models.attention.token_loop import token_run

INPUTS, OUTPUTS, LENGTH = 3, 6, 5


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "segment_length": LENGTH, **options}
    return build(
        "rmt",
        input_size=INPUTS,
        key=jax.random.key(0),
        **{"output_size": OUTPUTS, "num_tokens": 3, **options},
    )


@pytest.mark.parametrize("time", [23, 90])
def test_outputs_are_those_of_a_list_of_steps(x64, time):
    matches(perturbed(make()), token_run, time, INPUTS, tolerance=1e-9)


def test_without_tokens_segments_are_independent(x64):
    model = perturbed(make(num_tokens=0))
    inputs = jnp.asarray(random_run(4 * LENGTH, INPUTS)[0])
    never, each = jnp.zeros(len(inputs), bool), jnp.arange(len(inputs)) % LENGTH == 0
    (_, one), (_, other) = (
        run(model, model.initial_state(), inputs, starts) for starts in (never, each)
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert model.card.context == LENGTH - 1


def test_gradients_reach_earlier_segments(x64):
    model = perturbed(make())

    def last(inputs):
        starts = jnp.arange(23) == 2
        return model(model.initial_state(), inputs, starts)[1][-1].sum()

    inputs = jnp.asarray(random_run(23, INPUTS)[0])
    reached = np.abs(jax.jit(jax.grad(last))(inputs)).max(1) > 0
    np.testing.assert_array_equal(reached, np.arange(23) >= 2)


def test_what_tokens_hold_outlasts_many_segments():
    """Two first memories leave different ones, ten writes of the same steps later."""
    model = make(segment_length=8, num_heads=4, head_size=16, output_size=64)
    inputs = jnp.asarray(random_run(80, INPUTS, dtype=np.float32)[0])
    first, never = model.initial_state(), jnp.zeros(80, bool)
    noise = jax.random.normal(jax.random.key(3), first.memory.shape)
    other = first._replace(memory=first.memory + noise)
    before, after = (
        np.linalg.norm(
            run(model, first, inputs[:n], never[:n])[0].memory
            - run(model, other, inputs[:n], never[:n])[0].memory
        )
        for n in (8, 80)
    )
    assert after > before / 4


def test_tokens_stay_different_thanks_to_their_vectors():
    model, time = (
        make(segment_length=8, num_heads=4, head_size=16, output_size=64),
        1600,
    )
    without = eqx.tree_at(
        lambda m: m.layer.identity, model, jnp.zeros_like(model.layer.identity)
    )
    inputs = jnp.asarray(random_run(time, INPUTS, dtype=np.float32)[0])

    def cosine(model):
        state, _ = run(model, model.initial_state(), inputs, jnp.zeros(time, bool))
        one, other, _ = np.asarray(state.memory)
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    assert cosine(model) < 0.95 and cosine(without) > 0.999


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    stays_with_double(make, token_run, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    for options, message in (
        ({"segment_length": 1}, "segment_length=1"),
        ({"num_tokens": -1}, "num_tokens=-1"),
        ({"head_size": 3}, "head_size=3"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
