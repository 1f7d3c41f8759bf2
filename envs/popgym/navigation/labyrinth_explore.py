"""LabyrinthExplore: visit every square of a maze."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8, PRNGKeyArray

from envs.base import Card
from envs.popgym.navigation import hunt_and_kill
from envs.popgym.navigation.labyrinth import (
    FREE,
    MOVES,
    Grid,
    Labyrinth,
    LabyrinthState,
    Square,
    square_of,
)

# By size: the floor, then squares to the deepest cell, each with a half width.
_PLAYED = {
    10: (-0.3543, 0.0029, 30.977, 0.100),
    14: (-0.6133, 0.0020, 53.195, 0.178),
    18: (-0.7432, 0.0014, 78.030, 0.262),
}


@dataclasses.dataclass(frozen=True)
class LabyrinthExplore(Labyrinth):
    """Visit every square of a maze seen through a small window (Morad et al. 2023).

    Maze, start, moves, window (shifted at two of the borders) and time limit are those
    of `LabyrinthEscape`, but there is no way out: the wall stays closed opposite the
    start. The first step onto a free square pays 1/(free squares), so all together
    pay 1; the start is not among them. Every other step costs 1/steps. The episode is
    terminated when all have been visited, which can coincide with the time limit.

    Squares that were visited look like all others: which they are must be remembered.
    Still, the package warns that this can be solved without memory. 'Keep a hand on the
    wall' is a map from window and last action to action, reaches every square and
    returns 0.97, 0.93 and 0.86 at the three levels. It walks twice through all but the
    branch that happens to be its last; memory can only save a longer one for the end.
    """

    def _prepare(
        self, edges: hunt_and_kill.Edges, grid: Grid, start: Square, goal: Square
    ) -> tuple[Grid, hunt_and_kill.Tour]:
        """A shortest walk through the maze, from the start."""
        del goal
        return grid, hunt_and_kill.tour(*edges, self._cell(start))

    def _over(self, square: Int8[Array, ""], after: LabyrinthState) -> Bool[Array, ""]:
        return after.unvisited == 0

    def _reward(
        self, new: Bool[Array, ""], terminated: Bool[Array, ""]
    ) -> Float[Array, ""]:
        return jnp.where(new, 1 / self._free, -1 / self.steps)

    def oracle(self, key: PRNGKeyArray, state: LabyrinthState) -> Int[Array, ""]:
        """Towards the first cell of the tour that has not been visited."""
        del key
        first, last = (x.astype(jnp.int32) for x in state.plan[:2])
        unseen = state.grid[1::2, 1::2].ravel() == FREE
        target = jnp.where(unseen, first, self._side**2).min()
        # What lies beyond the four squares around: a cell is two squares from another.
        in_cell = (state.row % 2 == 1) & (state.column % 2 == 1)
        up_down, left_right = jnp.asarray(MOVES)
        row, column = state.row + up_down, state.column + left_right
        inside = jnp.minimum(row, column) > 0
        inside = inside & (jnp.maximum(row, column) < self.size)
        open_ = inside & (square_of(state.grid[row, column]) == FREE)
        more = in_cell.astype(jnp.int32)
        beyond = self._cell((row + more * up_down, column + more * left_right))
        first, last = first[beyond], last[beyond]
        # Down into the part of the maze with the target, or back up if in none.
        leads = (first <= target) & (target <= last)
        score = jnp.where(leads, first, -1 - first)
        return jnp.where(open_, score, -(2**20)).argmax().astype(jnp.int32)

    @property
    def card(self) -> Card:
        """A map of what has been visited."""
        notes = (
            "all but the way to the deepest cell is walked twice",
            "the best order to explore an unseen maze in: its dynamic program over "
            "mazes is out of reach",
        )
        return self._card(
            _PLAYED,
            lambda depth: 1 - (self._free - depth) / self.steps,
            2 * self._free,
            notes,
        )
