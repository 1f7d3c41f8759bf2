"""Pendulum with its position on show, exactly or with noise."""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Return,
    Transition,
    computed,
    float_dtype,
    simulated,
    unknown,
)
from envs.popgym.common import (
    PAPER,
    check_sigma,
    check_steps,
    unknown_through_noise,
    unknown_without_memory,
    with_noise,
)
from envs.popgym.control import swing_up

_MIDDLE = 8.1368022  # half of the highest cost, as the package rounds it
_ORACLE_COST, _RECALL_COST, _STANDS_BY = 136.96, 137.32, 100


class PendulumState(NamedTuple):
    """The physical state and the clock.

    Attributes:
        angle: from upright, in radians; it goes on counting over full turns.
        speed: radians per second.
        time: steps taken.
    """

    angle: Float[Array, ""]
    speed: Float[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Pendulum(Environment):
    """Swing up a pendulum and hold it there, seeing its position (Morad et al. 2023).

    The physics are Gymnasium's Pendulum: steps of 0.05 s, a torque of at most 2 that
    is clipped, speeds of at most 8, any angle and a speed in [-1, 1] at the start. A
    step costs c = angle^2 + 0.1 speed^2 + 0.001 torque^2, from 0 to 16.27, for the
    state before it, and pays (1 - c / 8.1368) / steps: between -1 and 1 in a whole
    episode, which is truncated after `steps` steps and never terminated.

    Observations are `[cosine, sine]` of the angle. Noise is added to both and what
    leaves [-1, 1] is clipped.

    The oracle looks its torques up in a plan on 101 x 81 points; it returns up to 0.004
    less than the card says, which is that of finer plans. The package computes in
    doubles, but rounds the torque to the float32 of actions from its own space.

    In the package's levels the episode gets *shorter* from Easy to Hard, which leaves
    less time at the top.

    Attributes:
        sigma: standard deviation of the noise in observations.
        steps: length of the episode.
    """

    sigma: float = 0.0
    steps: int = 200

    def __post_init__(self) -> None:
        check_sigma("Pendulum", self.sigma)
        check_steps("Pendulum", self.steps)

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "2"], PendulumState]:
        """Draw angle and speed."""
        start_key, noise_key = jax.random.split(key)
        dtype = float_dtype()
        drawn = jax.random.uniform(start_key, (2,), dtype, -1.0, 1.0)
        time = jnp.zeros((), jnp.int32)
        state = PendulumState(jnp.asarray(np.pi, dtype) * drawn[0], drawn[1], time)
        return self._observe(noise_key, state), state

    def step(
        self, key: PRNGKeyArray, state: PendulumState, action: Float[Array, "1"]
    ) -> Transition:
        """Apply the torque for one step and pay for the state before it."""
        torque = jnp.clip(action[0], -swing_up.STRONGEST, swing_up.STRONGEST)
        torque = torque.astype(state.angle.dtype)
        cost = swing_up.cost(state.angle, state.speed, torque)
        reward = (1.0 - cost / _MIDDLE) / self.steps
        angle, speed = swing_up.advance(state.angle, state.speed, torque)
        after = PendulumState(angle, speed, state.time + 1)
        truncated = after.time >= self.steps
        terminated = jnp.zeros((), bool)
        seen = self._observe(key, after)
        return seen, after, reward.astype(float_dtype()), terminated, truncated, {}

    def _observe(self, key: PRNGKeyArray, state: PendulumState) -> Float[Array, "2"]:
        shown = jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle)])
        return with_noise(key, shown.astype(jnp.float32), self.sigma, 1.0)

    def oracle(self, key: PRNGKeyArray, state: PendulumState) -> Float[Array, "1"]:
        """The torque after which the planned cost is lowest."""
        del key
        costs = jnp.asarray(swing_up.plan())
        best = jnp.argmin(swing_up.outlook(costs, state.angle, state.speed, 9))
        return jnp.asarray(swing_up.torques(9), jnp.float32)[best][None]

    def hidden(self, state: PendulumState) -> dict[str, tuple[Array, Array]]:
        """The speed, and the angle if noise blurs it; with the steps so far."""
        known = {"speed": (state.speed, state.time)}
        if self.sigma > 0:
            known["angle"] = (state.angle, state.time)
        return known

    def render(self, state: PendulumState) -> UInt8[Array, "64 64 3"]:
        """The pendulum; in the strip its speed."""
        foot = jnp.array([22.0, 31.5], state.angle.dtype)
        up = jnp.stack([-jnp.cos(state.angle), jnp.sin(state.angle)])
        image = draw.rod(
            draw.canvas(draw.SCENE, 64),
            jnp.stack([foot, foot + 19 * up]),
            4.0,
            draw.FLOOR,
        )
        image = draw.rectangle(image, (21, 30), (3, 4), draw.AGENT)
        speed = state.speed[None] / swing_up.FASTEST
        return draw.frame(image, draw.bars(speed, 64))

    @property
    def observation_space(self) -> spaces.Box:
        """Cosine and sine of the angle."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """The torque."""
        limit = swing_up.STRONGEST
        return spaces.Box(-limit, limit, (1,), np.float32)

    @property
    def card(self) -> Card:
        """A difference of two observations, or a filter.

        Two positions tell the speed exactly, so the best that history allows is to
        act on the first position alone and on the whole state from then on.
        """
        exactly = self.sigma == 0
        recall = self._planned(_RECALL_COST, "blind to the speed in the first step; ")
        return Card(
            memory="filtering",
            paper=PAPER,
            horizon=(1, 1 if exactly else self.steps - 1),
            truncates=True,
            floor=random_return(self.steps),
            memoryless=unknown_without_memory(),
            recall=recall if exactly else unknown_through_noise(),
            oracle=self._planned(_ORACLE_COST, ""),
            max_episode_steps=self.steps,
            outside_memory=True,  # the pendulum itself
        )

    def _planned(self, total: float, note: str) -> Return:
        """The return for a total cost, which no longer grows once it stands."""
        if self.steps < _STANDS_BY:
            return unknown(f"planned for episodes of {_STANDS_BY} steps or more")
        note += "planned on grids up to 801 x 641, which agree to 0.0005"
        return computed(1 - total / (_MIDDLE * self.steps), note)


@functools.cache
def random_return(steps: int) -> Return:
    """Return of uniformly random torques."""
    longest, episodes = 1000, 2**13
    if steps > longest:
        return unknown(f"played for episodes of at most {longest:,} steps")
    rng = np.random.default_rng(0)
    # Stratified angles: their part of the variance is the largest.
    angle = (2 * (np.arange(episodes) + 0.5) / episodes - 1) * np.pi
    speed = rng.uniform(-1, 1, episodes)
    total = np.zeros(episodes)
    for _ in range(steps):
        torque = rng.uniform(-swing_up.STRONGEST, swing_up.STRONGEST, episodes)
        total += swing_up.cost(angle, speed, torque)
        angle, speed = swing_up.advance(angle, speed, torque, np)
    returns = 1 - total / (_MIDDLE * steps)
    half_width = 1.96 * returns.std() / math.sqrt(episodes)
    return simulated(float(returns.mean()), episodes, float(half_width))
