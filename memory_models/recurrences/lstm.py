"""Long short-term memory."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, chrono_bias, orthogonal
from memory_models.mechanisms.scans.linear_scan import last
from memory_models.mechanisms.scans.recurrent_scan import Gate, gates_of, recurrent_scan

Hidden = Float[Array, " hidden"]
HiddenAndCell = tuple[Hidden, Hidden]


class LongShortTermMemory(MemoryModel):
    """LSTM (Hochreiter & Schmidhuber 1997) with forget gates (Gers et al. 2000).

        i = sigmoid(x W_i + h U_i + b_i)
        f = sigmoid(x W_f + h U_f + b_f)
        g = tanh(x W_g + h U_g + b_g)
        o = sigmoid(x W_o + h U_o + b_o)
        c' = f * c + i * g,   h' = o * tanh(c')

    The form that cuDNN and PyTorch compute, without peepholes. The state is `(h, c)`,
    in this order; the output is h: the hidden size is `output_size`.

    Attributes:
        project: input weights and biases of i, f, g, o, side by side.
        recurrent: U_i, U_f, U_g, U_o, each orthogonal at the start; four products for
            the reason given in gru.py.
        initial: the learned `(h, c)` before an episode, None where both are zero.
    """

    project: Linear
    recurrent: tuple[Linear, Linear, Linear, Linear]
    initial: HiddenAndCell | None

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        timescale: int = 128,
        forget_bias: float = 1.0,
        learned_initial_state: bool = False,
    ):
        """Draw the weights: inputs LeCun-normal, recurrence orthogonal.

        Args:
            input_size: width of the features.
            output_size: width of the output, of h and of c.
            key: for the weights.
            timescale: steps of the longest memory at the start: b_f is drawn so that
                cells keep their value for 1 to so many steps (`chrono_bias`), b_i is
                -b_f, and the other biases are 0.
            forget_bias: b_f at the start where `timescale` is 0; with 1 the cell
                forgets slowly at first (Jozefowicz et al. 2015).
            learned_initial_state: whether h and c before an episode are parameters
                (they begin at zero) instead of zero.

        Raises:
            ValueError: a timescale that is neither 0 nor at least 3.
        """
        keys = jax.random.split(key, 5)
        keep = chrono_bias("lstm", jax.random.fold_in(key, 1), output_size, timescale)
        zeros = jnp.zeros_like(keep)
        forget = keep if timescale else zeros + forget_bias
        bias = jnp.concatenate([-keep, forget, zeros, zeros])
        self.project = Linear(input_size, 4 * output_size, key=keys[0], bias=bias)
        input_, forget, candidate, output = (
            Linear(
                output_size,
                output_size,
                key=gate_key,
                use_bias=False,
                initializer=orthogonal(),
            )
            for gate_key in keys[1:]
        )
        self.recurrent = (input_, forget, candidate, output)
        self.initial = (zeros, zeros) if learned_initial_state else None

    def initial_state(self) -> HiddenAndCell:
        """Zeros, or what was learned."""
        if self.initial is not None:
            return self.initial
        weight = self.recurrent[0].weight
        zeros = jnp.zeros(weight.shape[0], weight.dtype)
        return zeros, zeros

    def __call__(
        self,
        state: HiddenAndCell,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[HiddenAndCell, Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the cell."""
        projected = jnp.split(self.project(inputs), 4, axis=-1)
        states = recurrent_scan(
            _cell, self.recurrent, state, self.initial_state(), projected, None, starts
        )
        return last(states), states[0]

    def step(
        self,
        state: HiddenAndCell,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[HiddenAndCell, Float[Array, " outputs"]]:
        """The cell alone, without a loop around it."""
        entering = select_state(start, self.initial_state(), state)
        projected = jnp.split(self.project(input), 4)
        state = _cell(gates_of(self.recurrent, projected), entering, None)
        return state, state[0]

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Hochreiter & Schmidhuber 1997; Gers et al. 2000",
            mechanism="cell scan",
            context=None,
            summary="a gated cell beside the output",
            use="the classic; like gru with twice the state",
        )


def _cell(gates: Sequence[Gate], state: Any, nothing: None) -> tuple[Array, Array]:
    """One step; the projected inputs are in the gates."""
    del nothing
    hidden, cell = state
    input_, forget, candidate, output = (gate(hidden) for gate in gates)
    for name, gate in (("input", input_), ("forget", forget), ("output", output)):
        record(name, lambda gate=gate: jax.nn.sigmoid(gate))
    written = jax.nn.sigmoid(input_) * jnp.tanh(candidate)
    cell = jax.nn.sigmoid(forget) * cell + written
    return jax.nn.sigmoid(output) * jnp.tanh(cell), cell
