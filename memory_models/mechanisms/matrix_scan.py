"""Mechanism A for matrices: `S_t = a_t S_{t-1} + k_t v_t^T`, read as `o_t = q_t S_t`.

The decay a_t is one number per head and step. Time runs in chunks (`chunks.py`): an
associative scan would hold a matrix per step.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.base import select_state
from memory_models.mechanisms.chunks import CHUNK_SIZE, Masks, chunk_scan, decays_of

Keys = Float[Array, "time heads keys"]
Values = Float[Array, "time heads values"]
PerHead = Float[Array, "time heads"]
Matrices = Float[Array, "heads keys values"]


def matrix_scan(
    queries: Keys,
    keys: Keys,
    values: Values,
    starts: Bool[Array, " time"],
    state: Matrices,
    *,
    log_decay: PerHead | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[Matrices, Values]:
    """Read every state of `S_t = a_t S_{t-1} + k_t v_t^T`; S is zero before an episode.

    A normaliser is one more value, constantly 1: its column of S is the decayed sum of
    the keys.

    Args:
        queries: q.
        keys: k.
        values: v.
        starts: true where a step is the first of an episode.
        state: S after the steps before.
        log_decay: log a, at most 0; None where nothing decays.
        chunk_size: steps per chunk.

    Returns:
        S after the last step, and the outputs q S.
    """
    state = select_state(starts[0], jnp.zeros_like(state), state)
    arrays = (queries, keys, values, log_decay)
    return chunk_scan(_chunk, state, arrays, starts, chunk_size=chunk_size)


def _chunk(state: Matrices, arrays: tuple, masks: Masks) -> tuple[Matrices, Array]:
    q, k, v, log_decay = arrays
    decays = decays_of(log_decay, masks, q)
    scores = jnp.einsum("htk,hsk->hts", q, k) * decays.within
    outputs = jnp.einsum("hts,hsv->htv", scores, v)
    outputs = outputs + read_entering(q, state, decays.entering, masks)
    writes = jnp.einsum("hsk,hsv->hkv", k * decays.leaving[..., None], v)
    return carried(state, decays.through, masks) + writes, outputs


def read_entering(q: Array, state: Matrices, weight: Array, masks: Masks) -> Array:
    """What the steps of a chunk read from the state before it."""
    found = weight[..., None] * jnp.einsum("htk,hkv->htv", q, state)
    return jnp.where(masks.before[..., None], found, 0.0)


def carried(state: Matrices, weight: Array, masks: Masks) -> Matrices:
    """What is left after a chunk of the state before it."""
    return jnp.where(masks.through[:, None, None], weight[:, None, None] * state, 0.0)


def matrix_step(
    query: Float[Array, "heads keys"],
    key: Float[Array, "heads keys"],
    value: Float[Array, "heads values"],
    state: Matrices,
    *,
    log_decay: Float[Array, " heads"] | None = None,
) -> tuple[Matrices, Float[Array, "heads values"]]:
    """One step of `matrix_scan`; the state has been reset before."""
    if log_decay is not None:
        state = jnp.exp(log_decay)[:, None, None] * state
    state = state + key[:, :, None] * value[:, None, :]
    return state, read(query, state)


def read(query: Float[Array, "heads keys"], state: Matrices) -> Array:
    """`q S` of every head."""
    return (query[:, :, None] * state).sum(1)
