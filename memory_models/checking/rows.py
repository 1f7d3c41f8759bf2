"""The batch that `episodes` has a model read: what enters, and what is read."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memory_models.checking.probe import Probe, fill

_NUMBERS = 32
"""How many numbers of the state are changed, one at a time."""

USED, INITIAL, NAN, INF, PAST, FUTURE, FIRST_CHANGED = range(7)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The batch. Rows differ in what enters, or in their inputs before or after `at`.

    Attributes:
        states: used; initial; full of nan; full of inf; other past; other future; and
            the used one with one number changed, a row for each.
        inputs: `[rows, time, features]`.
        at: the step of the start inside the sequence.
        changed: names of the numbers that are changed.
    """

    states: Any
    inputs: np.ndarray
    at: int
    changed: tuple[str, ...]


def make_rows(read: Callable[..., Any], probe: Probe, initial: Any, seed: int) -> Rows:
    """The batch of rows.

    Args:
        read: `(states, inputs, starts) -> (states, outputs)`, of all rows. The used
            state is what a first reading leaves.
        probe: the model's sizes.
        initial: its initial state, of numpy arrays.
        seed: for the inputs.
    """
    leaves, structure = jax.tree.flatten(initial)
    places = [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_flatten_with_path(initial)[0]
    ]
    chosen = _chosen([leaf.size for leaf in leaves])
    count = FIRST_CHANGED + sum(len(numbers) for numbers in chosen)
    inputs = np.broadcast_to(
        np.asarray(probe.inputs(seed)), (count, probe.time, probe.input_size)
    ).copy()
    states = [np.broadcast_to(x, (count, *x.shape)).copy() for x in leaves]
    none = np.zeros(probe.time, bool)
    state = jax.tree.unflatten(structure, states)
    used = read(state, inputs, none)[0]
    states = [np.array(x) for x in jax.tree.leaves(used)]
    row, changed = FIRST_CHANGED, []
    for place, state, first, numbers in zip(
        places, states, leaves, chosen, strict=True
    ):
        state[:] = state[USED]
        state[INITIAL] = first
        for value, at in ((np.nan, NAN), (np.inf, INF)):
            state[at] = np.asarray(fill(jnp.asarray(first), value))
        for number in numbers:
            one = state[row].reshape(-1)
            one[number] = ~one[number] if one.dtype == bool else one[number] + 1
            changed.append(f"number {number} of the state{place}")
            row += 1
    at = probe.half
    inputs[PAST, :at] *= -2
    inputs[FUTURE, at:] *= -2
    return Rows(jax.tree.unflatten(structure, states), inputs, at, tuple(changed))


def _chosen(sizes: list[int]) -> list[list[int]]:
    """Evenly spread numbers of every leaf, `_NUMBERS` in all or one of each leaf."""
    each = max(1, _NUMBERS // max(1, len(sizes)))
    return [
        sorted({int(i) for i in np.linspace(0, size - 1, min(size, each))})
        for size in sizes
    ]
