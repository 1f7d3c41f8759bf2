"""Key to door: a key picked up at the start opens a door at the end."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from envs.base import Card
from envs.three_phases import base, returns, rooms
from envs.three_phases.base import ThreePhases, ThreePhasesState
from envs.three_phases.board import Thing

_LYING, _HELD, _USED = range(3)
_KEY_PLACES = rooms.places(rooms.KEY_ROOM, "k")
_DOOR_ROW, _DOOR_COLUMN = rooms.places(rooms.DOOR_ROOM, "d")[0].tolist()
_SIGN_ROW, _SIGN_COLUMN = 0, 5


class Key(NamedTuple):
    """Where the key is.

    Attributes:
        row, column: where it lay.
        where: 0 there still, 1 with the agent, 2 used up at the door.
        since: the time at which that came to be.
    """

    row: Int[Array, ""]
    column: Int[Array, ""]
    where: Int[Array, ""]
    since: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class KeyToDoor(ThreePhases):
    """Pick up a key that pays two phases later (Hung et al. 2019).

    A key lies in the first room; stepping on it picks it up, and a sign in the wall
    lights up for one step. Then apples are to be collected. The last room has a door,
    which is a wall to who has no key; to step into it pays `final_reward` once. Behind
    the door one can walk around the room.

    Observations are the 5 by 5 squares around the agent, one uint8 pixel each; walls
    do not hide what is behind. The key is not seen with the agent. Each phase lasts
    its number of steps, and the next one begins with the observation that its last
    action leads to.

    What is long here is not a memory but the time until an action pays: to always pick
    up the key and always try the door needs no memory, and is the best one can do.
    Only who predicts the return must remember whether the key is held.

    The defaults are those of Ni et al. 2023, who let `distractor` grow to 500. Those
    of the release of Hung et al. are distractor=90, reward=15, apple_low=1,
    apple_high=10 and final_reward=10. Of their code, which this follows step by step:

    - In the doorway the agent's own pixel shows the door.
    - A key picked up in the last step of the first phase counts, without a sign.
    - On apples, and what the card knows with them, see `VisualMatch`.
    """

    reward: int = 10

    def _least(self) -> dict[str, tuple[int, str]]:
        return {
            "explore": (8, "to reach the key wherever it is"),
            "reward": (2, "to reach the door"),
            **super()._least(),
        }

    @property
    def _rooms(self) -> tuple[rooms.Room, rooms.Room, rooms.Room]:
        return rooms.KEY_ROOM, rooms.ORCHARD, rooms.DOOR_ROOM

    @property
    def _options(self) -> tuple[int, ...]:
        return (len(_KEY_PLACES),)

    def _begin(self, place: Int[Array, ""]) -> Key:
        row, column = jnp.asarray(_KEY_PLACES)[place]
        zero = jnp.zeros((), jnp.int32)
        return Key(row, column, zero + _LYING, zero)

    def _blocked(
        self, state: ThreePhasesState, phase: Array, row: Array, column: Array
    ) -> Bool[Array, ""]:
        blocked = super()._blocked(state, phase, row, column)
        return blocked & ~(_in_doorway(phase, row, column) & (state.task.where > 0))

    def _arrive(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Key, Bool[Array, ""]]:
        task = state.task
        at_key = (state.row == task.row) & (state.column == task.column)
        taken = (phase == base.EXPLORE) & (task.where == _LYING) & at_key
        pays = _in_doorway(phase, state.row, state.column) & (task.where == _HELD)
        where = jnp.where(pays, _USED, jnp.where(taken, _HELD, task.where))
        since = jnp.where(taken | pays, state.time, task.since)
        return task._replace(where=where, since=since), pays

    def _over(self, task: Key) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
        return task.where == _USED, task.where == _USED

    def _things(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Thing, ...]:
        task, first = state.task, phase == base.EXPLORE
        lit = first & (task.where == _HELD) & (task.since == state.time)
        return (
            Thing(task.row, task.column, rooms.KEY, first & (task.where == _LYING)),
            Thing(_SIGN_ROW, _SIGN_COLUMN, rooms.SIGN, lit),
            Thing(_DOOR_ROW, _DOOR_COLUMN, rooms.DOOR, phase == base.REWARD),
        )

    def _agent(self, state: ThreePhasesState, phase: Array) -> Int[Array, ""]:
        agent = super()._agent(state, phase)
        inside = _in_doorway(phase, state.row, state.column)
        return jnp.where(inside, rooms.DOOR, agent)

    def _remembered(self, task: Key) -> Int[Array, ""]:
        symbol = jnp.where(task.where == _HELD, rooms.KEY, rooms.AGENT)
        return symbol.astype(jnp.int32)

    def _go(self, state: ThreePhasesState, phase: Int[Array, ""]) -> Int[Array, ""]:
        """Through the gap between the rooms to the key; to the door, which is north."""
        task = state.task
        below, right = state.row > 2, task.column - state.column
        to_gap = jnp.where(state.column < 4, 1, jnp.where(state.column > 6, -1, 0))
        right = jnp.where(below, to_gap, right)
        across = jnp.where(right > 0, rooms.EAST, rooms.WEST)
        north = below | (task.row < state.row)
        along = jnp.where(north, rooms.NORTH, rooms.SOUTH)
        action = jnp.where(right != 0, across, along)
        return jnp.where(phase == base.EXPLORE, action, rooms.NORTH)

    def hidden(self, state: ThreePhasesState) -> dict[str, tuple[Array, Array]]:
        """Where the key is, and since when."""
        task = state.task
        age = state.time - task.since
        return {"key": (task.where, age if self.partial_obs else age * 0)}

    @property
    def card(self) -> Card:
        """No memory: the way to the key and to the door can be read off the windows."""
        prize = self.final_reward
        opened = returns.best(self._apples, prize, "the key, then the door")
        floor = returns.floor(
            self._apples,
            (self.explore, self.reward),
            lambda: (
                prize
                * returns.random_reach(rooms.KEY_ROOM, "k", self.explore)
                * returns.random_reach(rooms.DOOR_ROOM, "d", self.reward)
            ),
        )
        return Card(
            memory="none",
            paper=base.PAPER,
            horizon=(0, 0),
            truncates=False,
            floor=floor,
            memoryless=opened,
            recall=opened,
            oracle=opened,
            max_episode_steps=self._steps,
            phases=base.PHASES,
            actions=rooms.ACTIONS,
        )


def _in_doorway(phase: Array, row: Array, column: Array) -> Bool[Array, ""]:
    return (phase == base.REWARD) & (row == _DOOR_ROW) & (column == _DOOR_COLUMN)
