"""Learning from a rollout in epochs of minibatches of whole sequences."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from agents.base import MemoryState, Params
from agents.devices import mean_over
from agents.experience.normalize import split_trainable

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
        trainable, fixed = split_trainable(params)
        gradients, metrics = jax.grad(
            lambda p: loss(eqx.combine(p, fixed), state, chosen), has_aux=True
        )(trainable)
        gradients = mean_over(axis_name, gradients)
        metrics["loss/gradient_norm"] = optax.tree.norm(gradients)
        trainable, optimizer_state = stepped(
            optimizer, gradients, optimizer_state, trainable
        )
        return (eqx.combine(trainable, fixed), optimizer_state), metrics

    def epoch(carry: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
        order = jax.random.permutation(key, sequences)
        return jax.lax.scan(minibatch, carry, order.reshape(num_minibatches, -1))

    keys = jax.random.split(key, num_epochs)
    learned, metrics = jax.lax.scan(epoch, (params, optimizer_state), keys)
    return *learned, metrics


def stepped(
    optimizer: optax.GradientTransformation,
    gradients: Any,
    optimizer_state: optax.OptState,
    trainable: Any,
) -> tuple[Any, optax.OptState]:
    """Weights and optimiser state after one step."""
    with jax.numpy_dtype_promotion("standard"):  # as Optax expects
        changes, optimizer_state = optimizer.update(
            gradients, optimizer_state, trainable
        )
    return optax.apply_updates(trainable, changes), optimizer_state
