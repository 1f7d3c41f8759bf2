"""What an agent needs in memory, part by part, found by tracing."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp


class Part(NamedTuple):
    """One part of what a seed of an agent needs.

    Attributes:
        bytes: how much.
        kind: `kept` is whole on every device; everything else is split over them.
            `streams` are also needed per episode of an evaluation; `training` is not
            there while evaluating; `experience` is there always.
        lower: what makes it smaller: settings such as `agent.num_envs`, or words.
        higher: settings that make it smaller when they are raised.
    """

    bytes: int
    kind: Literal["kept", "streams", "experience", "training"]
    lower: tuple[str, ...]
    higher: tuple[str, ...] = ()


def bytes_of(tree: Any) -> int:
    """Bytes of the arrays, or shapes of arrays, of a pytree."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.eval_shape(jax.random.key_data, leaf)
        total += math.prod(leaf.shape) * leaf.dtype.itemsize
    return total


def of_streams(streams: Any) -> dict[str, Part]:
    """The streams of an agent: their environments with inputs, and their memories."""
    memories = bytes_of(streams.memory_state)
    many = "agent.num_envs"
    return {
        "environments": Part(
            bytes_of(streams) - memories, "streams", (many, "what sizes the task")
        ),
        "memories": Part(memories, "streams", (many, "memory.output_size")),
    }
