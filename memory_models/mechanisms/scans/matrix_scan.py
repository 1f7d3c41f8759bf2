"""Mechanism A for matrices: `S_t = a_t S_{t-1} + k_t v_t^T`, read as `o_t = q_t S_t`.

The decay a_t is one number per head and step. Time runs in chunks (`chunks.py`): an
associative scan would hold a matrix per step.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.base import select_state
from memory_models.mechanisms.inspection import record_decay
from memory_models.mechanisms.scans.chunks import (
    CHUNK_SIZE,
    LOWEST,
    Decays,
    Masks,
    by_head,
    chunk_scan,
    cumulated,
    decays_of,
    masked_exp,
    masks_of,
)

Keys = Float[Array, "time heads keys"]
Values = Float[Array, "time heads values"]
PerHead = Float[Array, "time heads"]
Matrices = Float[Array, "heads keys values"]
Scaled = tuple[Matrices, Float[Array, " heads"]]
"""A matrix state times exp(-m), and m."""


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
    if log_decay is not None:
        record_decay(lambda: jnp.exp(log_decay), starts)
    arrays = (queries, keys, values, log_decay)
    return chunk_scan(_chunk, state, arrays, starts, chunk_size=chunk_size)


def _chunk(state: Matrices, arrays: tuple, starts: Array) -> tuple[Matrices, Array]:
    q, k, v, log_decay = by_head(arrays)
    masks = masks_of(starts)
    decays = decays_of(log_decay, masks, q)
    scores = jnp.einsum("htk,hsk->hts", q, k) * decays.within
    outputs = jnp.einsum("hts,hsv->htv", scores, v)
    outputs = outputs + read_entering(q[:, None], state, decays, masks)[:, 0]
    writes = jnp.einsum("hsk,hsv->hkv", k * decays.leaving[..., None], v)
    return carried(state, decays, masks) + writes, by_head(outputs)


def read_entering(q: Array, state: Matrices, decays: Decays, masks: Masks) -> Array:
    """What the steps of a chunk read from the state before it.

    Args:
        q: `[heads, kinds, step, keys]`, of several kinds of queries.
        state: before the chunk.
        decays: of the chunk.
        masks: of the chunk.
    """
    found = jnp.einsum("hitk,hkv->hitv", q, state)
    found = decays.entering[:, None, :, None] * found
    return jnp.where(masks.before[:, None, :, None], found, 0.0)


def carried(state: Matrices, decays: Decays, masks: Masks) -> Matrices:
    """What is left after a chunk of the state before it."""
    left = decays.entering[:, -1, None, None] * state
    return jnp.where(masks.before[:, -1, None, None], left, 0.0)


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
    return jnp.einsum("hk,hkv->hv", query, state)


def gated_matrix_scan(
    queries: Keys,
    keys: Keys,
    values: Values,
    log_gate: PerHead,
    starts: Bool[Array, " time"],
    state: Scaled,
    *,
    log_decay: PerHead,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[Scaled, tuple[Values, PerHead]]:
    """Read every state of `S_t = a_t S_{t-1} + exp(i_t) k_t v_t^T`, i_t of any size.

    What is carried and returned is exp(-m) S and exp(-m) q S, with the running
    logarithmic scale `m_t = max(log a_t + m_{t-1}, i_t)`, so that no exponential
    overflows (Beck et al. 2024). No gradient flows through m, which is only a scale.

    Args:
        queries: q.
        keys: k.
        values: v.
        log_gate: i.
        starts: true where a step is the first of an episode.
        state: exp(-m) S and m after the steps before; zero and `LOWEST` at first.
        log_decay: log a, at most 0.
        chunk_size: steps per chunk.

    Returns:
        The state after the last step, and exp(-m_t) q_t S_t with m_t.
    """
    record_decay(lambda: jnp.exp(log_decay), starts)
    empty = jnp.zeros_like(state[0]), jnp.full_like(state[1], LOWEST)
    state = select_state(starts[0], empty, state)
    arrays = (queries, keys, values, log_gate, log_decay)
    # A gate of nothing: steps that fill up the last chunk do not raise m.
    fill = (0.0, 0.0, 0.0, LOWEST, 0.0)
    return chunk_scan(
        _gated_chunk, state, arrays, starts, chunk_size=chunk_size, fill=fill
    )


def _gated_chunk(state: Scaled, arrays: tuple, starts: Array) -> tuple[Scaled, tuple]:
    q, k, v, log_gate, log_decay = by_head(arrays)
    masks = masks_of(starts)
    matrices, scale_before = state[0], jax.lax.stop_gradient(state[1])[:, None]
    total = cumulated(log_decay, masks)
    within = total[:, :, None] - total[:, None, :] + log_gate[:, None, :]
    before = total + scale_before
    largest = jnp.where(masks.within, within, LOWEST).max(-1)
    scale = jnp.maximum(largest, jnp.where(masks.before, before, LOWEST))
    scale = jax.lax.stop_gradient(scale)
    decays = Decays(
        masked_exp(masks.within, within - scale[..., None]),
        masked_exp(masks.before, before - scale),
    )
    scores = jnp.einsum("htk,hsk->hts", q, k) * decays.within
    outputs = jnp.einsum("hts,hsv->htv", scores, v)
    outputs = outputs + read_entering(q[:, None], matrices, decays, masks)[:, 0]
    writes = jnp.einsum("hsk,hsv->hkv", k * decays.leaving[..., None], v)
    matrices = carried(matrices, decays, masks) + writes
    return (matrices, scale[:, -1]), by_head((outputs, scale))


def gated_matrix_step(
    query: Float[Array, "heads keys"],
    key: Float[Array, "heads keys"],
    value: Float[Array, "heads values"],
    log_gate: Float[Array, " heads"],
    state: Scaled,
    *,
    log_decay: Float[Array, " heads"],
) -> tuple[Scaled, tuple[Float[Array, "heads values"], Float[Array, " heads"]]]:
    """One step of `gated_matrix_scan`; the state has been reset before."""
    matrices, before = state[0], jax.lax.stop_gradient(state[1])
    scale = jax.lax.stop_gradient(jnp.maximum(log_decay + before, log_gate))
    left = jnp.exp(log_decay + before - scale)
    key = jnp.exp(log_gate - scale)[:, None] * key
    matrices = left[:, None, None] * matrices + key[:, :, None] * value[:, None, :]
    return (matrices, scale), (read(query, matrices), scale)
