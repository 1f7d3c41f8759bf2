"""Mechanism B: a non-linear cell under `lax.scan`.

Whatever does not depend on the state (the product of inputs and input weights) is
computed by the model for all steps at once, before the scan. `cell_scan` takes any
cell. A cell made of `Linear` layers trains faster in `recurrent_scan`. Unrolling the
loop gains nothing on CPU. On accelerators, where every array that a step stores is a
kernel of its own, only states are stored for the backward pass, which computes the cell
again, and a round of the loop is `ROUND` steps.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Bool

from memory_models.base import State, select_state
from memory_models.mechanisms.inspection import scan
from memory_models.mechanisms.platform import by_platform

ROUND = 4
"""Steps per round of the loop on accelerators."""

Cell = Callable[[State, Any], tuple[State, Any]]
"""`(state, projected input) -> (state, output)`, for one step."""


def cell_scan(
    cell: Cell,
    state: State,
    initial: State,
    inputs: Any,
    starts: Bool[Array, " time"],
    *,
    unroll: int = 1,
) -> tuple[State, Any]:
    """Run a cell over a sequence.

    Args:
        cell: `(state, input) -> (state, output)`.
        state: the state that the steps before left.
        initial: the state before the first step of an episode; it takes the place of
            the carried one, by `where`, at every start.
        inputs: a pytree of `[time, ...]`, usually the projected inputs.
        starts: true where a step is the first of an episode.
        unroll: steps per iteration of the loop, on accelerators at least `ROUND`.

    Returns:
        The last state, and the outputs `[time, ...]`.
    """

    def body(carried, element):
        now, start = element
        return cell(select_state(start, initial, carried), now)

    def plain(state, elements):
        return scan(body, state, elements, unroll=unroll)

    def lean(state, elements):
        again = jax.checkpoint(body, prevent_cse=False)
        return jax.lax.scan(again, state, elements, unroll=max(unroll, ROUND))

    return by_platform(plain, lean, state, (inputs, starts), records=True)
