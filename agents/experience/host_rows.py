"""Rows that streams write on the host: blank ones, where they go, what is cut off."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.keys import Use, key_for, row_keys


class Acted(NamedTuple):
    """What the device knows of every row, `[rows, batch, ...]`."""

    inputs: Inputs
    extras: Any


class Noted(NamedTuple):
    """What the host knows of every row, `[rows, batch, ...]` in numpy.

    The action is here, because what the device writes down it may have computed once
    more, and rounded another way.
    """

    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    bootstrap_value: np.ndarray
    finals: Any


def action_keys(
    key: PRNGKeyArray, block: int, length: int, index: Int[Array, " batch"]
) -> Key[Array, "length batch"]:
    """Keys to act with, `[length, batch]`: those of `collect`, then further ones."""
    steps = jax.random.split(key, (block + 1) * length)[block * length :]
    return jax.vmap(lambda key: row_keys(key_for(key, Use.ACTION), index))(steps)


def blank(rows: int, shapes: Any) -> Any:
    """Zeros `[rows, ...]`."""
    return jax.tree.map(lambda x: jnp.zeros((rows, *x.shape), x.dtype), shapes)


def put_rows(kept: Any, new: Any, where: Int[Array, " batch"]) -> Any:
    """`kept[where[b], b] = new[b]`; a place beyond the end is nowhere."""
    at = (where, jnp.arange(where.shape[0]))
    return jax.tree.map(lambda x, y: x.at[at].set(y, mode="drop"), kept, new)


def moved(rows: int, tree: Any) -> Any:
    """Everything `rows` places further up."""
    return jax.tree.map(lambda x: jnp.roll(x, -rows, axis=0), tree)


def cut_off(
    length: int,
    sequences: int,
    acted: Acted,
    entering: MemoryState,
    inputs: Inputs,
    memory_state: MemoryState,
    row: Int[Array, " batch"],
) -> tuple[Acted, MemoryState, Inputs, MemoryState]:
    """The first `length` rows, what entered their sequences, and what follows them.

    Behind a stream that is ahead comes a row that is there already.
    """
    tape = jax.tree.map(lambda x: x[:length], acted)
    entered = jax.tree.map(lambda x: x[:sequences], entering)
    if acted.inputs.start.shape[0] > length:

        def pick(new: Array, now: Array) -> Array:
            ahead = (row > length).reshape(-1, *(1,) * (new.ndim - 1))
            return jnp.where(ahead, new, now)

        next_row = jax.tree.map(lambda x: x[length], acted.inputs)
        inputs = jax.tree.map(pick, next_row, inputs)
        entering_next = jax.tree.map(lambda x: x[sequences], entering)
        memory_state = jax.tree.map(pick, entering_next, memory_state)
    return tape, entered, inputs, memory_state
