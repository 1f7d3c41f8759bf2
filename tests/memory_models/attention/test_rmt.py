"""The recurrent memory transformer against lists of steps and tokens."""

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
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **{"num_tokens": 3, **options},
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


def test_tokens_stay_different():
    model, time = make(), 2000
    inputs = jnp.asarray(random_run(time, INPUTS, dtype=np.float32)[0])
    state, _ = run(model, model.initial_state(), inputs, jnp.zeros(time, bool))
    memory = np.asarray(state.memory)
    assert np.linalg.norm(memory[0] - memory[1]) > 0.3


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
