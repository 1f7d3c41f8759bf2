"""MultiarmedBandit: find out within an episode which arm pays most often."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Float32, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype, unknown
from envs.popgym.common import PAPER, check_steps

_MOST_ARMS = 10_000


class BanditState(NamedTuple):
    """How often each arm pays, and what happened last.

    Attributes:
        probabilities: of a payout, one for each arm.
        arm: pulled last; 0 before the first pull.
        payout: 1 if it paid.
        time: steps taken.
    """

    probabilities: Float32[Array, " arms"]
    arm: Int[Array, ""]
    payout: Int[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MultiarmedBandit(Environment):
    """Pull arms whose odds are new in each episode (Morad et al. 2023).

    Each arm pays with a probability of its own, uniform in [0, 1] and drawn at the
    start. The observation is whether the last pull paid, 0 at the start; a pull that
    pays is worth 1/steps and one that does not -1/steps. The episode is truncated
    after `steps` pulls. Which arm was pulled is not observed: agents need the previous
    action as an input.

    That input is a memory too. 'Pull it again if it paid, else go on to the next' is
    a stationary policy and scores 0.47, 0.56 and 0.60 at the three levels, where
    Thompson sampling, which remembers, scores 0.64, 0.73 and 0.77. Neither is the
    best of its kind.

    The package's `info` carries the probabilities, which agents that read it would
    know; here they are in the state only.

    Attributes:
        arms: number of arms.
        steps: pulls in an episode.
    """

    arms: int = 10
    steps: int = 200

    def __post_init__(self) -> None:
        if not 2 <= self.arms <= _MOST_ARMS:
            raise ValueError(
                f"MultiarmedBandit needs arms of at least 2, to have a choice, and at "
                f"most {_MOST_ARMS:,}, not {self.arms}."
            )
        check_steps("MultiarmedBandit", self.steps)

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], BanditState]:
        """Draw the odds."""
        zero = jnp.zeros((), jnp.int32)
        odds = jax.random.uniform(key, (self.arms,), jnp.float32)
        return zero, BanditState(odds, zero, zero, zero)

    def step(
        self, key: PRNGKeyArray, state: BanditState, action: Int[Array, ""]
    ) -> Transition:
        """Pull an arm."""
        arm = action.astype(jnp.int32)
        odds = state.probabilities.at[arm].get(mode="clip")
        pays = jax.random.uniform(key, (), jnp.float32) < odds
        reward = jnp.where(pays, 1 / self.steps, -1 / self.steps)
        payout, time = pays.astype(jnp.int32), state.time + 1
        after = BanditState(state.probabilities, arm, payout, time)
        truncated = time >= self.steps
        terminated = jnp.zeros((), bool)
        info = {"decision": state.time > 0}
        reward = reward.astype(float_dtype())
        return payout, after, reward, terminated, truncated, info

    def oracle(self, key: PRNGKeyArray, state: BanditState) -> Int[Array, ""]:
        """The arm that pays most often."""
        del key
        return state.probabilities.argmax().astype(jnp.int32)

    def hidden(self, state: BanditState) -> dict[str, tuple[Array, Array]]:
        """The odds and the best arm, which are never on show; the steps so far."""
        best = state.probabilities.argmax().astype(jnp.int32)
        return {
            "probabilities": (state.probabilities, state.time),
            "best": (best, state.time),
        }

    def render(self, state: BanditState) -> UInt8[Array, "64 width 3"]:
        """The arm pulled last and whether it paid; in the strip the odds of all."""
        width = max(3, 96 // self.arms)
        arm = jnp.arange(self.arms, dtype=jnp.int32)[None]
        pulled = (arm == state.arm) & (state.time > 0)
        colour = draw.sign(jnp.broadcast_to(state.payout > 0, pulled.shape))
        arms = draw.select(pulled, colour, draw.MARK)
        level = jnp.arange(draw.STRIP, 0, -1, dtype=jnp.int32)[:, None]
        height = (state.probabilities * draw.STRIP).round().astype(jnp.int32)
        odds = draw.select(level <= height[None], draw.FLOOR, draw.BACKGROUND)
        images = [
            draw.tiles(arms, draw.SCENE // 2, width),
            draw.tiles(odds, 1, width),
        ]
        column = jnp.arange(self.arms * width, dtype=jnp.int32)
        gap = column % width == width - 1
        for i, image in enumerate(images):
            where = jnp.broadcast_to(gap, image.shape[:2])
            images[i] = draw.select(where, draw.BACKGROUND, image)
        return draw.frame(*images)

    @property
    def observation_space(self) -> spaces.Discrete:
        """Whether the last pull paid."""
        return spaces.Discrete(2)

    @property
    def action_space(self) -> spaces.Discrete:
        """The arm."""
        return spaces.Discrete(self.arms)

    @property
    def card(self) -> Card:
        """Counts of pulls and payouts for each arm.

        The largest of n uniform numbers is n / (n + 1) on average, and an arm that
        pays with probability p is worth 2 p - 1.
        """
        return Card(
            memory="meta",
            paper=PAPER,
            horizon=(1, self.steps - 1),
            truncates=True,
            floor=exact(0.0, "an arm pays half the time on average"),
            memoryless=unknown(
                "with the previous action as an input: no search over stochastic maps "
                "from arm and payout to arm could prove its result the best"
            ),
            recall=unknown(
                "the Bayes-optimal player: its dynamic program over all counts of "
                f"pulls and payouts of {self.arms} arms is out of reach"
            ),
            oracle=exact((self.arms - 1) / (self.arms + 1), "the best arm always"),
            max_episode_steps=self.steps,
            needs_previous_action=True,
            outside_memory=True,  # the previous action
        )
