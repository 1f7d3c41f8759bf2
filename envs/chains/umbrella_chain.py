"""Umbrella chain (bsuite): one early action decides what the last step pays."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype

SETTINGS = (*range(1, 11), 12, 14, 17, 20, 25, *range(30, 101, 10))
"""The 23 settings of bsuite's `umbrella_length` (lengths, with 20 distractors) and of
its `umbrella_distract` (numbers of distractors, for length 20)."""
LONGEST = 2_000_000_000
"""Largest length: times are int32."""
MOST_DISTRACTORS = 1_000_000
"""Most distractors: the observation space, with a number each, is made on the host."""


class UmbrellaChainState(NamedTuple):
    """Whether an umbrella is needed, and whether there is one.

    Attributes:
        needs: whether the last step asks for an umbrella.
        has: whether the agent carries one; by chance before the first action.
        distractors: bits on show without a meaning.
        time: steps taken.
    """

    needs: Bool[Array, ""]
    has: Bool[Array, ""]
    distractors: Bool[Array, " n"]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class UmbrellaChain(Environment):
    """Take an umbrella or not, and learn what it was worth (Osband et al. 2020).

    Observations are `[need, have, 1 - t/length, distractors...]`, bits but for the
    time left. The first action decides whether the agent has an umbrella; later ones
    do nothing. The last step pays 1 if it has one exactly if it needs one, else -1,
    and ends the episode; every step before pays 1 or -1 by a toss of a coin.

    Need and possession are on show at every step, so no memory is needed: the task is
    about credit, which must find its way back over `length` steps of noise. What the
    agent has at the start is drawn and then overruled by its first action. That is
    bsuite's, step by step; only the observation's leading axis of one is not.

    Attributes:
        length: steps of an episode.
        distractors: bits drawn anew at every step.
    """

    length: int = 20
    distractors: int = 20

    def __post_init__(self) -> None:
        for name, least, most in (
            ("length", 1, LONGEST),
            ("distractors", 0, MOST_DISTRACTORS),
        ):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(
                    f"UmbrellaChain needs {name} of at least {least} and at most "
                    f"{most:,}, not {value}."
                )

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, " n"], UmbrellaChainState]:
        """Draw what is needed and what the agent has."""
        coins = _coins(key, 2 + self.distractors)
        zero = jnp.zeros((), jnp.int32)
        state = UmbrellaChainState(coins[0], coins[1], coins[2:], zero)
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: UmbrellaChainState, action: Int[Array, ""]
    ) -> Transition:
        """Take an umbrella or not, at the first step; pay."""
        coins = _coins(key, 1 + self.distractors)
        time = state.time + 1
        has = jnp.where(state.time == 0, action == 1, state.has)
        last = time == self.length
        right = has == state.needs
        pays = jnp.where(last, right, coins[0])
        after = UmbrellaChainState(state.needs, has, coins[1:], time)
        info = {
            "success": last & right,
            "phase": (state.time > 0).astype(jnp.int32),
        }
        return (
            self._observe(after),
            after,
            jnp.where(pays, 1.0, -1.0).astype(float_dtype()),
            last,
            jnp.zeros((), bool),
            info,
        )

    def _observe(self, state: UmbrellaChainState) -> Float[Array, " n"]:
        left = (self.length - state.time).astype(jnp.float32) / self.length
        bits = jnp.stack([state.needs, state.has]).astype(jnp.float32)
        rest = state.distractors.astype(jnp.float32)
        return jnp.concatenate([bits, left[None], rest])

    def oracle(self, key: PRNGKeyArray, state: UmbrellaChainState) -> Int[Array, ""]:
        """An umbrella if it is needed."""
        del key
        return state.needs.astype(jnp.int32)

    def render(self, state: UmbrellaChainState) -> UInt8[Array, "64 width 3"]:
        """Need beside possession, then the distractors, and a bar of time left.

        The strip is empty: there is nothing to remember.
        """
        third, width = draw.SCENE // 3, 8 * max(4, self.distractors)
        pair = draw.sign(jnp.stack([state.needs, state.has]))[None]
        pair = draw.tiles(pair, third, width // 2)
        left = (self.length - state.time) * width // self.length
        bar = draw.rectangle(
            draw.canvas(third, width), (third // 2, 0), (third // 2, left), draw.MARK
        )
        noise = draw.canvas(third, width)
        if self.distractors:
            bits = draw.select(state.distractors, draw.FLOOR, draw.MARK)[None]
            bits = draw.tiles(bits, third - 4, width // self.distractors)
            noise = noise.at[2:-2, : bits.shape[1]].set(bits)
        scene = jnp.concatenate([pair, noise, bar])
        return draw.frame(scene, draw.canvas(draw.STRIP, width))

    @property
    def observation_space(self) -> spaces.Box:
        """Need, possession, time left, distractors."""
        count = 3 + self.distractors
        return spaces.Box(np.zeros(count, np.float32), np.ones(count, np.float32))

    @property
    def action_space(self) -> spaces.Discrete:
        """Whether to take an umbrella."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """No memory: what is needed is on show when it is decided, and ever after.

        The coins on the way are worth nothing on average, whoever plays.
        """
        best = exact(1.0, "take an umbrella if it is needed")
        return Card(
            memory="none",
            paper='Osband et al. 2020, "Behaviour Suite for Reinforcement Learning"',
            horizon=(0, 0),
            truncates=False,
            floor=exact(0.0, "right half the time"),
            memoryless=best,
            recall=best,
            oracle=best,
            max_episode_steps=self.length,
            phases=("choice", "wait"),
            actions=("leave it", "take it"),
        )


def _coins(key: PRNGKeyArray, count: int) -> Bool[Array, " count"]:
    """Fair coins, 32 from each random word."""
    words = jax.random.bits(key, (-(-count // 32),), jnp.uint32)
    bits = words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None]
    return (bits & jnp.uint32(1)).ravel()[:count] == 1
