"""Visual match: at the end, go to the colour that was shown at the start."""

import dataclasses
import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from envs.base import Card, steps_since
from envs.three_phases import base, returns, rooms
from envs.three_phases.base import ThreePhases, ThreePhasesState
from envs.three_phases.board import Thing, in_view

_PADS = np.concatenate([rooms.places(rooms.PADS, mark) for mark in "123"])

_ORDERS = np.array(list(itertools.permutations(range(rooms.COLOURS))), np.int32)


class Match(NamedTuple):
    """The colour to be matched, and the choice.

    Attributes:
        target: the colour.
        cue_row, cue_column: where it is in the wall of the first room.
        cue_time: when it was last in view, -1 if it has not been.
        pads: the colours of the three pads, from west to east.
        chosen: the colour of the pad that was stepped on, -1 before.
    """

    target: Int[Array, ""]
    cue_row: Int[Array, ""]
    cue_column: Int[Array, ""]
    cue_time: Int[Array, ""]
    pads: Int[Array, "3"]
    chosen: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class VisualMatch(ThreePhases):
    """Step on the pad of the colour seen two phases ago (Hung et al. 2019).

    First a colour, one of three, is in a wall of the first room. In the passive task
    the agent is walled in next to it and cannot move; in the active one it must look
    for it. Then apples are to be collected, in a room that tells nothing. Then three
    pads, one of each colour, lie in the last room: the first one stepped on pays
    `final_reward` if it has the colour, and all three are gone.

    Observations are the 5 by 5 squares around the agent, one uint8 pixel each; walls
    do not hide what is behind. Each phase lasts its number of steps, whatever happens,
    and the next one begins with the observation that its last action leads to.

    The defaults are those of Ni et al. 2023 for the passive task, who let `distractor`
    grow to 1,000. Those of the release of Hung et al. are distractor=90, apple_low=1,
    apple_high=10 and final_reward=10, with the active task; their passive one is in
    DeepMind Lab only. Their code, which this follows step by step, says more than its
    comments and papers do:

    - There are three pads, where its README has four.
    - An apple is back 21 steps after it was eaten, with respawn=20, and can be eaten in
      the 22nd, by an agent that stands on its square as well.
    - What apples pay in an episode is one of two numbers, not one between them. If
      that is 0, the code draws again in every step; here it stays 0.
    - The colours of the pads are drawn once for each environment, not for each
      episode. Here they are red, green and blue, or, with `shuffle_pads`, drawn for
      each episode, as they are for whoever learns from many of its environments.

    Apples pay much more than memory does, and nobody knows how many the best player
    eats: 30 at most by default, where the oracle, which goes to the nearest, eats 22.5.
    So the card knows no more than the floor, unless apples=0 or 22 or apple_low =
    apple_high = 0, when it is exact. `success` tells whether the right pad was chosen,
    which is one third without memory, and `info["apple_reward"]` what an apple paid.

    Attributes:
        active: whether the colour must be looked for.
        shuffle_pads: whether the order of the pads is drawn for each episode.
    """

    active: bool = False
    shuffle_pads: bool = False

    def _least(self) -> dict[str, tuple[int, str]]:
        look = 9 if self.active else 1  # most moves to see all walls, and one look
        reach = 9 if self.shuffle_pads else 7  # with a look for the pads on the way
        return {
            "explore": (look, "to see the colour wherever it is"),
            "reward": (reach, "to reach the pad wherever it is"),
            **super()._least(),
        }

    @property
    def _rooms(self) -> tuple[rooms.Room, rooms.Room, rooms.Room]:
        first = rooms.LOOK_AROUND if self.active else rooms.CLOSET
        return first, rooms.ORCHARD, rooms.PADS

    @property
    def _options(self) -> tuple[int, ...]:
        walls = rooms.places(self._rooms[base.EXPLORE], "c")
        return rooms.COLOURS, len(walls), len(_ORDERS) if self.shuffle_pads else 1

    def _begin(
        self, target: Int[Array, ""], cue: Int[Array, ""], order: Int[Array, ""]
    ) -> Match:
        row, column = jnp.asarray(rooms.places(self._rooms[base.EXPLORE], "c"))[cue]
        never = jnp.full((), -1, jnp.int32)
        return Match(target, row, column, never, jnp.asarray(_ORDERS)[order], never)

    def _seen(self, state: ThreePhasesState) -> Match:
        task = state.task
        seen = in_view(state.row, state.column, task.cue_row, task.cue_column)
        now = (state.time < self.explore) & seen
        return task._replace(cue_time=jnp.where(now, state.time, task.cue_time))

    def _arrive(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Match, Bool[Array, ""]]:
        task = state.task
        on_pad = (_PADS[:, 0] == state.row) & (_PADS[:, 1] == state.column)
        colour = jnp.where(on_pad, task.pads, -1).max()
        new = (phase == base.REWARD) & (task.chosen < 0)
        chosen = jnp.where(new, colour, task.chosen)
        return task._replace(chosen=chosen), new & (colour == task.target)

    def _over(self, task: Match) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
        return task.chosen >= 0, task.chosen == task.target

    def _things(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Thing, ...]:
        task = state.task
        lying = (phase == base.REWARD) & (task.chosen < 0)
        pads = [
            Thing(row, column, rooms.COLOUR + task.pads[i], lying)
            for i, (row, column) in enumerate(_PADS.tolist())
        ]
        colour = self._remembered(task)
        cue = Thing(task.cue_row, task.cue_column, colour, phase == base.EXPLORE)
        return (cue, *pads)

    def _remembered(self, task: Match) -> Int[Array, ""]:
        return rooms.COLOUR + task.target

    def _go(self, state: ThreePhasesState, phase: Int[Array, ""]) -> Int[Array, ""]:
        """North to the row below the open one, to the pad's column, north again."""
        task = state.task
        pad = (task.pads == task.target).argmax()
        right = jnp.asarray(_PADS[:, 1])[pad] - state.column
        across = jnp.where(right > 0, rooms.EAST, rooms.WEST)
        north = (state.row > 3) | (right == 0)
        return jnp.where(north, rooms.NORTH, across)

    def hidden(self, state: ThreePhasesState) -> dict[str, tuple[Array, Array]]:
        """The colour and its age; -1 before it is seen."""
        task = state.task
        age = steps_since(task.cue_time, state.time)
        return {"colour": (task.target, age if self.partial_obs else age * 0)}

    @property
    def card(self) -> Card:
        """One of three colours, over all of the second phase.

        Nothing but the colour's own room and the payment depends on it, and no board
        of one phase on what was done in another. So who does not remember is right a
        third of the time. In the first room the colour can be in view on the way out,
        or last at the very start.
        """
        apples, prize = self._apples, self.final_reward
        found = returns.best(apples, prize, "the right pad")
        guessed = returns.best(apples, prize / rooms.COLOURS, "any one pad")
        gap, longest = self.distractor + 1, self.distractor + self.reward
        if self.active:
            longest += self.explore - 1
        floor = returns.floor(
            apples,
            (self.explore, self.reward),
            lambda: (
                prize
                / rooms.COLOURS
                * returns.random_reach(rooms.PADS, "123", self.reward)
            ),
        )
        return Card(
            memory="object" if self.partial_obs else "none",
            paper=base.PAPER,
            horizon=(gap, longest) if self.partial_obs else (0, 0),
            truncates=False,
            floor=floor,
            memoryless=guessed if self.partial_obs else found,
            recall=found,
            oracle=found,
            max_episode_steps=self._steps,
            phases=base.PHASES,
            actions=rooms.ACTIONS,
        )
