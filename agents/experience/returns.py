"""Advantages and returns from rollouts, `[time, batch]`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from agents.devices import mean_over


def generalized_advantage(
    *,
    reward: Float[Array, "time batch"],
    value: Float[Array, "time batch"],
    last_value: Float[Array, " batch"],
    bootstrap_value: Float[Array, "time batch"],
    terminated: Bool[Array, "time batch"],
    truncated: Bool[Array, "time batch"],
    gamma: float,
    gae_lambda: float,
) -> Float[Array, "time batch"]:
    """Generalised advantage estimation (Schulman et al. 2016, eq. 16).

    With `next_t` the value of what follows step t,

        delta_t = reward_t + gamma * next_t - value_t
        advantage_t = delta_t + gamma * lambda * advantage_{t+1}

    Inside an episode `next_t` is `value_{t+1}`. A terminated episode is worth nothing
    afterwards (`next_t` = 0), also when it was truncated in the same step; one that
    was only truncated goes on in principle, so `next_t` is `bootstrap_value_t`. In
    both cases the sum stops: no advantage flows in from the next episode.

    Args:
        reward: received by acting at step t.
        value: estimate at the observation of step t.
        last_value: estimate at the observation after the last step.
        bootstrap_value: estimate at the final observation of an episode truncated by
            step t, made with the memory from before the reset; read nowhere else.
        terminated: whether step t ended its episode for good.
        truncated: whether a time limit cut the episode off at step t.
        gamma: discount per step.
        gae_lambda: 0 for one-step temporal differences, 1 for Monte-Carlo returns.

    Returns:
        The advantages; advantages + values are the value targets.
    """
    ended = terminated | truncated
    following = jnp.concatenate([value[1:], last_value[None]])
    following = jnp.where(truncated, bootstrap_value, following)
    following = jnp.where(terminated, 0, following)
    delta = reward + gamma * following - value

    def backward(
        advantage: Float[Array, " batch"], step: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        delta, ended = step
        advantage = delta + gamma * gae_lambda * jnp.where(ended, 0, advantage)
        return advantage, advantage

    initial = jnp.zeros_like(last_value)
    return jax.lax.scan(backward, initial, (delta, ended), reverse=True)[1]


def explained_variance(
    prediction: Float[Array, "time batch"],
    target: Float[Array, "time batch"],
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """1 - Var[target - prediction] / Var[target]; nan where the target is constant.

    Variances are over the batches of all devices on the axis, if one is named.
    """
    variance = _centred(target, axis_name)[1]
    unexplained = _centred(target - prediction, axis_name)[1]
    return jnp.where(variance > 0, 1 - unexplained / variance, jnp.nan)


def standardized(
    x: Float[Array, "..."], axis_name: str | None = None
) -> Float[Array, "..."]:
    """`x` with mean 0 and variance 1, over all devices on the axis, if one is named."""
    centred, variance = _centred(x, axis_name)
    return centred / (jnp.sqrt(variance) + 1e-8)


def _centred(x: Array, axis_name: str | None) -> tuple[Array, Float[Array, ""]]:
    """`x` without its mean, and its variance (equal numbers of values per device)."""
    centred = x - mean_over(axis_name, x.mean())
    return centred, mean_over(axis_name, jnp.square(centred).mean())
