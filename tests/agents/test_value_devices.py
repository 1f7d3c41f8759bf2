"""Agents that value actions, split over four devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import devices
from agents.running.updates import compile_updates, over_seeds
from tests.agents.algorithms import test_pqn, test_q_one, test_sac

SIZES = {
    "num_envs": 8,
    "replay_size": 8 * 48,
    "batch_size": 8,
    "learning_starts": 8 * 8 * 3,
    "gradient_steps": 2,
}
AGENTS = {
    "dqn": lambda: test_q_one.make_agent(**SIZES, exploration_last=None),
    "sac": lambda: test_sac.make_agent(**SIZES),
    "pqn": lambda: test_pqn.make_agent(num_envs=8, num_minibatches=2),
}


def runner(agent, mesh, seeds=(3,)):
    """A function from a number of updates to what they lead to.

    That is the state `[seeds, ...]`, whole and as it lies on devices, and metrics.
    """
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    init = jax.jit(over_seeds(agent.init, len(seeds)))
    first = devices.place(init(keys), agent, mesh)
    update, _ = compile_updates(agent, len(seeds), 8, first, mesh)

    def run(updates):
        state = devices.place(init(keys), agent, mesh)
        state, metrics = update(state, jnp.asarray(updates, jnp.int32))
        return devices.gather(state, mesh), state, metrics

    return run


@pytest.mark.shows("several devices")
@pytest.mark.shows("seeds in one program")
@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=() if x == "dqn" else pytest.mark.slow) for x in AGENTS],
)
def test_four_devices_play_as_one_and_agree_on_what_they_learned(name):
    """One seed alone on four devices, and in a group of two on one."""
    agent = AGENTS[name]()
    mesh = devices.choose_devices(4, agent)
    assert mesh.size == 4
    played = 1 if name == "pqn" else 2  # before anything is learned, or with it
    group = runner(agent, None, seeds=(2, 3))(played)[0]
    one = jax.tree.map(lambda x: x[1:], group)
    on_four = runner(agent, mesh)
    four, _, _ = on_four(played)
    jax.tree.map(
        np.testing.assert_array_equal,
        (one.streams.env_state, one.streams.inputs),
        (four.streams.env_state, four.streams.inputs),
    )
    other = group.streams.env_state.env_state.noise[0]
    assert not np.array_equal(other, one.streams.env_state.env_state.noise[0])
    if name != "pqn":
        jax.tree.map(np.testing.assert_array_equal, one.replay.rows, four.replay.rows)
    _, split, metrics = on_four(6)
    assert np.isfinite(metrics["loss/total"][0, :6]).all()
    assert metrics["loss/total"][0, 5] > 0 or name == "sac"
    for leaf in jax.tree.leaves((split.params, split.optimizer_state)):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert len(others) == 3
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_windows_that_do_not_split_are_refused():
    agent = test_q_one.make_agent(**{**SIZES, "batch_size": 6})
    with pytest.raises(Exception, match="batch_size=6 windows do not split"):
        devices.choose_devices(4, agent)
