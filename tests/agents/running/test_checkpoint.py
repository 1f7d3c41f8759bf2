"""Checkpoints hold every array, fit exactly or not at all, and survive a full disk."""

import resource
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.convert import ConfigError
from agents.running.files.arrays import split
from agents.running.files.checkpoint import CheckpointError, Checkpoints
from agents.running.files.stored import Checkpoint


class State(NamedTuple):
    params: dict
    key: jax.Array
    counter: jax.Array


def make_state(width=3):
    return State(
        params={"weight": jnp.arange(2.0 * width).reshape(2, width), "none": None},
        key=jax.random.split(jax.random.key(7), 2),
        counter=jnp.asarray([[], []], jnp.int32),
    )


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path, keep=2)
    yield opened
    opened.close()


def save(checkpoints, updates, state=None):
    pending = {"loss/total": np.asarray([[0.1, np.nan]], np.float32)}
    notes = {"updates": updates, "frozen": {}}
    return checkpoints.save(updates, Checkpoint(state or make_state(), pending, notes))


def test_every_leaf_comes_back_bit_for_bit(checkpoints, tmp_path):
    assert checkpoints.latest() is None
    state = make_state()
    saved = save(checkpoints, 3, state)
    assert saved.bytes > 0 and saved.seconds > 0
    again = Checkpoints(tmp_path)
    loaded = again.restore(jax.eval_shape(make_state))
    assert jax.tree.structure(loaded.state) == jax.tree.structure(state)
    assert jnp.array_equal(loaded.state.key, state.key)
    assert loaded.state.counter.shape == (2, 0)
    assert loaded.state.params["weight"].dtype == state.params["weight"].dtype
    assert jnp.array_equal(loaded.state.params["weight"], state.params["weight"])
    np.testing.assert_array_equal(
        loaded.pending["loss/total"], [[np.float32(0.1), np.nan]]
    )
    assert loaded.notes["updates"] == 3
    params = again.restore_params(jax.eval_shape(make_state).params)
    assert jnp.array_equal(params["weight"], state.params["weight"])
    again.close()


def test_the_newest_are_kept(checkpoints, tmp_path):
    for updates in (1, 2, 3):
        save(checkpoints, updates)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["2", "3"]
    save(checkpoints, 3)
    assert checkpoints.latest() == 3


def test_the_newest_is_restored(checkpoints):
    for updates in (1, 2):
        params = {"weight": jnp.full((2, 3), float(updates)), "none": None}
        save(checkpoints, updates, make_state()._replace(params=params))
    like = jax.eval_shape(make_state)
    loaded = checkpoints.restore(like)
    assert loaded.notes["updates"] == checkpoints.notes()["updates"] == 2
    assert float(loaded.state.params["weight"][0, 0]) == 2
    assert float(checkpoints.restore_params(like.params)["weight"][0, 0]) == 2
    save(checkpoints, 2)  # the same update again, with another state
    again = checkpoints.restore(like).state.params["weight"]
    assert jnp.array_equal(again, make_state().params["weight"])


def test_only_parameters_are_parameters():
    params, rest = split({"params": {"a": 1}, "old_params": {"a": 2}, "key": 3})
    assert params == {"params.a": 1} and rest == {"old_params.a": 2, "key": 3}


@pytest.mark.parametrize(
    ("like", "told"),
    [
        (lambda: make_state(4), r"params.weight is float32\[2, 3\] .* float32\[2, 4\]"),
        (
            lambda: make_state()._replace(params={"bias": jnp.zeros(2)}),
            r"params.bias is missing in the checkpoint and float32\[2\] here",
        ),
        (
            lambda: make_state()._replace(params={}),
            r"params.weight is float32\[2, 3\] in the checkpoint and missing here",
        ),
        (
            lambda: make_state()._replace(counter=jnp.zeros((2, 1), jnp.int32)),
            r"counter is int32\[2, 0\]",
        ),
        (
            lambda: make_state()._replace(
                params={"weight": jnp.zeros((2, 3), jnp.int32), "none": None}
            ),
            r"params.weight is float32\[2, 3\] .* int32\[2, 3\]",
        ),
        (
            lambda: make_state()._replace(key=jnp.zeros((2, 2), jnp.uint32)),
            r"key is key<fry>\[2\] in the checkpoint and uint32\[2, 2\] here",
        ),
    ],
)
def test_the_first_leaf_that_differs_is_named(checkpoints, like, told):
    save(checkpoints, 1)
    with pytest.raises(ConfigError, match=told):
        checkpoints.restore(jax.eval_shape(like))


def test_a_full_disk_loses_nothing(checkpoints):
    save(checkpoints, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = make_state()._replace(
        params={"weight": jax.random.normal(jax.random.key(0), (400, 400))}
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CheckpointError) as caught:
            save(checkpoints, 2, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert checkpoints.latest() == 1
    loaded = checkpoints.restore(jax.eval_shape(make_state))
    assert jnp.array_equal(loaded.state.params["weight"], make_state().params["weight"])
    save(checkpoints, 2, large)
    assert checkpoints.latest() == 2
