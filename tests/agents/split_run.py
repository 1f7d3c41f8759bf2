"""The beginning of a run on one device, several, or several processes, to compare.

As a program it is one of two processes: its number, the port, the file to write.
"""

import functools
import pickle
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from agents import devices
from agents.running.jobs import processes
from agents.running.updates import compile_updates, over_seeds
from tests.agents.algorithms.test_ratio_one import make_agent


def split_agent():
    """One minibatch, so that its order does not matter."""
    return make_agent(
        num_envs=8, num_epochs=1, num_minibatches=1, normalize_advantage=True
    )


@functools.cache
def first_state(agent, seeds):
    """A first state, `[seeds, ...]`, whose policy is not nearly uniform."""
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    state = jax.jit(over_seeds(agent.init, len(seeds)))(keys)
    params = eqx.tree_at(lambda p: p.policy_head, state.params, replace_fn=_hundredfold)
    return state._replace(params=params)


def _hundredfold(head):
    return jax.tree.map(lambda x: 100 * x, head)


def rollout_of(agent, state, mesh):
    """The first rollout, and where streams stand after it, `[seeds, ...]`."""
    share = devices.share_of(agent, mesh)

    def collect(state):
        streams, rollout = share.rollout(state.params, state.streams, state.key)
        return streams, rollout._replace(statistics=None)

    function = over_seeds(collect, len(state.updates))
    if mesh is not None:
        streams, steps = (
            PartitionSpec(None, devices.AXIS),
            PartitionSpec(None, None, devices.AXIS),
        )
        function = jax.shard_map(
            function,
            mesh=mesh,
            in_specs=(devices.layout(agent, state),),
            out_specs=(streams, steps),
            check_vma=False,
        )
    return jax.jit(function)(state)


def measure(agent, mesh, seeds):
    """Rollout and first update of a group of seeds.

    Returns:
        Them as numpy arrays of the whole, `[seeds, ...]`; the compiled update, and
        the states before and after it, on their devices.
    """
    state = devices.place(first_state(agent, seeds), agent, mesh)
    streams, rollout = rollout_of(agent, state, mesh)
    update, _ = compile_updates(agent, len(seeds), 2, state, mesh)
    new_state, metrics = update(state, jnp.asarray(1, jnp.int32))
    result = {
        "streams": streams,
        "rollout": rollout,
        "metrics": {name: x[:, 0] for name, x in metrics.items()},
        "gradients": gradients(new_state),
        "new_streams": new_state.streams,
    }
    result = jax.tree.map(np.asarray, devices.gather(result, mesh))
    return result, update, state, new_state


def gradients(state):
    """Clipped gradients of the first update: Adam's mean is a tenth of them."""
    return jax.tree.map(lambda x: 10 * x, state.optimizer_state[1][0].mu)


def main():
    number, port, path = sys.argv[1:]
    distributed = {
        "coordinator": f"localhost:{port}",
        "num_processes": 2,
        "process_id": int(number),
    }
    processes.start([{"num_devices": 2, "distributed": distributed}])
    agent = split_agent()
    mesh = devices.choose_devices(2, agent)
    assert mesh.size == 4 and len(mesh.local_devices) == 2
    result = measure(agent, mesh, (1,))[0]
    Path(path).write_bytes(pickle.dumps(jax.tree.leaves(result)))


if __name__ == "__main__":
    main()
