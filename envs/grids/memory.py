"""MiniGrid-Memory: at the end of a corridor, go to the object seen at its start."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Transition,
    computed,
    exact,
    float_dtype,
    steps_since,
    unknown,
)
from envs.grids import egocentric, memory_returns
from envs.grids.egocentric import BALL, EMPTY, KEY, WALL

_LEFT, _RIGHT, _FORWARD = range(3)
VIEW = 7
_ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
Observation = dict[str, Int[Array, "..."]]


class MiniGridMemoryState(NamedTuple):
    """Where the agent is, what must be matched, and where.

    Attributes:
        x, y: the agent's square.
        direction: 0 right, 1 down, 2 left, 3 up.
        end: x of the last square of the corridor.
        cue: the kind of the object in the start room.
        top: the kind of the upper object.
        time: steps taken.
        cue_time: when the cue was last in view, -1 if it has not been.
    """

    x: Int[Array, ""]
    y: Int[Array, ""]
    direction: Int[Array, ""]
    end: Int[Array, ""]
    cue: Int[Array, ""]
    top: Int[Array, ""]
    time: Int[Array, ""]
    cue_time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MiniGridMemory(Environment):
    """Match the object in the start room (Chevalier-Boisvert et al. 2023).

    A room, a corridor to the right of it, and a shaft across its end with a key at one
    end and a ball at the other. One of the two lies in the room as well, a green one
    like both. The agent starts anywhere in the row of the corridor, the room included,
    facing away from the room: it must usually turn back to see the cue.

    Stepping next to the object of the cue's kind pays 1 - 0.9 * steps taken / (5 *
    size**2) and terminates the episode; next to the other one it terminates unpaid.
    It is truncated after 5 * size**2 steps, which can coincide.

    Observations: `view`, the kinds of the 7 by 7 squares in front of the agent (0 not
    seen, 1 empty, 2 wall, 5 key, 6 ball; `envs.grids.egocentric`), and `direction`.
    Colour and state, the two other numbers of MiniGrid's image, follow from the kind
    here and are left out, like the mission, which never changes. Actions 3 to 6 do
    nothing (MiniGrid turns `pickup` into `toggle`).

    Two things to know. At sizes 7 and 9 the view from the junction, looking back,
    reaches the cue, so both objects and the cue are in one observation. And MiniGrid
    registers size 17, and a second 13, with `random_length` only; its constructor's
    default of 8 is refused there too.

    Attributes:
        size: width and height of the grid, walls included; odd.
        random_length: whether the corridor's length is drawn, uniformly.
    """

    size: int = 13
    random_length: bool = False

    def __post_init__(self) -> None:
        if self.size % 2 == 0 or not 7 <= self.size <= 1001:
            raise ValueError(
                "MiniGridMemory needs an odd size from 7 to 1001, for a corridor in "
                f"the middle and a room at its start; not {self.size}."
            )

    @property
    def _middle(self) -> int:
        return self.size // 2

    @property
    def _steps(self) -> int:
        return 5 * self.size**2

    @property
    def _ends(self) -> range:
        """The places where the corridor can end."""
        return range(4 if self.random_length else self.size - 3, self.size - 2)

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, MiniGridMemoryState]:
        """Draw both objects, the start and, where it varies, the corridor."""
        end_key, x_key, cue_key, top_key = jax.random.split(key, 4)
        ends = self._ends
        end = jax.random.randint(end_key, (), ends.start, ends.stop, jnp.int32)
        x = jax.random.randint(x_key, (), 1, end + 1, jnp.int32)
        cue, top = (
            jnp.where(jax.random.bernoulli(key), KEY, BALL).astype(jnp.int32)
            for key in (cue_key, top_key)
        )
        zero = jnp.zeros((), jnp.int32)
        state = MiniGridMemoryState(
            x, zero + self._middle, zero, end, cue, top, zero, zero - 1
        )
        return self._look(state)

    def step(
        self, key: PRNGKeyArray, state: MiniGridMemoryState, action: Int[Array, ""]
    ) -> Transition:
        """Turn or move, unless something is in the way, and pay."""
        del key
        turn = jnp.where(action == _RIGHT, 1, jnp.where(action == _LEFT, 3, 0))
        ahead_x, ahead_y = jnp.asarray(egocentric.STEPS)[:, state.direction]
        ahead_x, ahead_y = state.x + ahead_x, state.y + ahead_y
        moves = (action == _FORWARD) & (self.kind(state, ahead_x, ahead_y) == EMPTY)
        after = state._replace(
            x=jnp.where(moves, ahead_x, state.x),
            y=jnp.where(moves, ahead_y, state.y),
            direction=((state.direction + turn) % 4).astype(jnp.int32),
            time=state.time + 1,
        )
        below = after.y - self._middle
        terminated = (after.x == state.end + 1) & (jnp.abs(below) == 1)
        success = terminated & ((below < 0) == (state.cue == state.top))
        pay = 1 - 0.9 * (after.time.astype(float_dtype()) / self._steps)
        reward = jnp.where(success, pay, 0.0).astype(float_dtype())
        truncated = after.time >= self._steps
        info = {"success": success, "decision": terminated}
        observation, after = self._look(after)
        return observation, after, reward, terminated, truncated, info

    def kind(
        self,
        state: MiniGridMemoryState,
        x: Int[Array, "*shape"],
        y: Int[Array, "*shape"],
    ) -> Int[Array, "*shape"]:
        """What is on a square."""
        below, last = jnp.abs(y - self._middle), self.size - 1
        outside = (jnp.minimum(x, y) <= 0) | (jnp.maximum(x, y) >= last)
        room = (x <= 4) & ((below == 2) | ((x == 4) & (below == 1)))
        corridor = (x >= 5) & (x < state.end) & (below == 1)
        shaft = ((x == state.end) & (below > 0)) | (x == state.end + 2)
        kind = jnp.where(outside | room | corridor | shaft, WALL, EMPTY)
        cue = (x == 1) & (y == self._middle - 1)
        kind = jnp.where(cue, state.cue, kind)
        upper = (y < self._middle) == (state.top == KEY)
        objects = (x == state.end + 1) & (below == 2)
        return jnp.where(objects, jnp.where(upper, KEY, BALL), kind).astype(jnp.int32)

    def _look(
        self, state: MiniGridMemoryState
    ) -> tuple[Observation, MiniGridMemoryState]:
        """The observation, and the state in which it has been made."""
        xs, ys, seen = self._sight(state)
        kinds = self.kind(state, xs, ys)
        cue_seen = (seen & (xs == 1) & (ys == self._middle - 1)).any()
        view = jnp.where(seen, kinds, egocentric.UNSEEN).ravel()
        state = state._replace(cue_time=jnp.where(cue_seen, state.time, state.cue_time))
        return {"direction": state.direction, "view": view}, state

    def _sight(
        self, state: MiniGridMemoryState
    ) -> tuple[Int[Array, "7 7"], Int[Array, "7 7"], Bool[Array, "7 7"]]:
        """The x and y of the squares of the view, and which of them are seen."""
        xs, ys = egocentric.squares(state.x, state.y, state.direction, VIEW)
        return xs, ys, egocentric.visible(self.kind(state, xs, ys) != WALL)

    def oracle(self, key: PRNGKeyArray, state: MiniGridMemoryState) -> Int[Array, ""]:
        """To the junction and to the side of the matching object."""
        del key
        up = state.cue == state.top
        there = state.x == state.end + 1
        # From inside the room first to the middle row.
        below = state.y - self._middle
        wanted = jnp.where(there, jnp.where(up, 3, 1), 0)
        wanted = jnp.where(~there & (below != 0), jnp.where(below > 0, 3, 1), wanted)
        turn = (wanted - state.direction) % 4
        towards = jnp.where(turn == 3, _LEFT, _RIGHT)
        return jnp.where(turn == 0, _FORWARD, towards).astype(jnp.int32)

    def hidden(self, state: MiniGridMemoryState) -> dict[str, tuple[Array, Array]]:
        """The cue and its age; -1 before it is seen."""
        return {"cue": (state.cue, steps_since(state.cue_time, state.time))}

    def render(self, state: MiniGridMemoryState) -> UInt8[Array, "64 width 3"]:
        """The grid, what is in view, and the agent; in the strip the cue."""
        index = jnp.arange(min(self.size, draw.SCENE), dtype=jnp.int32)
        xs, ys = jnp.broadcast_arrays(index[None, :], index[:, None])
        kinds = self.kind(state, xs, ys)
        view_x, view_y, seen = self._sight(state)
        # Each square of the picture against each one in view.
        same_x = xs[..., None] == view_x.ravel()[None, None]
        same_y = ys[..., None] == view_y.ravel()[None, None]
        seen_here = (same_x & same_y & seen.ravel()[None, None]).any(-1)
        scene = draw.select(seen_here, draw.FLOOR, draw.MARK)
        scene = draw.select(kinds == WALL, draw.BACKGROUND, scene)
        cue = (xs == 1) & (ys == self._middle - 1)
        shown = (kinds >= KEY) & (seen_here | ~cue)
        scene = draw.select(shown, draw.sign(kinds == KEY), scene)
        scene = draw.select((xs == state.x) & (ys == state.y), draw.AGENT, scene)
        side = max(1, draw.SCENE // self.size)
        strip = draw.tiles(draw.sign(state.cue == KEY)[None, None], 12, 12)
        return draw.frame(draw.tiles(scene, side, side), strip)

    @property
    def observation_space(self) -> spaces.Space:
        """The direction, and the kinds of the squares in front."""
        view = spaces.MultiDiscrete([egocentric.KINDS] * VIEW**2)
        return spaces.Dict({"direction": spaces.Discrete(4), "view": view})

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, right, forward; the others do nothing."""
        return spaces.Discrete(len(_ACTIONS))

    @property
    def card(self) -> Card:
        """One bit, fetched and carried down the corridor."""
        oracle = (
            1 - 0.9 * memory_returns.mean_steps(self._ends, fetch=False) / self._steps
        )
        recall = (
            1 - 0.9 * memory_returns.mean_steps(self._ends, fetch=True) / self._steps
        )
        out_of_sight = self._ends.start > VIEW - 1
        return Card(
            memory="object",
            paper='Chevalier-Boisvert et al. 2023, "Minigrid & Miniworld"',
            # From the last look back at the cue to the turn at the junction.
            horizon=(max(1, self._ends.start - 4), self._steps - 1),
            truncates=True,
            floor=computed(memory_returns.random_return(self.size, self._ends)),
            memoryless=exact(oracle / 2, "straight to a fixed side")
            if out_of_sight
            else unknown(
                "from the junction the cue can be in view together with both objects; "
                "the best map from views to turns is among more than can be searched"
            ),
            recall=exact(recall, "turn back for the cue, as far as needed"),
            oracle=exact(oracle, "straight to the right side"),
            max_episode_steps=self._steps,
            actions=_ACTIONS,
        )
