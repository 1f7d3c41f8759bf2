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
import jax.numpy as jnp
from jaxtyping import Array, Bool

from memory_models.base import State, select_state
from memory_models.mechanisms.affine import affine, transposed
from memory_models.mechanisms.layers import Linear

Gate = Callable[[Array], Array]
"""A layer of the cell at one step: of its operand, `layer(operand) + offset`."""

GatedCell = Callable[[Sequence[Gate], State, Any], State]
"""`(gates, state, input) -> state`; it may use no array but those it is given."""


def gates_of(layers: Sequence[Linear], offsets: Sequence[Any]) -> list[Gate]:
    """The gates of one step (or of many): each layer with what is added to it."""

    def gate(layer: Linear, offset: Any) -> Gate:
        return lambda x: layer(x) if offset is None else layer(x) + offset

    return [gate(*pair) for pair in zip(layers, offsets, strict=True)]


def recurrent_scan(
    cell: GatedCell,
    layers: Sequence[Linear],
    state: State,
    initial: State,
    offsets: Sequence[Any],
    inputs: Any,
    starts: Bool[Array, " time"],
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

    Returns:
        The states after every step, `[time, ...]`.
    """
    frozen = jax.lax.stop_gradient((layers, state, initial, offsets, inputs))
    states, values = _run(cell, *frozen, starts)
    entering = _entering(*frozen[1:3], states, starts)

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
    return _attach(cell, by_weights, inputs, state, initial, kept, states)


def _run(cell, layers, state, initial, offsets, inputs, starts):
    """The states after every step, and what every gate gave."""

    def body(carried, element):
        offset, now, start = element
        values = []

        def noted(gate: Gate) -> Gate:
            def call(x: Array) -> Array:
                values.append(gate(x))
                return values[-1]

            return call

        entering = select_state(start, initial, carried)
        gates = [noted(gate) for gate in gates_of(layers, offset)]
        state = cell(gates, entering, now)
        return state, (state, values)

    return jax.lax.scan(body, state, (offsets, inputs, starts))[1]


def _entering(state, initial, states, starts) -> State:
    """The states that enter each step, resets included."""
    before = jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), state, states
    )
    return jax.vmap(select_state, in_axes=(0, None, 0))(starts, initial, before)


def _attach_primal(cell, by_weights, inputs, state, initial, kept, states):
    """The states as they are, for the backward pass below."""
    return states


def _attach_forward(cell, by_weights, inputs, state, initial, kept, states):
    return states, (inputs, kept)


def _attach_backward(cell, residuals, states_cotangent):
    inputs, (layers, values, initial, starts, entering) = residuals
    zeros = jax.tree.map(jnp.zeros_like, initial)
    backwards = [transposed(layer.weight) for layer in layers]

    def body(carry, element):
        from_later, of_initial = carry
        value, now, start, state, cotangent = element

        def step(state, value, now):
            gates = [
                functools.partial(_known, *pair)
                for pair in zip(backwards, value, strict=True)
            ]
            return cell(gates, state, now)

        _, pull = jax.vjp(step, state, value, now)
        total = jax.tree.map(jnp.add, cotangent, from_later)
        of_state, of_value, of_now = pull(total)
        of_initial = jax.tree.map(
            jnp.add, of_initial, select_state(start, of_state, zeros)
        )
        of_carried = select_state(start, zeros, of_state)
        return (of_carried, of_initial), (of_value, of_now)

    (of_state, of_initial), (of_values, of_inputs) = jax.lax.scan(
        body,
        (zeros, zeros),
        (values, inputs, starts, entering, states_cotangent),
        reverse=True,
    )
    return of_values, of_inputs, of_state, of_initial, None, None


_attach = jax.custom_vjp(_attach_primal, nondiff_argnums=(0,))
_attach.defvjp(_attach_forward, _attach_backward)


@jax.custom_vjp
def _known(backwards: Array, value: Array, x: Array) -> Array:
    """A gate whose value is known: it is not computed again, only differentiated."""
    return value


def _known_forward(backwards, value, x):
    return value, backwards


def _known_backward(backwards, cotangent):
    return None, cotangent, affine(cotangent, backwards)


_known.defvjp(_known_forward, _known_backward)
