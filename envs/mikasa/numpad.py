"""Numpad: find out by trying in which order the pads light up, and repeat it."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Transition,
    computed,
    float_dtype,
    steps_since,
    unknown,
)
from envs.mikasa import numpad_returns as returns

_ACTIONS = ("up", "right", "down", "left")
Observation = dict[str, Int[Array, "..."]]


class NumpadState(NamedTuple):
    """The sequence, and how much of it is lit.

    Pads are numbered row by row.

    Attributes:
        sequence: the pads, in the order in which they light up.
        pad: where the ball is.
        lit: how many pads of the sequence are lit: its first ones.
        best: how many have been paid for since the sequence was last completed.
        last_lit: when each pad of the sequence was last lit, -1 if it never was.
        time: steps taken.
    """

    sequence: Int[Array, " length"]
    pad: Int[Array, ""]
    lit: Int[Array, ""]
    best: Int[Array, ""]
    last_lit: Int[Array, " length"]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Numpad(Environment):
    """Roll a ball over pads in an unknown order (Humplik et al. 2019; MIKASA-Base).

    A sequence of `length` neighbouring pads, no pad twice, is drawn at the start and
    is not shown. Each step moves the ball up, right, down or left, or leaves it where
    it is if the edge is in the way. Landing on the next pad of the sequence lights it.
    Landing anywhere else, which staying at the edge counts as, puts all lights out;
    then the first pad of the sequence is the next one, and is lit if the ball is on
    it. The first time that a pad is lit pays 1. When all are lit, which is shown once,
    the lights go out and every pad can be paid for again: who has found the sequence
    can repeat it. The episode is truncated after `steps` steps.

    The rules of the discrete version in MIKASA-Base, with two differences. There the
    start lies in the row or the column of the first pad, for a condition that was to
    exclude that pad and excludes all others; it says something about the sequence,
    and here the ball starts on any pad. And there the time limit is returned as a
    termination. (Its docstring and class names aside, this follows its code: bumping
    into the edge on the first pad lights that pad.)

    Observations: `ball`, the pad where the ball is, and `lights`, one bit per pad;
    the original's are two images of bits. So the part of the sequence that is lit is
    on show; what must be remembered is what was tried, and what was lit before.

    Attributes:
        size: pads along each side.
        length: pads in the sequence.
        steps: in an episode.
    """

    size: int = 3
    length: int = 4
    steps: int = 500

    def __post_init__(self) -> None:
        if not 2 <= self.size <= 5:
            raise ValueError(f"Numpad needs a size from 2 to 5, not {self.size}.")
        if not 2 <= self.length <= min(6, self.size**2):
            raise ValueError(
                f"Numpad needs a length from 2 to {min(6, self.size**2)} at size "
                f"{self.size}, so that all sequences can be listed, not {self.length}."
            )
        if not 2 <= self.steps < 2**31:
            raise ValueError(
                "Numpad needs steps of at least 2 and below 2**31, where clocks wrap; "
                f"not {self.steps}."
            )

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, NumpadState]:
        """Draw the sequence and the place of the ball."""
        sequence_key, ball_key = jax.random.split(key)
        paths, weights = returns.sequences(self.size, self.length)
        below = jnp.asarray(np.cumsum(weights)[:-1], jnp.float32)
        drawn = jax.random.uniform(sequence_key, (), jnp.float32)
        number = (below <= drawn).sum(dtype=jnp.int32)
        zero = jnp.zeros((), jnp.int32)
        state = NumpadState(
            sequence=jnp.asarray(paths, jnp.int32)[number],
            pad=jax.random.randint(ball_key, (), 0, self.size**2, jnp.int32),
            lit=zero,
            best=zero,
            last_lit=jnp.full(self.length, -1, jnp.int32),
            time=zero,
        )
        return self._observe(state, zero), state

    def step(
        self, key: PRNGKeyArray, state: NumpadState, action: Int[Array, ""]
    ) -> Transition:
        """Roll the ball, and switch lights on or off."""
        del key
        pad, time = self._roll(state.pad, action.astype(jnp.int32)), state.time + 1
        lit = jnp.where(pad == self._next(state), state.lit, 0)
        hit = pad == state.sequence.at[lit].get(mode="clip")
        pays = hit & (lit >= state.best)
        index = jnp.arange(self.length, dtype=jnp.int32)
        last_lit = jnp.where(hit & (index == lit), time, state.last_lit)
        lit = lit + hit.astype(jnp.int32)
        best = jnp.where(pays, lit, state.best)
        complete = best == self.length
        after = NumpadState(
            sequence=state.sequence,
            pad=pad,
            lit=jnp.where(complete, 0, lit),
            best=jnp.where(complete, 0, best),
            last_lit=last_lit,
            time=time,
        )
        known = state.last_lit.at[state.lit].get(mode="clip") >= 0
        return (
            self._observe(after, lit),
            after,
            pays.astype(float_dtype()),
            jnp.zeros((), bool),
            time >= self.steps,
            {"decision": known},
        )

    def _roll(self, pad: Int[Array, ""], action: Int[Array, ""]) -> Int[Array, ""]:
        table = jnp.asarray(returns.rolls(self.size), jnp.int32)
        return table.at[pad, action].get(mode="clip")

    def _next(self, state: NumpadState) -> Int[Array, ""]:
        return state.sequence.at[state.lit].get(mode="clip")

    def _lights(self, state: NumpadState, lit: Int[Array, ""]) -> Int[Array, " pads"]:
        pads = jnp.arange(self.size**2, dtype=jnp.int32)
        index = jnp.arange(self.length, dtype=jnp.int32)
        on = (pads[:, None] == state.sequence[None]) & (index < lit)[None]
        return on.any(1).astype(jnp.int32)

    def _observe(self, state: NumpadState, lit: Int[Array, ""]) -> Observation:
        return {"ball": state.pad, "lights": self._lights(state, lit)}

    def oracle(self, key: PRNGKeyArray, state: NumpadState) -> Int[Array, ""]:
        """To the next pad; on the first one against the edge, or off it and back."""
        del key
        down = self._next(state) // self.size - state.pad // self.size
        right = self._next(state) % self.size - state.pad % self.size
        row, column = state.pad // self.size, state.pad % self.size
        last = self.size - 1
        edge = jnp.select([row == 0, row == last, column == 0], [0, 2, 3], 1)
        action = jnp.select(
            [down < 0, down > 0, right < 0, right > 0], [0, 2, 3, 1], edge
        )
        return action.astype(jnp.int32)

    def hidden(self, state: NumpadState) -> dict[str, tuple[Array, Array]]:
        """The next pad and the steps since it was lit; -1 if it never was."""
        last = state.last_lit.at[state.lit].get(mode="clip")
        return {"next": (self._next(state), steps_since(last, state.time))}

    def render(self, state: NumpadState) -> UInt8[Array, "64 width 3"]:
        """The pads, lights and ball; in the strip the sequence, brighter if found."""
        lights = self._lights(state, state.lit) > 0
        board = draw.select(lights, draw.PLUS, draw.MARK)
        pads = jnp.arange(self.size**2, dtype=jnp.int32)
        board = board.reshape(self.size, self.size, 3)
        side = draw.SCENE // self.size
        scene = draw.board(board, draw.SCENE)
        row, column = state.pad // self.size, state.pad % self.size
        corner = (row * side + side // 4, column * side + side // 4)
        scene = draw.rectangle(scene, corner, (side // 2, side // 2), draw.AGENT)
        found = (state.last_lit >= 0)[:, None]
        here = pads[None] == state.sequence[:, None]
        colour = draw.select(jnp.broadcast_to(found, here.shape), draw.PLUS, draw.MINUS)
        maps = draw.select(here, colour, draw.FLOOR)
        maps = maps.reshape(self.length, self.size, self.size, 3)
        maps = jnp.pad(maps, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=40)
        strip = jnp.concatenate(list(maps), axis=1)
        return draw.frame(scene, draw.tiles(strip, *[draw.STRIP // self.size] * 2))

    @property
    def observation_space(self) -> spaces.Space:
        """Where the ball is, and which pads are lit."""
        pads = self.size**2
        return spaces.Dict(
            {"ball": spaces.Discrete(pads), "lights": spaces.MultiDiscrete([2] * pads)}
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """Up, right, down, left."""
        return spaces.Discrete(len(_ACTIONS))

    @property
    def card(self) -> Card:
        """What was tried, and then the sequence."""
        shape = (self.size, self.length, self.steps)
        return Card(
            memory="sequential",
            paper='Humplik et al. 2019, "Meta Reinforcement Learning as Task '
            'Inference"; MIKASA-Base (Cherepanov et al. 2025)',
            horizon=(1, self.steps - 1),
            truncates=True,
            floor=computed(returns.at_random(*shape), "over all sequences, in time"),
            memoryless=unknown(
                "chances of four moves for each pad and lights: no search could prove "
                f"its result the best; at least {returns.trying(*shape):.1f}, from "
                "rolling to any neighbour that is not lit"
            ),
            recall=returns.recall(*shape),
            oracle=computed(returns.knowing(*shape), "dynamic programming"),
            max_episode_steps=self.steps,
            outside_memory=True,  # where the ball is
            actions=_ACTIONS,
        )
