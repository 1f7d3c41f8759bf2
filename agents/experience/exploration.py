"""How much is explored: a function of the stream's own number and of the update."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def ladder(
    index: Int[Array, " batch"], streams: int, *, base: float = 0.4, slope: float = 7.0
) -> Float[Array, " batch"]:
    """One epsilon per stream, from `base` down (Horgan et al. 2018, section 4.1).

        epsilon_i = base^(1 + slope * i / (streams - 1))

    With memory, an episode without any random action is what shows whether the agent
    remembered; half of the streams play such episodes nearly always.

    Args:
        index: each stream's own number, from 0, so that devices do not change it.
        streams: how many there are in all.
        base: epsilon of the first stream.
        slope: how much lower the last one is, in powers.
    """
    dtype = jax.dtypes.canonicalize_dtype(float)
    position = index.astype(dtype) / max(streams - 1, 1)
    return jnp.asarray(base, dtype) ** (1 + slope * position)


def annealed(
    first: float,
    last: float | Float[Array, " batch"],
    updates: Int[Array, ""],
    over: int | float,
) -> Float[Array, "..."]:
    """What is on its way from `first` to `last`, linearly over `over` updates."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    if over <= 0:
        return jnp.asarray(last, dtype)
    passed = jnp.clip(updates.astype(dtype) / over, 0, 1)
    return first + passed * (last - first)


def epsilon_of(
    agent: Any, index: Int[Array, " batch"], updates: Int[Array, ""]
) -> Float[Array, " batch"]:
    """How likely each stream of an agent is to try any action.

    Args:
        agent: with `exploration_last` (None for a ladder over the streams),
            `exploration_share` and the fields of `Agent`.
        index: each stream's own number.
        updates: made so far.
    """
    if agent.exploration_last is None:
        streams = agent.num_envs
        if agent.axis_name is not None:
            streams *= jax.lax.axis_size(agent.axis_name)
        last = ladder(index, streams)
    else:
        last = jnp.full(index.shape, agent.exploration_last)
    over = agent.exploration_share * (agent.total_updates or 0)
    return annealed(1.0, last, updates, over)
