"""Epsilon belongs to the stream's own number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from agents.experience.exploration import annealed, epsilon_of, ladder
from tests.agents.algorithms.test_q_one import make_agent


@pytest.mark.parametrize(("streams", "mean"), [(8, 0.083), (64, 0.064)])
def test_the_ladder_of_the_paper(streams, mean):
    found = np.asarray(ladder(jnp.arange(streams, dtype=jnp.int32), streams))
    expected = [0.4 ** (1 + 7 * i / (streams - 1)) for i in range(streams)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.mean() == pytest.approx(mean, abs=6e-4)
    assert ladder(jnp.zeros(1, jnp.int32), 1)[0] == pytest.approx(0.4)


def test_it_falls_from_one_over_its_share_of_the_run():
    last = jnp.asarray([0.4, 0.0])
    for updates, passed in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
        found = annealed(1.0, last, jnp.asarray(updates, jnp.int32), 10.0)
        expected = 1 + passed * (np.asarray(last) - 1)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(
        annealed(1.0, last, jnp.asarray(0, jnp.int32), 0.0), last
    )


def test_a_share_of_the_streams_explores_as_in_the_whole():
    agent = make_agent(exploration_last=None, num_envs=8, replay_size=8 * 48)
    index = jnp.arange(8, dtype=jnp.int32)
    whole = epsilon_of(agent, index, jnp.zeros((), jnp.int32))
    share = agent.share(4, "device")
    mesh = Mesh(np.array(jax.devices()[:4]), ("device",))
    found = jax.jit(
        jax.shard_map(
            lambda index: epsilon_of(share, index, jnp.zeros((), jnp.int32)),
            mesh=mesh,
            in_specs=PartitionSpec("device"),
            out_specs=PartitionSpec("device"),
        )
    )(index)
    np.testing.assert_allclose(found, whole, rtol=1e-6)
    np.testing.assert_allclose(whole, ladder(index, 8), rtol=1e-6)
