"""CartPole with positions, velocities or noisy positions on show."""

import dataclasses
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
from envs.popgym.control import balancing

_GAINS = (0.1, 0.3, 1.0, 0.4)
_STARTS, _BALANCED_STEPS = 2**18, 1000  # that the policies below were played for


class CartPoleState(NamedTuple):
    """The physical state and the clock.

    Attributes:
        position, speed: of the cart, in metres and metres per second.
        angle, turning: of the pole from upright, in radians, and its rate.
        time: steps taken.
    """

    position: Float[Array, ""]
    speed: Float[Array, ""]
    angle: Float[Array, ""]
    turning: Float[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class CartPole(Environment):
    """Balance a pole, seeing positions or velocities only (Morad et al. 2023).

    The physics are Gymnasium's CartPole: Euler steps of 0.02 s, a force of 10 N to
    the left (action 0) or right (1), all four numbers uniform in [-0.05, 0.05] at the
    start. Every step pays 1/steps, the one that ends the episode included: it is
    terminated when the cart leaves [-2.4, 2.4] or the pole tilts by more than 12
    degrees, and truncated after `steps` steps, which can coincide.

    Observations are `[position, angle]` or `[speed, turning]`, and noise is added to
    both alike before they are clipped to their Box, twice as large as what is allowed.
    The same sigma for a range of 4.8 and one of 0.42 drowns the angle.

    Where this differs from the package: the reset of its VelocityOnlyCartPole shows
    the two *positions*, which is what the task hides; here it shows the velocities,
    like every step. And it pays -1 for steps after the end, of which there are none
    here.

    Attributes:
        observed: 'positions' or 'velocities'.
        sigma: standard deviation of the noise in observations.
        steps: length of the episode.
    """

    observed: str = "positions"
    sigma: float = 0.0
    steps: int = 200

    def __post_init__(self) -> None:
        if self.observed not in ("positions", "velocities"):
            raise ValueError(
                f"CartPole shows 'positions' or 'velocities', not {self.observed!r}."
            )
        check_sigma("CartPole", self.sigma)
        check_steps("CartPole", self.steps)

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "2"], CartPoleState]:
        """Draw positions and velocities near zero."""
        start_key, noise_key = jax.random.split(key)
        most, dtype = balancing.START, float_dtype()
        start = jax.random.uniform(start_key, (4,), dtype, -most, most)
        state = CartPoleState(*start, time=jnp.zeros((), jnp.int32))
        return self._observe(noise_key, state), state

    def step(
        self, key: PRNGKeyArray, state: CartPoleState, action: Int[Array, ""]
    ) -> Transition:
        """Push for one step and pay."""
        numbers = balancing.advance(state[:4], action == 1)
        after = CartPoleState(*numbers, time=state.time + 1)
        fell = balancing.fell(after.position, after.angle)
        truncated = after.time >= self.steps
        reward = jnp.full((), 1 / self.steps, float_dtype())
        info = {"success": truncated & ~fell}
        return self._observe(key, after), after, reward, fell, truncated, info

    def _observe(self, key: PRNGKeyArray, state: CartPoleState) -> Float[Array, "2"]:
        shown = jnp.stack(self._pair(state, self.observed)).astype(jnp.float32)
        high = jnp.asarray(self.observation_space.high)
        return with_noise(key, shown, self.sigma, high)

    def _pair(self, state: CartPoleState, name: str) -> tuple[Array, Array]:
        if name == "positions":
            return state.position, state.angle
        return state.speed, state.turning

    def oracle(self, key: PRNGKeyArray, state: CartPoleState) -> Int[Array, ""]:
        """Push towards the side to which a weighted sum of the state points."""
        del key
        numbers = jnp.stack([state.position, state.speed, state.angle, state.turning])
        pointer = (numbers * jnp.asarray(_GAINS, numbers.dtype)).sum()
        return (pointer > 0).astype(jnp.int32)

    def hidden(self, state: CartPoleState) -> dict[str, tuple[Array, Array]]:
        """The pairs that are not on show as they are, and the steps so far."""
        return {
            name: (jnp.stack(self._pair(state, name)), state.time)
            for name in ("positions", "velocities")
            if name != self.observed or self.sigma > 0
        }

    def render(self, state: CartPoleState) -> UInt8[Array, "64 96 3"]:
        """Cart and pole; in the strip bars for what is hidden."""
        image = draw.rectangle(draw.canvas(draw.SCENE, 96), (42, 8), (1, 80), draw.MARK)
        middle = 47.5 + state.position * (40 / balancing.TRACK)
        left = (middle - 7.0).round().astype(jnp.int32)
        image = draw.rectangle(image, (36, left), (6, 15), draw.AGENT)
        # The tilt is doubled: twelve degrees are hard to see.
        row, column = 35 - 30 * jnp.cos(2 * state.angle), 30 * jnp.sin(2 * state.angle)
        foot = jnp.stack([jnp.full_like(middle, 35.0), middle])
        tip = jnp.stack([row, middle + column])
        image = draw.rod(image, jnp.stack([foot, tip]), 3.0, draw.FLOOR)
        scales = {
            "positions": (balancing.TRACK, balancing.TILT),
            "velocities": (2.0, 2.0),
        }
        numbers = [
            number / scale
            for name, (pair, _) in self.hidden(state).items()
            for number, scale in zip(pair, scales[name], strict=True)
        ]
        return draw.frame(image, draw.bars(jnp.stack(numbers), 96))

    @property
    def observation_space(self) -> spaces.Box:
        """Of the cart, of the pole; velocities are unbounded."""
        if self.observed == "velocities":
            return spaces.Box(-np.inf, np.inf, (2,), np.float32)
        high = np.array([2 * balancing.TRACK, 2 * balancing.TILT], np.float32)
        return spaces.Box(-high, high)

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, right."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """A difference of two observations, a sum of all, or a filter."""
        exactly_positions = self.observed == "positions" and self.sigma == 0
        return Card(
            memory="filtering",
            paper=PAPER,
            # Differences of positions tell the velocities; sums and filters use all.
            horizon=(1, 1 if exactly_positions else self.steps - 1),
            truncates=True,
            floor=balancing.random_return(self.steps),
            memoryless=unknown_without_memory(),
            recall=self._balanced(
                "as the oracle, from differences of the positions seen"
                if exactly_positions
                else "as the oracle, from sums of the velocities seen"
            )
            if self.sigma == 0
            else unknown_through_noise(),
            oracle=self._balanced("the side to which 4 weighted numbers point"),
            max_episode_steps=self.steps,
            outside_memory=True,  # cart and pole themselves
            actions=("left", "right"),
        )

    def _balanced(self, how: str) -> Return:
        """No policy is paid more than 1; this one never fell."""
        if self.steps > _BALANCED_STEPS:
            return unknown(f"played for {_BALANCED_STEPS:,} steps only: {how}")
        note = f"the most there is; none of the starts played fell: {how}"
        return simulated(1.0, _STARTS, 3 / _STARTS, note)
