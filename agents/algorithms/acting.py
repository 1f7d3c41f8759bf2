"""Acting on the values of actions."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from agents.base import Inputs, MemoryState, Params
from agents.networks.choices import epsilon_greedy, masked


class QExtras(NamedTuple):
    """What acting knows beside the action: `values` of all, `[batch, actions]`."""

    values: Float[Array, "..."]


def act_on_values(
    agent: Any,
    params: Params,
    memory_state: MemoryState,
    inputs: Inputs,
    *,
    key: Key[Array, " batch"],
    exploration: float | Array | None,
) -> tuple[Array, MemoryState, QExtras]:
    """The best action, or with probability `exploration` any that is allowed.

    Args:
        agent: with `choices` and a network of action values.
        params: from the agent's state.
        memory_state: leaves `[batch, ...]`.
        inputs: what each stream sees now.
        key: a key for every stream.
        exploration: one number, or one per stream; None is 0.
    """
    memory_state, values = agent.network(params).step(memory_state, inputs)
    allowed = agent.choices.allowed(inputs.action_mask)
    if exploration is None or (isinstance(exploration, float) and exploration == 0.0):
        number = masked(values, allowed).argmax(-1)
    else:
        epsilon = jnp.broadcast_to(jnp.asarray(exploration), values.shape[:-1])
        number = epsilon_greedy(values, allowed, epsilon, key=key)
    return agent.choices.action(number), memory_state, QExtras(values)
