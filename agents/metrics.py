"""What an update reports about its rollout; docs/metrics.md lists every tag."""

from typing import Any

from jaxtyping import Array

from agents.networks import memory_norm
from agents.returns import explained_variance
from agents.rollout import Rollout, Streams


def rollout_metrics(
    rollout: Rollout,
    streams: Streams,
    batch: Any,
    *,
    has_success: bool,
) -> dict[str, Array]:
    """Metrics of episodes (means over those that ended; nan if none did) and values.

    Args:
        rollout: what was collected.
        streams: where the streams stand after it.
        batch: what is learned from it, with value targets.
        has_success: whether the task says which episodes succeeded.
    """
    statistics = rollout.statistics
    value = batch.transitions.extras.value
    count = statistics.episodes.astype(statistics.episode_return.dtype)
    metrics = {
        "train/return": statistics.episode_return / count,
        "train/episode_length": statistics.episode_length / count,
        "train/episodes": count,
        "value/explained_variance": explained_variance(value, batch.target),
        "value/mean": value.mean(),
        "memory/state_norm": memory_norm(streams.memory_state),
    }
    if has_success:
        metrics["train/success"] = statistics.success / count
    return metrics
