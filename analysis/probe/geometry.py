"""What shape the states of a memory make: their rank, their bounds, their norm."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from analysis.interval import Interval
from memory_models.base import MemoryModel
from memory_models.recurrences.elman import ElmanNetwork
from memory_models.recurrences.gru import GatedRecurrentUnit
from memory_models.recurrences.lstm import LongShortTermMemory
from memory_models.stack import Stack

NEAR = 0.95
"""Beyond this share of its bound a number counts as saturated."""

ROWS = 4096
"""Most rows that a rank is computed from."""


class Geometry(NamedTuple):
    """What shape the states make.

    Attributes:
        numbers: in one stream's state.
        kept: of which the rank is; fewer where the state was projected.
        rank: effective rank of the states.
        untrained_rank: the same of an untrained network that read the same.
        unchanging: share of the numbers that never changed.
        saturated: share of the bounded numbers nearly at their bound; None where the
            memory has none.
        steps: steps of an episode, `[points]`.
        norm: mean norm of the states there, `[points]`.
    """

    numbers: int
    kept: int
    rank: Interval
    untrained_rank: Interval
    unchanging: float
    saturated: float | None
    steps: np.ndarray
    norm: np.ndarray


def effective_rank(matrix: Float[np.ndarray, "rows numbers"]) -> float:
    """How many directions a matrix takes up.

    The exponential of the entropy of its singular values, divided by their sum (Roy &
    Vetterli 2007, "The effective rank: a measure of effective dimensionality",
    definition 1): 1 for a matrix of rank one, n for the identity of size n, 0 where
    everything is 0.
    """
    values = np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_of_states(states: Float[np.ndarray, "rows numbers"]) -> float:
    """The effective rank of what differs between states: their mean is taken away.

    Of more than `ROWS` states so many are drawn.
    """
    if len(states) > ROWS:
        states = np.random.default_rng(0).choice(states, ROWS, replace=False)
    return effective_rank(states - states.mean(0, dtype=np.float64)[None])


def bounded_part(memory: MemoryModel, state: Any) -> list[Array]:
    """The arrays of a state that a tanh keeps within -1 and 1.

    The states of `elman` and `gru` and the hidden state of `lstm`, alone or in a stack.
    """
    if isinstance(memory, Stack):
        pairs = zip(memory.layers, state, strict=True)
        return [x for layer, part in pairs for x in bounded_part(layer, part)]
    if isinstance(memory, ElmanNetwork | GatedRecurrentUnit):
        return [state]
    return [state[0]] if isinstance(memory, LongShortTermMemory) else []


def saturated_share(
    memory: MemoryModel | None, state: Any
) -> Float[Array, " streams"] | None:
    """Share of a state's bounded numbers that are nearly at their bound.

    Args:
        memory: whose state it is; None where the agent has none of ours.
        state: leaves `[streams, ...]`.

    Returns:
        One share per stream; None where nothing is bounded.
    """
    parts = [] if memory is None else bounded_part(memory, state)
    if not parts:
        return None
    numbers = jnp.concatenate([x.reshape(x.shape[0], -1) for x in parts], axis=1)
    return (jnp.abs(numbers) > NEAR).mean(1, dtype=jnp.float32)


class Sums(NamedTuple):
    """Some values, summed at each step of an episode.

    Attributes:
        count: of values, `[time]`.
        total: of them, `[time]`.
    """

    count: Int[np.ndarray, " time"]
    total: Float[np.ndarray, " time"]

    @classmethod
    def of(
        cls, values: Float[np.ndarray, " rows"], time: Int[np.ndarray, " rows"]
    ) -> "Sums":
        """Of one value per row, at the time of each row."""
        weights = values.astype(np.float64)
        return cls(np.bincount(time), np.bincount(time, weights=weights))


def by_time(
    sums: Sequence[Sums], fewest: int
) -> tuple[Int[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Means of some values at each step of an episode.

    Args:
        sums: of every seed.
        fewest: values that a step must have for it to count.

    Returns:
        Steps and means.
    """
    longest = max(len(x.count) for x in sums)
    padded = [[np.pad(x, (0, longest - len(x))) for x in one] for one in sums]
    count, total = (np.sum(x, axis=0) for x in zip(*padded, strict=True))
    steps = np.flatnonzero(count >= fewest)
    return steps, total[steps] / count[steps]
