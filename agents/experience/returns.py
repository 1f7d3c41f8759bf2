"""Advantages and returns from tapes, `[time, batch]`."""

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
    following = jnp.concatenate([value[1:], last_value[None]])
    targets = lambda_returns(
        reward=reward,
        next_value=jnp.where(truncated, bootstrap_value, following),
        terminated=terminated,
        truncated=truncated,
        gamma=gamma,
        trace=gae_lambda,
    )
    return targets - value


def lambda_returns(
    *,
    reward: Float[Array, "time batch"],
    next_value: Float[Array, "time batch"],
    terminated: Bool[Array, "time batch"],
    truncated: Bool[Array, "time batch"],
    gamma: float,
    trace: float,
) -> Float[Array, "time batch"]:
    """Returns that fade from rewards into values (Sutton and Barto 2018, eq. 12.18).

        G_t = reward_t + gamma * ((1 - trace) * next_t + trace * G_{t+1})

    A terminated episode is worth nothing afterwards, also when it was truncated in the
    same step. After a truncated one, and after the last step, `next_t` stands for
    G_{t+1}.

    Args:
        reward: received by acting at step t.
        next_value: estimate of what follows step t: of the final observation where a
            time limit cut the episode off, with the memory of that episode.
        terminated: whether step t ended its episode for good.
        truncated: whether a time limit cut the episode off at step t.
        gamma: discount per step.
        trace: lambda; 0 for one-step targets, 1 for Monte-Carlo returns.
    """
    fading = jnp.where(truncated, 1, 1 - trace) * next_value
    fixed = reward + gamma * jnp.where(terminated, 0, fading)
    flows = jnp.where(terminated | truncated, 0, gamma * trace)

    def backward(
        following: Float[Array, " batch"], step: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        fixed, flows = step
        target = fixed + flows * following
        return target, target

    return jax.lax.scan(backward, next_value[-1], (fixed, flows), reverse=True)[1]


def n_step_returns(
    *,
    reward: Float[Array, "time batch"],
    next_value: Float[Array, "time batch"],
    terminated: Bool[Array, "time batch"],
    truncated: Bool[Array, "time batch"],
    known: Bool[Array, "time batch"],
    gamma: float,
    steps: int,
) -> tuple[Float[Array, "time batch"], Bool[Array, "time batch"]]:
    """Returns of up to `steps` rewards and the value of what follows them.

        R^1_t = reward_t + gamma * next_t
        R^n_t = reward_t + gamma * R^{n-1}_{t+1}

    The sum stops where an episode ends, as in `lambda_returns`, and at the last row:
    the last rows have fewer rewards.

    Args:
        reward: received by acting at step t.
        next_value: estimate of what follows step t, as for `lambda_returns`.
        terminated: whether step t ended its episode for good.
        truncated: whether a time limit cut the episode off at step t.
        known: whether `next_value` is right.
        gamma: discount per step.
        steps: n, at least 1.

    Returns:
        The returns, and which of them rest on known values alone.
    """
    last = jnp.zeros_like(truncated).at[-1].set(True)
    stops = terminated | truncated | last
    following, whole = next_value, known | terminated

    def behind(x: Array) -> Array:
        return jnp.concatenate([x[1:], x[-1:]])

    def bootstrapped(following: Array) -> Array:
        return reward + gamma * jnp.where(terminated, 0, following)

    result, sound = bootstrapped(following), whole
    for _ in range(steps - 1):
        result = bootstrapped(jnp.where(stops, next_value, behind(result)))
        sound = jnp.where(stops, whole, behind(sound))
    return result, sound


def rests_on(
    known: Bool[Array, "time batch"],
    *,
    terminated: Bool[Array, "time batch"],
    truncated: Bool[Array, "time batch"],
) -> Bool[Array, "time batch"]:
    """Which returns that run to the end of their episode rest on known values alone.

    Args:
        known: whether what follows a step is.
        terminated: whether step t ended its episode for good: nothing follows it.
        truncated: whether a time limit cut the episode off at step t.
    """

    def backward(
        following: Bool[Array, " batch"], step: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        known, ended = step
        sound = known & (ended | following)
        return sound, sound

    steps = (known | terminated, terminated | truncated)
    return jax.lax.scan(backward, jnp.ones_like(known[-1]), steps, reverse=True)[1]


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
