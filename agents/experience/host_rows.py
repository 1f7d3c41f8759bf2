"""Arrays of the device that a loop on the host needs: keys, and memories it keeps."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray

from agents.base import MemoryState
from agents.keys import Use, key_for, row_keys


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


def pick(xp: Any, where: Any, new: Any, old: Any) -> Any:
    """Rows of `new` where `where` holds, else of `old`; `xp` is numpy, or JAX's."""
    return xp.where(where.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def entered(
    sequences: int,
    any_ahead: bool,
    entering: MemoryState,
    memory_state: MemoryState,
    ahead: Bool[Array, " batch"],
) -> tuple[MemoryState, MemoryState]:
    """What entered the sequences of a rollout, and what enters the row behind it.

    Args:
        sequences: of the rollout.
        any_ahead: whether any stream is.
        entering: memories that entered these and further sequences.
        memory_state: of the streams now.
        ahead: which of them have played on since the rollout.
    """
    first = jax.tree.map(lambda x: x[:sequences], entering)
    if any_ahead:
        behind = jax.tree.map(lambda x: x[sequences], entering)
        memory_state = jax.tree.map(
            lambda x, y: pick(jnp, ahead, x, y), behind, memory_state
        )
    return first, memory_state
