"""Memory & Planning Game: find goal after goal in a town whose places are renamed."""

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
from envs.planning import memory_planning_returns as returns

_ACTIONS = ("up", "down", "left", "right", "collect")
_COLLECT = 4
_STEPS = np.array([[0, 0, -1, 1, 0], [1, -1, 0, 0, 0]], np.int32)  # x and y, by action
_LARGEST = 100
Observation = dict[str, Int[Array, ""]]


class MemoryPlanningState(NamedTuple):
    """The map, and where agent and goal are on it.

    Places are numbered by x * size + y.

    Attributes:
        labels: the name of each place in this episode.
        x, y: where the agent is.
        goal: the place of the goal.
        last_visit: when the agent was last at each place, -1 if it never was.
        time: steps taken.
    """

    labels: Int[Array, " places"]
    x: Int[Array, ""]
    y: Int[Array, ""]
    goal: Int[Array, ""]
    last_visit: Int[Array, " places"]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MemoryPlanningGame(Environment):
    """Collect as many goals as possible in an unknown map (Ritter et al. 2021).

    The map is a grid of size by size places whose edges are joined, the same in all
    episodes, but each place has a name that is drawn anew for each of them. What is
    observed are two names: that of the place where the agent is, and that of the goal.
    Actions: up (y grows), down, left, right (x grows), and collect, which pays 1 where
    the goal is and puts the next goal on any other place. The episode terminates after
    `length` steps, as in the original, which marks the last step as terminal rather
    than as cut off.

    So the agent must walk until it comes across the goal's name, and where it has been
    before it should know its way. Names mean nothing without the action that led from
    one to the next: agents need the previous action as an input.

    The names are numbers here and one-hot vectors in the original. Two of its options
    are left out: a reward for each step (0 there by default), and starting from a
    random place after each goal (off by default).

    Attributes:
        size: places along each side.
        length: steps in an episode.
    """

    size: int = 4
    length: int = 100

    def __post_init__(self) -> None:
        if not 2 <= self.size <= _LARGEST:
            raise ValueError(
                f"MemoryPlanningGame needs a size from 2 to {_LARGEST}, not "
                f"{self.size}."
            )
        if not 2 <= self.length < 2**31:
            raise ValueError(
                "MemoryPlanningGame needs a length of at least 2, to reach a goal and "
                f"collect it, and below 2**31, where clocks wrap; not {self.length}."
            )

    @property
    def _places(self) -> int:
        return self.size**2

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, MemoryPlanningState]:
        """Name the places, and draw start and goal."""
        name_key, start_key, goal_key = jax.random.split(key, 3)
        start = jax.random.randint(start_key, (), 0, self._places, jnp.int32)
        places = jnp.arange(self._places, dtype=jnp.int32)
        state = MemoryPlanningState(
            labels=jax.random.permutation(name_key, places),
            x=start // self.size,
            y=start % self.size,
            goal=self._draw_goal(goal_key, start),
            last_visit=jnp.where(places == start, 0, -1).astype(jnp.int32),
            time=jnp.zeros((), jnp.int32),
        )
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: MemoryPlanningState, action: Int[Array, ""]
    ) -> Transition:
        """Move around the torus, or collect."""
        action = action.astype(jnp.int32)
        step_x, step_y = jnp.asarray(_STEPS).at[:, action].get(mode="clip")
        x, y = (state.x + step_x) % self.size, (state.y + step_y) % self.size
        here, time = x * self.size + y, state.time + 1
        collected = (action == _COLLECT) & (here == state.goal)
        known = state.last_visit.at[state.goal].get(mode="clip") >= 0
        away = state.x * self.size + state.y != state.goal
        after = MemoryPlanningState(
            labels=state.labels,
            x=x,
            y=y,
            goal=jnp.where(collected, self._draw_goal(key, here), state.goal),
            last_visit=state.last_visit.at[here].set(time, mode="promise_in_bounds"),
            time=time,
        )
        return (
            self._observe(after),
            after,
            collected.astype(float_dtype()),
            time >= self.length,
            jnp.zeros((), bool),
            {"decision": known & away},
        )

    def _draw_goal(self, key: PRNGKeyArray, here: Int[Array, ""]) -> Int[Array, ""]:
        """Any place but `here`."""
        place = jax.random.randint(key, (), 0, self._places - 1, jnp.int32)
        return place + (place >= here).astype(jnp.int32)

    def _observe(self, state: MemoryPlanningState) -> Observation:
        here = state.x * self.size + state.y
        names = state.labels.at[jnp.stack([state.goal, here])].get(mode="clip")
        return {"goal": names[0], "position": names[1]}

    def _way(self, state: MemoryPlanningState) -> tuple[Array, Array]:
        """Steps to the right and up to the goal, from 0 to size - 1."""
        right = (state.goal // self.size - state.x) % self.size
        return right, (state.goal % self.size - state.y) % self.size

    def oracle(self, key: PRNGKeyArray, state: MemoryPlanningState) -> Int[Array, ""]:
        """A shortest way, sideways first, and collect."""
        del key
        right, up = self._way(state)
        sideways = jnp.where(2 * right <= self.size, 3, 2)
        upright = jnp.where(2 * up <= self.size, 0, 1)
        there = jnp.where(up > 0, upright, _COLLECT)
        return jnp.where(right > 0, sideways, there).astype(jnp.int32)

    def hidden(self, state: MemoryPlanningState) -> dict[str, tuple[Array, Array]]:
        """The way to the goal, and how long ago it was visited; -1 if it never was."""
        visit = state.last_visit.at[state.goal].get(mode="clip")
        return {"way": (jnp.stack(self._way(state)), steps_since(visit, state.time))}

    def render(self, state: MemoryPlanningState) -> UInt8[Array, "64 width 3"]:
        """Places visited, agent and goal; in the strip the way, right and up."""
        column = jnp.arange(self.size, dtype=jnp.int32)
        x, y = jnp.broadcast_arrays(column[None, :], column[::-1, None])
        place = x * self.size + y
        visited = state.last_visit[place] >= 0
        scene = draw.select(visited, draw.FLOOR, draw.MARK)
        scene = draw.select(place == state.goal, draw.PLUS, scene)
        scene = draw.select((x == state.x) & (y == state.y), draw.AGENT, scene)
        way = jnp.stack(self._way(state))
        way = jnp.where(2 * way > self.size, way - self.size, way)
        bars = draw.bars(2 * way.astype(jnp.float32) / self.size, 44)
        return draw.frame(draw.board(scene, draw.SCENE), bars)

    @property
    def observation_space(self) -> spaces.Space:
        """The names of the goal's place and of the agent's."""
        names = spaces.Discrete(self._places)
        return spaces.Dict({"goal": names, "position": names})

    @property
    def action_space(self) -> spaces.Discrete:
        """Up, down, left, right, collect."""
        return spaces.Discrete(len(_ACTIONS))

    @property
    def card(self) -> Card:
        """A map, drawn while walking."""
        shape = (self.size, self.length)
        return Card(
            memory="spatial",
            paper='Ritter et al. 2021, "Rapid Task-Solving in Novel Environments"',
            horizon=(1, self.length - 1),
            truncates=False,
            floor=computed(returns.at_random(*shape), "the way to the goal, in time"),
            memoryless=unknown(
                "names, which are new in each episode, can serve as coins that fall "
                "the same way at the same place; no search over maps from two names "
                "and an action could prove its result the best; at least "
                f"{returns.straight_on(*shape):.2f}, from going straight on and "
                "turning with probability 0.7"
            ),
            recall=returns.recall(*shape),
            oracle=computed(returns.shortest_ways(*shape), "shortest ways"),
            max_episode_steps=self.length,
            needs_previous_action=True,
            outside_memory=True,  # where it stands
            actions=_ACTIONS,
        )
