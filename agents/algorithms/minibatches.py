"""Learning from a rollout in epochs of minibatches of whole sequences."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from agents.algorithms.optimizer import gradient_step
from agents.base import MemoryState, Params
from agents.experience.normalize import split_trainable
from agents.experience.rollout import Streams, first_streams
from agents.experience.stagger import stagger
from agents.keys import Use, key_for


class RolloutState(NamedTuple):
    """Everything that evolves in a run of an agent that learns from rollouts.

    Attributes:
        params: arrays of the network, statistics included.
        optimizer_state: Optax's.
        streams: environments, inputs and memory states, `[batch, ...]`.
        key: the run's key; updates fold their number into it.
        updates: updates made so far.
    """

    params: Params
    optimizer_state: optax.OptState
    streams: Streams
    key: PRNGKeyArray
    updates: Int[Array, ""]


def first_rollout_state(
    agent: Any, key: PRNGKeyArray, params: Params | None
) -> RolloutState:
    """A state before any experience.

    Args:
        agent: with an `optimizer` and the settings of `Agent`.
        key: the seed's.
        params: to begin with, in place of new ones.
    """
    network = agent.build_network(key_for(key, Use.NETWORK))
    if params is not None:
        network = agent.network(params)
    params = eqx.filter(network, eqx.is_array)
    streams = first_streams(agent, network, key=key)
    run_key = key_for(key, Use.RUN)
    if agent.staggered_starts:
        streams = stagger(agent, params, streams, key=run_key)
    optimizer_state = agent.optimizer.init(split_trainable(params)[0])
    updates = jnp.zeros((), jnp.int32)
    return RolloutState(params, optimizer_state, streams, run_key, updates)


Loss = Callable[[Params, MemoryState, Any], tuple[Float[Array, ""], dict[str, Array]]]
"""Of parameters, the memory state that entered each sequence, and the sequences."""


def learn(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    params: Params,
    optimizer_state: optax.OptState,
    batch: Any,
    memory_states: MemoryState,
    *,
    num_epochs: int,
    num_minibatches: int,
    axis_name: str | None,
    key: PRNGKeyArray,
) -> tuple[Params, optax.OptState, dict[str, Array]]:
    """Epochs of minibatches, each epoch in an order of its own.

    Args:
        loss: to minimise, with metrics.
        optimizer: of the trainable part of the parameters.
        params: arrays of the network.
        optimizer_state: Optax's.
        batch: sequences, `[sequence_length, sequences, ...]`.
        memory_states: what entered them, `[sequences per stream, batch, ...]`.
        num_epochs: passes over the batch.
        num_minibatches: minibatches per pass; divides the number of sequences.
        axis_name: of the devices that share the sequences; None for one device.
        key: source of the orders.

    Returns:
        Parameters and optimiser state, and metrics `[epochs, minibatches]`.
    """
    # [sequences per stream, batch, ...] -> [sequences, ...], as `as_sequences`.
    entering = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), memory_states)
    sequences = jax.tree.leaves(batch)[0].shape[1]

    def minibatch(carry: Any, index: Int[Array, " sequences"]) -> tuple[Any, Any]:
        params, optimizer_state = carry
        chosen = jax.tree.map(lambda x: x[:, index], batch)
        state = jax.tree.map(lambda x: x[index], entering)
        params, optimizer_state, norm, metrics = gradient_step(
            lambda p: loss(p, state, chosen),
            optimizer,
            params,
            optimizer_state,
            axis_name,
        )
        return (params, optimizer_state), {**metrics, "loss/gradient_norm": norm}

    def epoch(carry: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
        order = jax.random.permutation(key, sequences)
        return jax.lax.scan(minibatch, carry, order.reshape(num_minibatches, -1))

    keys = jax.random.split(key, num_epochs)
    learned, metrics = jax.lax.scan(epoch, (params, optimizer_state), keys)
    return *learned, metrics
