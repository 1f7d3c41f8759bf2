"""What was read some steps ago, against a list."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.recent import by_age

PAST = 3
run = jax.jit(by_age)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("time", [1, 2, 9])
def test_ages_and_what_is_carried_are_those_of_a_list(time, first):
    generator = np.random.default_rng(0)
    past, inputs = generator.normal(size=(PAST, 2)), generator.normal(size=(time, 2))
    starts = generator.random(time) < 0.3
    starts[0] = first
    arrays = [jnp.asarray(x, jnp.float32) for x in (past, inputs)]
    ages, carried = run(*arrays, jnp.asarray(starts))
    assert len(ages) == PAST + 1
    kept = list(np.asarray(arrays[0]))
    nothing = np.zeros(2)
    for t in range(time):
        kept = [nothing] * PAST if starts[t] else kept
        kept = [*kept, np.asarray(arrays[1])[t]]
        for age in range(PAST + 1):
            np.testing.assert_array_equal(ages[age][t], kept[-1 - age])
        kept = kept[-PAST:]
    np.testing.assert_array_equal(carried, np.stack(kept))
