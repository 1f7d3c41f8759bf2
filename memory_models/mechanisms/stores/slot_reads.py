"""How a slot store is read: weights over rows, given which of them are readable.

Nothing readable means weights of zero, and gradients of zero.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memory_models.mechanisms.layers import unit_norm


def inverse_distance(
    squared: Float[Array, "*batch rows"],
    readable: Bool[Array, "*batch rows"],
    delta: float,
) -> Float[Array, "*batch rows"]:
    """Weights proportional to 1 / (squared distance + delta)."""
    return normalised(1.0 / (squared + delta), readable)


def normalised(
    weights: Float[Array, "*batch rows"], readable: Bool[Array, "*batch rows"]
) -> Float[Array, "*batch rows"]:
    """Positive weights of the readable rows, scaled to a sum of 1."""
    weights = jnp.where(readable, weights, 0.0)
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1.0)


def squared_distances(
    queries: Float[Array, "time size"], keys: Float[Array, "rows size"]
) -> Float[Array, "time rows"]:
    """Of every query to every key, exactly 0 for equal ones.

    The values are those of the differences; gradients take the form with a matrix
    product, whose values would lose small distances in rounding.
    """
    exact = jnp.square(jax.lax.stop_gradient(queries[:, None] - keys[None])).sum(-1)
    squares = jnp.square(queries).sum(-1)[:, None] + jnp.square(keys).sum(-1)[None]
    product = squares - 2 * (queries @ keys.T)
    return product + jax.lax.stop_gradient(exact - product)


def cosines(
    queries: Float[Array, "time size"],
    keys: Float[Array, "rows size"],
    epsilon: float = 1e-6,
) -> Float[Array, "time rows"]:
    """Cosine similarities; a row of zeros is similar to nothing."""
    return unit_norm(queries, epsilon) @ unit_norm(keys, epsilon).T


def nearest(
    distances: Float[Array, "*batch rows"],
    readable: Bool[Array, "*batch rows"],
    order: Int[Array, "*#batch rows"],
    count: int,
    orders: int,
) -> Bool[Array, "*batch rows"]:
    """The `count` readable rows at the smallest distances, fewer if there are fewer.

    Equal distances are common (the same observation twice) and round differently in a
    step than in a sequence, where other shapes are multiplied. So distances are only
    compared to the precision that float32 leaves beside the order, and what is equal
    then is chosen by order.

    Args:
        distances: at least 0.
        readable: which rows count.
        order: from 0 to `orders` - 1, different for every readable row.
        count: how many rows.
        orders: how many different orders there are.
    """
    bits = max(orders - 1, 1).bit_length()
    # As integers, floats of at least 0 are in the order of their values.
    ranks = jax.lax.bitcast_convert_type(
        jax.lax.stop_gradient(distances).astype(jnp.float32), jnp.int32
    )
    ranks = ((ranks >> bits) << bits) | jnp.clip(order, 0, orders - 1)
    return readable & (ranks <= last_of_the_first(ranks, readable, count))


RESOLUTION = 1024
"""Steps per unit in which logits that rows are chosen by are counted."""


def leading(
    scores: Float[Array, "*batch rows"],
    readable: Bool[Array, "*batch rows"],
    order: Int[Array, "*#batch rows"],
    orders: int,
) -> Int[Array, "*batch rows"]:
    """Ranks of rows by scores, the best lowest; what is not readable comes last.

    Scores are logits: how much less than the best is counted in steps of 1 /
    `RESOLUTION`, far above rounding and far below what a softmax would tell apart. Rows
    within one step are ranked by order, as `nearest` does and for the same reason; of
    equal rows just at the edge between two steps rounding can still decide.

    Args:
        scores: of any sign.
        readable: which rows count.
        order: from 0 to `orders` - 1, different for every readable row.
        orders: how many different orders there are.
    """
    scores = jax.lax.stop_gradient(scores)
    lowest = jnp.asarray(jnp.finfo(scores.dtype).min, scores.dtype)
    best = jnp.where(readable, scores, lowest).max(-1, keepdims=True)
    behind = jnp.where(readable, best - scores, 0) * RESOLUTION
    most = jnp.iinfo(jnp.int32).max // (2 * orders)
    ranks = jnp.minimum(behind, most).astype(jnp.int32) * orders
    return jnp.where(readable, ranks + jnp.clip(order, 0, orders - 1), _LAST)


_LAST = jnp.iinfo(jnp.int32).max


def last_of_the_first(
    ranks: Int[Array, "*batch rows"], readable: Bool[Array, "*batch rows"], count: int
) -> Int[Array, "*batch 1"]:
    """The `count`-th lowest rank of those readable, or the highest number."""
    ranks = jnp.where(readable, ranks, _LAST)
    count = min(count, ranks.shape[-1])
    return -jax.lax.top_k(-ranks, count)[0][..., -1:]
