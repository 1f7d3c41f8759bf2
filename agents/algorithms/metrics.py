"""What an update reports about its rollout; docs/metrics.md lists every tag."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from agents.devices import mean_over, sum_over
from agents.experience.returns import explained_variance
from agents.experience.rollout import Rollout, Streams
from agents.networks.torso import memory_norm


def rollout_metrics(
    rollout: Rollout,
    streams: Streams,
    batch: Any,
    *,
    has_success: bool,
    axis_name: str | None,
) -> dict[str, Array]:
    """Metrics of episodes (means over those that ended; nan if none did) and values.

    Args:
        rollout: what was collected.
        streams: where the streams stand after it.
        batch: what is learned from it, with value targets.
        has_success: whether the task says which episodes succeeded.
        axis_name: of the devices that share the streams; None for one device.
    """
    value = batch.transitions.extras.value
    means = {
        "value/mean": value.mean(),
        "memory/state_norm": memory_norm(streams.memory_state),
    }
    return {
        **episode_metrics(rollout, has_success=has_success, axis_name=axis_name),
        **mean_over(axis_name, means),
        "value/explained_variance": explained_variance(value, batch.target, axis_name),
    }


def episode_metrics(
    rollout: Rollout, *, has_success: bool, axis_name: str | None
) -> dict[str, Array]:
    """Means over the episodes that ended in a rollout; nan if none did.

    Args:
        rollout: what was collected.
        has_success: whether the task says which episodes succeeded.
        axis_name: of the devices that share the streams; None for one device.
    """
    return sum_over(axis_name, rollout.statistics).metrics(has_success)


def value_metrics(
    agent: Any, streams: Streams, rollout: Rollout, losses: dict[str, Array]
) -> dict[str, Array]:
    """Of episodes, of learning (means over its steps) and of memories.

    Args:
        agent: with the settings of `Agent`.
        streams: where they stand after the rollout.
        rollout: what was collected.
        losses: what every step of the optimiser reported.
    """
    means = {
        **jax.tree.map(jnp.mean, losses),
        "memory/state_norm": memory_norm(streams.memory_state),
    }
    episodes = episode_metrics(
        rollout, has_success="success" in agent.info_keys, axis_name=agent.axis_name
    )
    return {**episodes, **mean_over(agent.axis_name, means)}
