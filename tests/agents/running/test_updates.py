"""Updates that are not finite are not taken, wherever the number shows up."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.running.output.tensorboard import MAY_BE_MISSING
from agents.running.updates import FINITE, make_update_loop


class State(NamedTuple):
    params: Any
    optimizer_state: Any
    updates: Any


class Counting:
    """Counts its updates; from the third on one part is no longer finite."""

    written_once = ()

    def __init__(self, bad):
        self.bad = bad

    def update(self, state):
        count = state.updates + 1
        value = count.astype(jnp.float32)
        poisoned = jnp.where(count >= 3, jnp.inf, value)
        parts = {
            name: poisoned if name == self.bad else value
            for name in ("params", "optimizer_state", "loss/total")
        }
        missing = dict.fromkeys(MAY_BE_MISSING, jnp.asarray(jnp.nan))
        metrics = {"loss/total": parts.pop("loss/total"), **missing}
        return State(**parts, updates=count), metrics


def run(bad):
    zero = jnp.zeros(())
    state = State(zero, zero, jnp.zeros((), jnp.int32))
    loop = jax.jit(make_update_loop(Counting(bad), 6))
    return loop(state, jnp.asarray(5, jnp.int32))


@pytest.mark.parametrize("bad", ["params", "optimizer_state", "loss/total"])
def test_an_update_that_is_not_finite_is_not_taken(bad):
    state, metrics = run(bad)
    assert [float(x) for x in state] == [2, 2, 2]
    np.testing.assert_array_equal(metrics[FINITE], [1, 1, 0, 0, 0, np.nan])


def test_what_may_be_missing_does_not_freeze():
    state, metrics = run(None)
    assert [float(x) for x in state] == [5, 5, 5]
    np.testing.assert_array_equal(metrics[FINITE], [1, 1, 1, 1, 1, np.nan])
    np.testing.assert_array_equal(metrics["loss/total"], [1, 2, 3, 4, 5, np.nan])
