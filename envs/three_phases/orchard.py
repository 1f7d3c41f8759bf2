"""The room in between: apples that grow back, and a rule that collects them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import float_dtype
from envs.three_phases import board, rooms
from envs.three_phases.rooms import COLUMNS, ROWS

TREES = rooms.places(rooms.ORCHARD, "a")
NEVER = np.int32(2**31 - 1)
Apples = Int[Array, "7 11"]
"""For each square of the board, the step from which on an apple is there."""


def plant(key: PRNGKeyArray, count: int) -> Apples:
    """Apples at `count` of the trees, each choice equally likely."""
    lots = jax.random.uniform(key, (len(TREES),), jnp.float32)
    rank = (lots[:, None] > lots[None, :]).sum(1)
    due = jnp.where(rank < count, 0, NEVER).astype(jnp.int32)
    nothing = jnp.full((ROWS, COLUMNS), NEVER, jnp.int32)
    return nothing.at[tuple(TREES.T)].set(due)


def eat(
    apples: Apples,
    step: Int[Array, ""],
    row: Int[Array, ""],
    column: Int[Array, ""],
    respawn: int,
) -> tuple[Apples, Bool[Array, ""]]:
    """The apples after the agent has come to a square, and whether it ate one there.

    `step` counts the steps taken in the orchard before this one. An apple eaten in the
    step to t is back after the step to t + respawn + 1.
    """
    here = board.at(row, column)
    eaten = (here & (apples <= step)).any()
    back = step + 2 + respawn if respawn else NEVER
    return jnp.where(here & eaten, back, apples), eaten


def pay(
    key: PRNGKeyArray, rich: Bool[Array, ""], low: float, high: float, *, each: bool
) -> Float[Array, ""]:
    """What an apple pays: `high` if `rich`, else `low`; a number between for `each`."""
    if each and low < high:
        return jax.random.uniform(key, (), float_dtype(), low, high)
    return jnp.where(rich, high, low).astype(float_dtype())


def forage(
    apples: Apples, step: Int[Array, ""], row: Int[Array, ""], column: Int[Array, ""]
) -> Int[Array, ""]:
    """Towards the apple that can be eaten soonest; of several, the northernmost.

    With apples on all trees this eats one in every second step, which is the most
    there can be (`returns.most_apples`). With fewer it is a rule of thumb.
    """
    down = jnp.asarray(np.arange(ROWS, dtype=np.int32))[:, None] - row
    right = jnp.asarray(np.arange(COLUMNS, dtype=np.int32))[None, :] - column
    far = jnp.abs(down) + jnp.abs(right)
    soon = jnp.maximum(far, apples - step + 1)
    soon = jnp.where((far == 0) | (apples == NEVER), NEVER, soon)
    target = soon.argmin().astype(jnp.int32)
    down, right = target // COLUMNS - row, target % COLUMNS - column
    across = jnp.where(right > 0, rooms.EAST, rooms.WEST)
    along = jnp.where(down > 0, rooms.SOUTH, rooms.NORTH)
    return jnp.where(right != 0, across, along).astype(jnp.int32)
