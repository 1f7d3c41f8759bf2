"""Mechanism B with a backward pass of its own: a cell whose weights are `Linear`.

Differentiating a `lax.scan` adds up the gradient of every weight matrix in every step
of the backward loop: a matrix written and read again for a handful of rows. Here the
backward loop only finds the cotangent of each layer's output; all weights follow
afterwards from one product over all steps, and so does whatever was added to those
outputs. The numbers are those of `cell_scan`; on CPU, a forward and backward pass over
128 steps of 8 streams takes 0.8 (GRU, 128 units) and 0.75 times (LSTM) as long.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import Array, Bool

from memory_models.base import State
from memory_models.mechanisms.inspection import unrecorded
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans import recurrent_loops
from memory_models.mechanisms.scans.recurrent_loops import Gate, gates_of

__all__ = ["Gate", "GatedCell", "gates_of", "recurrent_scan"]

GatedCell = Callable[[Sequence[Gate], State, Any], State]
"""`(gates, state, input) -> state`; it may use no array but those it is given."""


def recurrent_scan(
    cell: GatedCell,
    layers: Sequence[Linear],
    state: State,
    initial: State,
    offsets: Sequence[Any],
    inputs: Any,
    starts: Bool[Array, " time"],
    *,
    kernel: str | None = None,
) -> State:
    """Run a cell over a sequence; can be differentiated in reverse mode only.

    Args:
        cell: calls each gate exactly once, in order, and computes elementwise besides.
        layers: one per gate, applied to something made of the state.
        state: the state that the steps before left.
        initial: the state before the first step of an episode; it takes the place of
            the carried one, by `where`, at every start.
        offsets: `[time, ...]` per gate, usually its projected inputs; None for none.
        inputs: a pytree of `[time, ...]`, whatever else the cell reads, or None.
        starts: true where a step is the first of an episode.
        kernel: 'stored' or 'recomputed' (see recurrent_loops.py); None for the former
            where the program is compiled for a CPU, else the latter.

    Returns:
        The states after every step, `[time, ...]`.

    Raises:
        ValueError: no such kernel.
    """
    if kernel not in (None, "stored", "recomputed"):
        raise ValueError(
            f"recurrent_scan has no kernel {kernel!r}: choose 'stored' or 'recomputed'."
        )
    frozen = jax.lax.stop_gradient((layers, state, initial, offsets, inputs))
    with unrecorded():  # the cell records below, where it has all steps
        states, entering, values = _run("forward", kernel, cell, *frozen, starts)

    # The same values again, for all steps at once, as functions of layers and offsets.
    # Only their derivatives are used, so the values themselves are never computed.
    by_weights = []

    def known(gate: Gate, value: Array) -> Gate:
        def call(x: Array) -> Array:
            by_weights.append(gate(jax.lax.stop_gradient(x)))
            return value

        return call

    gates = gates_of(layers, offsets)
    cell(
        [known(*pair) for pair in zip(gates, values, strict=True)], entering, frozen[4]
    )
    kept = (frozen[0], values, initial, starts, entering)
    return _attach(cell, kernel, by_weights, inputs, state, initial, kept, states)


def _attach_primal(cell, kernel, by_weights, inputs, state, initial, kept, states):
    """The states as they are, for the backward pass below."""
    return states


def _attach_forward(cell, kernel, by_weights, inputs, state, initial, kept, states):
    return states, (inputs, kept)


def _attach_backward(cell, kernel, residuals, states_cotangent):
    found = _run("backward", kernel, cell, residuals, states_cotangent)
    return *found, None, None


_attach = jax.custom_vjp(_attach_primal, nondiff_argnums=(0, 1))
_attach.defvjp(_attach_forward, _attach_backward)


def _run(way: str, kernel: str | None, cell: GatedCell, *arguments: Any) -> Any:
    """The loop 'forward' or 'backward' of a kernel."""
    stored, recomputed = (
        functools.partial(getattr(recurrent_loops, f"{way}_{name}"), cell)
        for name in ("stored", "recomputed")
    )
    if kernel is None:
        return by_platform(stored, recomputed, *arguments)
    return (stored if kernel == "stored" else recomputed)(*arguments)
