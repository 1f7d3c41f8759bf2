"""SwitchingBandit: one arm pays more often than the others, and changes its place."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.bandits import bandit_returns
from envs.bandits.common import NOTHING, check_switching
from envs.base import Card, Environment, Transition, exact, float_dtype, unknown

LONGEST = 2000
_MOST_ARMS = 10_000


class SwitchingBanditState(NamedTuple):
    """Which arm is good, and what happened last.

    Attributes:
        best: the good arm.
        arm: pulled last; 0 before the first pull.
        payout: 1 if it paid, 2 before the first pull.
        age: steps since the good arm changed.
        time: steps taken.
    """

    best: Int[Array, ""]
    arm: Int[Array, ""]
    payout: Int[Array, ""]
    age: Int[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class SwitchingBandit(Environment):
    """Find the good arm, again and again: reversal learning.

    One arm, drawn at the start, pays with probability `good`, all others with
    probability `bad`. After each pull another arm becomes the good one with
    probability `hazard`, which nothing shows. As in POPGym's MultiarmedBandit
    (`envs.popgym.multiarmed_bandit`) the observation is whether the last pull paid, a
    pull that pays is worth 1/length and one that does not -1/length; here 2 is
    observed before the first pull. The episode terminates after `length` pulls. Which
    arm was pulled is not observed: agents need the previous action as an input.

    That input is a memory too: 'stay with an arm that paid, leave one that did not' is
    a stationary policy, and the best one. It acts on the last payout alone and so
    leaves the good arm every time that one does not pay.

    With two arms all that a past can teach is the probability that the first is the
    good one, so the Bayes-optimal player is computed by dynamic programming over that
    number. The odds of the arms are known here (Bandits in which they are not:
    MultiarmedBandit); what must be found out is where the good arm is.

    Attributes:
        arms: number of arms.
        length: pulls in an episode.
        hazard: probability that the good arm changes after a pull.
        good: probability that the good arm pays.
        bad: probability that another arm pays.
    """

    arms: int = 2
    length: int = 128
    hazard: float = 1 / 32
    good: float = 0.75
    bad: float = 0.25

    def __post_init__(self) -> None:
        check_switching("SwitchingBandit", self.length, self.hazard, LONGEST)
        if not 2 <= self.arms <= _MOST_ARMS:
            raise ValueError(
                f"SwitchingBandit needs arms of at least 2, to have a choice, and at "
                f"most {_MOST_ARMS:,}, not {self.arms}."
            )
        if not 0 < self.bad < self.good < 1:
            raise ValueError(
                "SwitchingBandit needs 0 < bad < good < 1, so that no single payout "
                f"tells the arms apart; not bad {self.bad} and good {self.good}."
            )

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], SwitchingBanditState]:
        """Draw the good arm."""
        zero = jnp.zeros((), jnp.int32)
        best = jax.random.randint(key, (), 0, self.arms, jnp.int32)
        state = SwitchingBanditState(best, zero, zero + NOTHING, zero, zero)
        return state.payout, state

    def step(
        self, key: PRNGKeyArray, state: SwitchingBanditState, action: Int[Array, ""]
    ) -> Transition:
        """Pull an arm; perhaps another one becomes the good one."""
        arm = action.astype(jnp.int32)
        luck, change, which = jax.random.uniform(key, (3,), jnp.float32)
        pays = luck < jnp.where(arm == state.best, self.good, self.bad)
        reward = jnp.where(pays, 1 / self.length, -1 / self.length)
        changes = change < self.hazard
        others = self.arms - 1
        # Rounding could give `others` itself.
        onward = 1 + jnp.minimum((which * others).astype(jnp.int32), others - 1)
        after = SwitchingBanditState(
            best=jnp.where(changes, (state.best + onward) % self.arms, state.best),
            arm=arm,
            payout=pays.astype(jnp.int32),
            age=jnp.where(changes, 0, state.age + 1),
            time=state.time + 1,
        )
        return (
            after.payout,
            after,
            reward.astype(float_dtype()),
            after.time >= self.length,
            jnp.zeros((), bool),
            {"decision": state.time > 1},
        )

    def oracle(self, key: PRNGKeyArray, state: SwitchingBanditState) -> Int[Array, ""]:
        """The good arm."""
        del key
        return state.best

    def hidden(self, state: SwitchingBanditState) -> dict[str, tuple[Array, Array]]:
        """The good arm, which is never on show, and the steps since it changed."""
        return {"best": (state.best, state.age)}

    def render(self, state: SwitchingBanditState) -> UInt8[Array, "64 width 3"]:
        """The arm pulled last and whether it paid; in the strip the good arm."""
        width = max(3, 64 // self.arms)
        arm = jnp.arange(self.arms, dtype=jnp.int32)[None]
        pulled = (arm == state.arm) & (state.time > 0)
        paid = jnp.broadcast_to(state.payout == 1, pulled.shape)
        rows = [
            draw.select(pulled, draw.sign(paid), draw.MARK),
            draw.select(arm == state.best, draw.FLOOR, draw.BACKGROUND),
        ]
        images = [
            draw.tiles(row, height, width).at[:, width - 1 :: width].set(_GAP)
            for row, height in zip(rows, (draw.SCENE // 2, 12), strict=True)
        ]
        return draw.frame(*images)

    @property
    def observation_space(self) -> spaces.Discrete:
        """Whether the last pull paid, or 2."""
        return spaces.Discrete(3)

    @property
    def action_space(self) -> spaces.Discrete:
        """The arm."""
        return spaces.Discrete(self.arms)

    @property
    def card(self) -> Card:
        """Which arm is the good one now, from several payouts."""
        per_pull = (self.good + (self.arms - 1) * self.bad) / self.arms
        memoryless = recall = unknown("computed for two arms only")
        useful = True
        if self.arms == 2:
            two = (self.length, self.hazard, self.good, self.bad)
            memoryless = bandit_returns.memoryless(*two)
            recall = bandit_returns.recall(*two, at_least=memoryless)
            useful = recall != memoryless
        return Card(
            memory="meta" if useful else "none",
            paper="reversal learning, after Morad et al. 2023, "
            '"POPGym" (MultiarmedBandit)',
            horizon=(1, self.length - 2) if useful else (0, 0),
            truncates=False,
            floor=exact(2 * per_pull - 1, "any arm is good equally often"),
            memoryless=memoryless,
            recall=recall,
            oracle=exact(2 * self.good - 1, "the good arm always"),
            max_episode_steps=self.length,
            needs_previous_action=True,
            outside_memory=True,  # the previous action
        )


_GAP = draw.BACKGROUND[0]
