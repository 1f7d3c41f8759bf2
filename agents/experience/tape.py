"""Windows of a tape with every end inside: one pass of a network, and exact.

A window `[rows + 1, windows]` of a stream crosses ends of episodes; nothing is padded.
What follows a row is the next row, except where a time limit cut the episode off: there
its value is that of the final observation, seen with the memory of that episode. So the
final observation is given a place of its own behind the row that led to it, with the
start flag false. Rows behind it move by one; the next of them starts an episode, so no
memory notices.

The last row of a window only tells what follows the one before it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from agents.base import Inputs
from envs.base import Card


class Finals(NamedTuple):
    """What was seen at the end of episodes, before the next one began.

    Attributes:
        observation: pytree `[..., *shape of the space]`.
        action_mask: the actions allowed there; None for tasks without masks.
    """

    observation: Any
    action_mask: Bool[Array, "..."] | None


class Layout(NamedTuple):
    """Where the rows of windows stand on their tapes.

    Attributes:
        place: `[rows, windows]`, of each row but the last.
        known: `[rows, windows]`, whether the place behind holds what follows the row.
        row: `[places, windows]`, the row whose inputs stand at a place; None where
            places are rows.
        final: `[places, windows]`, whether it is the final observation of that row.
        nth: `[places, windows]`, how many final observations stand before a place.
    """

    place: Int[Array, "rows windows"]
    known: Bool[Array, "rows windows"]
    row: Int[Array, "places windows"] | None
    final: Bool[Array, "places windows"] | None
    nth: Int[Array, "places windows"] | None


def lay_out(
    cut: Bool[Array, "rows windows"], kept: Bool[Array, "rows windows"], room: int
) -> Layout:
    """Give every row, and every final observation that is kept, a place.

    Args:
        cut: whether a time limit, and nothing else, ended an episode at a row. One row
            fewer than the window has.
        kept: whether the final observation of a row can be looked up.
        room: places for final observations, 0 for tasks that never truncate. Later
            ones find none, and what follows their rows is not known.
    """
    rows, windows = cut.shape
    number = jnp.broadcast_to(jnp.arange(rows, dtype=jnp.int32)[:, None], cut.shape)
    if room == 0:
        return Layout(number, ~cut, None, None, None)
    eligible = (cut & kept).astype(jnp.int32)
    before = jnp.minimum(jnp.cumsum(eligible, axis=0) - eligible, room)
    stands = (cut & kept) & (before < room)
    place = number + before
    places = rows + 1 + room
    at = jnp.arange(places, dtype=jnp.int32)[:, None]
    last = rows + before[-1:] + stands[-1:].astype(jnp.int32)
    everyone = jnp.concatenate([place, last])
    column = jnp.broadcast_to(jnp.arange(windows), everyone.shape)
    begun = jnp.zeros((places, windows), jnp.int32).at[everyone, column].set(1)
    row = jnp.cumsum(begun, axis=0) - 1
    final = (begun == 0) & (at < last)
    nth = jnp.cumsum(final.astype(jnp.int32), axis=0) - final.astype(jnp.int32)
    return Layout(place, jnp.where(cut, stands, True), row, final, nth)


def room_for(card: Card, rows: int) -> int:
    """Places for the final observations of a window: none if a task never truncates."""
    if not card.truncates:
        return 0
    return rows // (card.max_episode_steps or 1) + 1


def rows_of_finals(layout: Layout, room: int) -> Int[Array, "room windows"]:
    """The row whose final observation stands first, second, ... in each window."""
    final, nth, row = layout.final, layout.nth, layout.row
    assert final is not None and nth is not None and row is not None

    def in_window(final: Array, nth: Array, row: Array) -> Array:
        where = jnp.where(final, nth, room)
        return jnp.zeros(room, jnp.int32).at[where].set(row, mode="drop")

    return jax.vmap(in_window, in_axes=1, out_axes=1)(final, nth, row)


def on_tape(
    layout: Layout, inputs: Inputs, action: Any, reward: Array, finals: Finals | None
) -> Inputs:
    """The inputs of windows, place by place.

    Args:
        layout: of the windows.
        inputs: of every row, the last included, `[rows + 1, windows, ...]`.
        action: of every row but the last, `[rows, windows, ...]`.
        reward: of every row but the last.
        finals: the first, second, ... final observation, `[room, windows, ...]`.

    Returns:
        Inputs `[places, windows, ...]`. At a final observation the previous action and
        reward are those of the row that led there.
    """
    if layout.row is None or finals is None:
        return inputs
    row, final, nth = layout.row, layout.final, layout.nth
    assert final is not None and nth is not None

    def placed(of_rows: Any, others: Any, index: Array) -> Any:
        """Rows where they stand, and at final observations others; None stays."""
        if of_rows is None:
            return None

        def pick(rows: Array, other: Array) -> Array:
            spread = at_places(rows, row)
            where = final.reshape(*final.shape, *(1,) * (spread.ndim - 2))
            return jnp.where(where, at_places(other, index), spread)

        return jax.tree.map(pick, of_rows, others)

    return Inputs(
        observation=placed(inputs.observation, finals.observation, nth),
        start=at_places(inputs.start, row) & ~final,
        previous_action=placed(inputs.previous_action, action, row),
        previous_reward=placed(inputs.previous_reward, reward, row),
        action_mask=placed(inputs.action_mask, finals.action_mask, nth),
    )


def at_places(x: Array, place: Int[Array, "places windows"]) -> Array:
    """`x[place[p, w], w]`; places beyond the end take the last."""
    place = jnp.clip(place, 0, x.shape[0] - 1)
    return x[place, jnp.arange(place.shape[1])]
