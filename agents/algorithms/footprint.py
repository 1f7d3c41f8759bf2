"""What an agent that learns from rollouts needs in memory."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from agents.experience.normalize import split_trainable
from agents.experience.rollout import play
from agents.footprint import Part, bytes_of, of_streams


def rollout_footprint(agent: Any, cut: Callable[..., Any]) -> dict[str, Part]:
    """Parts of an agent that learns from a rollout by its `loss`.

    Args:
        agent: the agent.
        cut: from parameters, streams and a rollout to what the loss is of,
            `[sequence_length, sequences, ...]`.
    """
    key = jax.eval_shape(jax.random.key, 0)
    state = jax.eval_shape(agent.init, key)
    rollout = jax.eval_shape(lambda state: play(agent, state)[1], state)
    batch = jax.eval_shape(cut, state.params, state.streams, rollout)
    learning = _learning(agent, state.params, batch, rollout.memory_states)
    weights = bytes_of((state.params, state.optimizer_state))
    lower = ("agent.num_envs", "agent.rollout_length", "memory.output_size")
    return {
        "parameters": Part(weights, "kept", ("memory.output_size",)),
        **of_streams(state.streams),
        "rollout": Part(bytes_of(rollout), "training", lower),
        "learning": Part(learning, "training", lower, ("agent.num_minibatches",)),
    }


def _learning(agent: Any, params: Any, batch: Any, memory_states: Any) -> int:
    """Bytes of the learner's copy, one minibatch, and its gradient with its inputs."""
    sequences = jax.tree.leaves(batch)[0].shape[1]
    size = sequences // agent.num_minibatches

    def minibatch(batch: Any, entering: Any) -> Any:
        chosen = jax.tree.map(lambda x: x[:, :size], batch)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], entering)
        return chosen, flat

    chosen, entering = jax.eval_shape(minibatch, batch, memory_states)

    def kept(params: Any, chosen: Any, entering: Any) -> Any:
        """What the forward pass keeps: the leaves of its transpose."""
        weights, rest = split_trainable(params)

        def loss(weights: Any) -> Any:
            return agent.loss(eqx.combine(weights, rest), entering, chosen)[0]

        return jax.vjp(loss, weights)[1]

    residuals = jax.eval_shape(kept, params, chosen, entering)
    return bytes_of((batch, chosen, entering, params, residuals))
