"""Soft addressing of slots: by content, by what is free, and by order of writing.

The three of the differentiable neural computer (Graves et al. 2016), for one write head
and with the order of operations of the authors' code. All weights are at least 0 and
sum to at most 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from memory_models.mechanisms.stores.slot_reads import cosines

Weights = Float[Array, " slots"]
ReadWeights = Float[Array, "reads slots"]
Link = Float[Array, "slots slots"]


def content_weights(
    memory: Float[Array, "slots size"],
    keys: Float[Array, "heads size"],
    strengths: Float[Array, " heads"],
) -> Float[Array, "heads slots"]:
    """A softmax over cosine similarities, sharpened by softplus(strength)."""
    sharpness = jax.nn.softplus(strengths)[:, None]
    return jax.nn.softmax(sharpness * cosines(keys, memory), axis=-1)


def usage_after(
    usage: Weights, write: Weights, reads: ReadWeights, free: Float[Array, " reads"]
) -> Weights:
    """Usage rises where the last step wrote, and falls where what it read is freed.

    No gradient flows through the write weights here, as in the authors' code.
    """
    write = jax.lax.stop_gradient(write)
    usage = usage + (1 - usage) * write
    for head in range(reads.shape[0]):
        usage = usage * (1 - free[head] * reads[head])
    return usage


def allocation(usage: Weights, epsilon: float = 1e-6) -> Weights:
    """Weights for the slots in use least: all on the first that is free.

    Slots whose usage differs by less than 2^-16 are taken in their order, so that
    rounding does not decide between equal ones.
    """
    # Which slot comes before which, instead of sorting: nothing is moved around, and a
    # product of what comes before is a matrix product of logarithms.
    rank = jnp.round(usage * 2**16).astype(jnp.int32)
    slot = jnp.arange(usage.shape[0], dtype=jnp.int32)
    earlier = slot[None] < slot[:, None]
    before = (rank[None] < rank[:, None]) | ((rank[None] == rank[:, None]) & earlier)
    used = epsilon + (1 - epsilon) * usage
    return (1 - used) * jnp.exp(before.astype(used.dtype) @ jnp.log(used))


def link_after(link: Link, precedence: Weights, write: Weights) -> Link:
    """`link[i, j]`: how much slot i was written right after slot j."""
    kept = (1 - write[:, None] - write[None]) * link
    after = kept + write[:, None] * precedence[None]
    return jnp.where(jnp.eye(write.shape[0], dtype=bool), 0.0, after)


def precedence_after(precedence: Weights, write: Weights) -> Weights:
    """How much each slot was the last one written."""
    return (1 - write.sum()) * precedence + write
