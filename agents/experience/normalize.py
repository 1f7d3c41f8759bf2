"""Running statistics: observations standardised, rewards on a common scale.

The statistics are part of `params`, so whoever acts with the parameters sees what the
agent saw in training. They are no weights: no gradient, unknown to the optimiser. A
rollout and what is learned from it use the same observation statistics; those that
include the rollout take effect at the next update.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from agents.devices import sum_over
from agents.experience.rollout import Rollout, Streams
from agents.spaces import is_float_box, named_leaves, observation_keys
from envs.base import float_dtype

CLIP = 10.0
"""Standardised observations are clipped to [-CLIP, CLIP]."""

HISTORY = 1_000
"""Updates that the statistics remember: from then on a new batch of samples weighs
1 / HISTORY and old ones are forgotten slowly. With an unbounded count new samples would
come to weigh less than a rounding error of float32, and nothing would move any more."""

_VARIANCE_FLOOR = 1e-8

Total = Callable[[Array], Array]
"""Sum of a quantity over the devices that share a batch."""


def one_device(part: Array) -> Array:
    """The total where one device holds the whole batch."""
    return part


class Moments(eqx.Module):
    """Running mean and variance of samples of one shape.

    Attributes:
        count: samples that the statistics stand for.
        mean: of each element; 0 before the first sample.
        variance: of each element (population); 1 before the first sample.
    """

    count: Float[Array, ""]
    mean: Float[Array, "..."]
    variance: Float[Array, "..."]

    @classmethod
    def unseen(cls, shape: tuple[int, ...]) -> "Moments":
        """Statistics of no samples, which leave values as they are."""
        dtype = float_dtype()
        return cls(
            jnp.zeros((), dtype), jnp.zeros(shape, dtype), jnp.ones(shape, dtype)
        )

    def updated(self, samples: Array, total: Total = one_device) -> "Moments":
        """The statistics with some samples added (Chan et al. 1979, eq. 2.1).

        Everything is a total of sums and counts, so `total=psum` makes it right on
        several devices. Sums are of differences from the present mean, corrected
        once, so that samples far from 0 lose no digits. An element with a sample
        that is not finite stays as it was.

        Args:
            samples: `[..., *shape]`.
            total: sum over devices.
        """
        dtype = self.mean.dtype
        samples = samples.astype(dtype).reshape(-1, *self.mean.shape)
        count = total(jnp.asarray(samples.shape[0], dtype))
        differences = samples - self.mean[None]
        offset = total(differences.sum(0)) / count
        differences = differences - offset[None]
        correction = total(differences.sum(0)) / count
        spread = total(jnp.square(differences).sum(0)) / count - jnp.square(correction)
        offset = offset + correction
        known = jnp.minimum(self.count, (HISTORY - 1) * count)
        weight = count / (known + count)
        mean = self.mean + weight * offset
        variance = (
            (1 - weight) * self.variance
            + weight * spread
            + weight * (1 - weight) * jnp.square(offset)
        )
        finite = jnp.isfinite(mean) & jnp.isfinite(variance)
        return Moments(
            count=known + count,
            mean=jnp.where(finite, mean, self.mean),
            variance=jnp.where(finite, jnp.maximum(variance, 0), self.variance),
        )

    def standardized(self, x: Array) -> Float[Array, "..."]:
        """`x` with mean 0 and variance 1, clipped to [-CLIP, CLIP]."""
        shifted = x.astype(self.mean.dtype) - jnp.broadcast_to(self.mean, x.shape)
        scale = jnp.broadcast_to(self.deviation(), x.shape)
        return jnp.clip(shifted / scale, -CLIP, CLIP)

    def deviation(self) -> Float[Array, "..."]:
        """Standard deviation, never 0."""
        return jnp.sqrt(self.variance + _VARIANCE_FLOOR)


class Statistics(eqx.Module):
    """What is normalised, and how.

    Attributes:
        observation: per observation key that is a Box of floating-point numbers;
            pixels and choices have none. None where observations stay as they are.
        reward: of the discounted return; None where rewards stay as they are.
    """

    observation: dict[str, Moments] | None
    reward: Moments | None

    @classmethod
    def unseen(
        cls, space: gymnasium.Space, *, observation: bool, reward: bool
    ) -> "Statistics":
        """Statistics before any experience.

        Args:
            space: of observations.
            observation: whether observations are normalised.
            reward: whether rewards are.
        """
        keys = {
            name: Moments.unseen(leaf.shape or ())
            for name, leaf in observation_keys(space).items()
            if is_float_box(leaf)
        }
        return cls(
            observation=keys if observation else None,
            reward=Moments.unseen(()) if reward else None,
        )


def split_trainable(params: Any) -> tuple[Any, Any]:
    """`params` as (what the optimiser moves, the rest): `eqx.combine` joins them."""

    def trainable(node: Any) -> Any:
        if isinstance(node, Moments):
            return jax.tree.map(lambda _: False, node)
        return eqx.is_inexact_array(node)

    mask = jax.tree.map(
        trainable, params, is_leaf=lambda node: isinstance(node, Moments)
    )
    return eqx.partition(params, mask)


def with_statistics(params: Any, statistics: Statistics) -> Any:
    """`params` with other statistics."""
    return eqx.tree_at(lambda p: p.statistics, params, statistics)


def normalize_rollout(
    statistics: Statistics,
    space: gymnasium.Space,
    streams: Streams,
    rollout: Rollout,
    *,
    gamma: float,
    total: Total = one_device,
) -> tuple[Statistics, Streams, Rollout]:
    """Add a rollout's experience to the statistics and put its rewards to scale.

    Rewards are divided by the standard deviation of the discounted return, this
    rollout included: the first reward after a long drought would otherwise be divided
    by nearly nothing. What episodes returned (`Rollout.statistics`) stays raw.

    Args:
        statistics: those the rollout was collected with.
        space: of observations.
        streams: where the streams stand after the rollout; their discounted returns
            are still those from before it.
        rollout: what was collected.
        gamma: discount per step.
        total: sum over devices.

    Returns:
        The statistics for the next update, the streams with their discounted returns
        brought up to date, and the rollout with scaled rewards.
    """
    steps = rollout.transitions
    if statistics.observation is not None:
        leaves = named_leaves(space, steps.inputs.observation)
        updated = {
            name: moments.updated(leaves[name], total)
            for name, moments in statistics.observation.items()
        }
        statistics = Statistics(updated, statistics.reward)
    if statistics.reward is not None and streams.discounted_return is not None:
        returns, last = discounted_returns(
            steps.reward,
            steps.terminated | steps.truncated,
            streams.discounted_return,
            gamma,
        )
        moments = statistics.reward.updated(returns, total)
        statistics = Statistics(statistics.observation, moments)
        streams = streams._replace(discounted_return=last)
        scaled = steps.reward / moments.deviation()
        rollout = rollout._replace(transitions=steps._replace(reward=scaled))
    return statistics, streams, rollout


def normalized(
    agent: Any, params: Any, streams: Streams, rollout: Rollout
) -> tuple[Statistics, Streams, Rollout]:
    """`normalize_rollout` with what an agent normalises, over all of its devices."""
    return normalize_rollout(
        params.statistics,
        agent.env.observation_space,
        streams,
        rollout,
        gamma=agent.gamma,
        total=functools.partial(sum_over, agent.axis_name),
    )


def discounted_returns(
    reward: Float[Array, "time batch"],
    ended: Bool[Array, "time batch"],
    initial: Float[Array, " batch"],
    gamma: float,
) -> tuple[Float[Array, "time batch"], Float[Array, " batch"]]:
    """Discounted rewards of each episode so far: G_t = gamma G_{t-1} + r_t.

    Args:
        reward: received at step t.
        ended: whether step t ended its episode, either way; the next starts from 0.
        initial: G before the first step.
        gamma: discount per step.

    Returns:
        G at every step, and G after the last one (0 where an episode just ended).
    """

    def step(carry: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, ended = now
        total = gamma * carry + reward
        return jnp.where(ended, 0, total), total

    last, returns = jax.lax.scan(step, initial, (reward, ended))
    return returns, last
