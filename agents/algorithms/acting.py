"""Acting: on the values of actions, or as a stochastic policy says."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from agents.base import ExplorationError, Inputs, MemoryState, Params
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


def is_sampled(agent: Any, exploration: float | Array | None) -> bool:
    """Whether a stochastic policy draws its actions, or takes the mode.

    Args:
        agent: who acts.
        exploration: None draws, 0.0 takes the mode.

    Raises:
        ExplorationError: any other, which a stochastic policy does not have.
    """
    if exploration is None:
        return True
    if exploration != 0.0:
        raise ExplorationError(
            f"{type(agent).__name__} acts with exploration None (sampled) or 0.0 "
            f"(greedy), not {exploration}."
        )
    return False
