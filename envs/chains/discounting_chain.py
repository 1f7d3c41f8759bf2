"""Discounting chain (bsuite): five rewards, the best of which may come last."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype

PAID_AT = (1, 3, 10, 30, 100)
"""The step at which each of the five choices is paid."""
STEPS = 100
MAPPING_SEEDS = range(20)
"""The 20 settings of bsuite's `discounting_chain`; every fifth is the same task."""
_NONE = -1


class DiscountingChainState(NamedTuple):
    """What was chosen.

    Attributes:
        choice: the first action, -1 before it.
        time: steps taken.
    """

    choice: Int[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class DiscountingChain(Environment):
    """Choose when to be paid (Osband et al. 2020).

    The first of 100 actions chooses one of five rewards, which are paid at step 1, 3,
    10, 30 and 100; later actions do nothing. Each reward is 1 but for one that is 1.1,
    which `mapping_seed` names: the choice of that number modulo 5, in every episode.
    Agents that discount too much miss it where it comes late.

    Observations are `[choice, t/100]`, with -1 for the choice at the start, so no
    memory is needed. These are bsuite's rules and its settings, seeds 0 to 19, step by
    step; only the observation's leading axis of one is not.

    Attributes:
        mapping_seed: which choice is worth more, modulo 5.
    """

    mapping_seed: int = 0

    def __post_init__(self) -> None:
        if self.mapping_seed < 0:
            raise ValueError(
                "DiscountingChain needs a mapping_seed of at least 0, of which the "
                f"remainder by 5 is the choice worth more; not {self.mapping_seed}."
            )

    @property
    def _bonus(self) -> int:
        return self.mapping_seed % len(PAID_AT)

    def reset(
        self, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], DiscountingChainState]:
        """Nothing is drawn."""
        del key
        zero = jnp.zeros((), jnp.int32)
        state = DiscountingChainState(zero + _NONE, zero)
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: DiscountingChainState, action: Int[Array, ""]
    ) -> Transition:
        """Choose, at the first step; pay when it is time."""
        del key
        first = state.time == 0
        choice = jnp.where(first, action, state.choice).astype(jnp.int32)
        after = DiscountingChainState(choice, state.time + 1)
        paid_at = jnp.asarray(PAID_AT, jnp.int32).at[choice].get(mode="clip")
        worth = jnp.where(choice == self._bonus, 1.1, 1.0)
        reward = jnp.where(after.time == paid_at, worth, 0.0)
        last = after.time == STEPS
        info = {
            "success": last & (choice == self._bonus),
            "phase": (~first).astype(jnp.int32),
        }
        return (
            self._observe(after),
            after,
            reward.astype(float_dtype()),
            last,
            jnp.zeros((), bool),
            info,
        )

    def _observe(self, state: DiscountingChainState) -> Float[Array, "2"]:
        choice, time = (x.astype(jnp.float32) for x in state)
        return jnp.stack([choice, time / STEPS])

    def oracle(self, key: PRNGKeyArray, state: DiscountingChainState) -> Int[Array, ""]:
        """The choice that is worth more."""
        del key, state
        return jnp.asarray(self._bonus, jnp.int32)

    def render(self, state: DiscountingChainState) -> UInt8[Array, "64 width 3"]:
        """The five choices, the one made marked, over a bar of time with their steps.

        The strip is empty: there is nothing to remember.
        """
        count, width = len(PAID_AT), 20
        index = jnp.arange(count, dtype=jnp.int32)
        worth = draw.select(index == self._bonus, draw.PLUS, draw.FLOOR)
        choices = draw.board(worth[None], width)
        made = draw.select(index == state.choice, draw.AGENT, draw.BACKGROUND)[None]
        passed = jnp.arange(1, STEPS + 1, dtype=jnp.int32) <= state.time
        bar = draw.select(passed, draw.MARK, draw.FLOOR)
        dots = jnp.asarray(PAID_AT, jnp.int32) - 1
        bar = bar.at[dots].set(jnp.asarray(draw.MINUS)[None])
        parts = [choices, draw.tiles(made, 5, width), draw.tiles(bar[None], 10, 1)]
        scene = jnp.concatenate(parts)
        return draw.frame(scene, draw.canvas(draw.STRIP, STEPS))

    @property
    def observation_space(self) -> spaces.Box:
        """The choice made, and the share of time that has passed."""
        return spaces.Box(
            np.array([_NONE, 0], np.float32),
            np.array([len(PAID_AT) - 1, 1], np.float32),
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """The choice."""
        return spaces.Discrete(len(PAID_AT))

    @property
    def card(self) -> Card:
        """No memory: the choice is made at once, and on show ever after."""
        best = exact(1.1, "the choice that is worth more")
        return Card(
            memory="none",
            paper='Osband et al. 2020, "Behaviour Suite for Reinforcement Learning"',
            horizon=(0, 0),
            truncates=False,
            floor=exact(1.02, "each choice one time in five"),
            memoryless=best,
            recall=best,
            oracle=best,
            max_episode_steps=STEPS,
            phases=("choice", "wait"),
            actions=tuple(f"paid at {step}" for step in PAID_AT),
        )
