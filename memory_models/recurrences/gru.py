"""The gated recurrent unit."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, chrono_bias, orthogonal
from memory_models.mechanisms.scans.recurrent_scan import Gate, gates_of, recurrent_scan


class GatedRecurrentUnit(MemoryModel):
    """GRU (Cho et al. 2014) in the form that cuDNN, PyTorch and Flax compute.

        r = sigmoid(x W_r + h U_r + b_r)
        z = sigmoid(x W_z + h U_z + b_z)
        n = tanh(x W_n + b_n + r * (h U_n + b_hn))
        h' = (1 - z) * n + z * h

    The paper instead applies r to h before the product with U_n. The state is h,
    and so is the output: the hidden size is `output_size`.

    Attributes:
        project: input weights and biases of the gates r, z, n, side by side.
        recurrent: U_r, U_z, U_n, each orthogonal; the last with its bias b_hn. They
            are three products because XLA on CPU vectorises the gates only as arrays
            of their own: the forward pass is twice as fast as with one product.
        initial: the learned h before an episode, None where it is zero.
    """

    project: Linear
    recurrent: tuple[Linear, Linear, Linear]
    initial: Float[Array, " hidden"] | None

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        timescale: int = 128,
        learned_initial_state: bool = False,
    ):
        """Draw the weights: inputs LeCun-normal, recurrence orthogonal.

        Args:
            input_size: width of the features.
            output_size: width of the output and of the state.
            key: for the weights.
            timescale: steps of the longest memory at the start: b_z is drawn so that
                units keep their value for 1 to so many steps (`chrono_bias`). With 0
                it is zero, as all other biases, and a unit halves at every step.
            learned_initial_state: whether h before an episode is a parameter (it
                begins at zero) instead of zero.

        Raises:
            ValueError: a timescale that is neither 0 nor at least 3.
        """
        keys = jax.random.split(key, 4)
        update = chrono_bias("gru", jax.random.fold_in(key, 1), output_size, timescale)
        zeros = jnp.zeros_like(update)
        bias = jnp.concatenate([zeros, update, zeros])
        self.project = Linear(input_size, 3 * output_size, key=keys[0], bias=bias)
        reset, update, candidate = (
            Linear(
                output_size,
                output_size,
                key=keys[1 + gate],
                use_bias=gate == 2,
                initializer=orthogonal(),
            )
            for gate in range(3)
        )
        self.recurrent = (reset, update, candidate)
        self.initial = zeros if learned_initial_state else None

    def initial_state(self) -> Float[Array, " hidden"]:
        """Zeros, or what was learned."""
        if self.initial is not None:
            return self.initial
        weight = self.recurrent[0].weight
        return jnp.zeros(weight.shape[0], weight.dtype)

    def __call__(
        self,
        state: Float[Array, " hidden"],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Float[Array, " hidden"], Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the cell."""
        reset, update, candidate = jnp.split(self.project(inputs), 3, axis=-1)
        outputs = recurrent_scan(
            _cell,
            self.recurrent,
            state,
            self.initial_state(),
            (reset, update, None),
            candidate,
            starts,
        )
        return outputs[-1], outputs

    def step(
        self,
        state: Float[Array, " hidden"],
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " outputs"]]:
        """The cell alone, without a loop around it."""
        hidden = select_state(start, self.initial_state(), state)
        reset, update, candidate = jnp.split(self.project(input), 3)
        gates = gates_of(self.recurrent, (reset, update, None))
        hidden = _cell(gates, hidden, candidate)
        return hidden, hidden

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Cho et al. 2014, arXiv:1406.1078",
            mechanism="cell scan",
            context=None,
            summary="gates that keep or overwrite each unit",
            use="a strong first choice on most tasks",
        )


def _cell(gates: Sequence[Gate], hidden: Array, candidate: Array) -> Array:
    """One step; `candidate` is x W_n + b_n, the other inputs are in the gates."""
    reset_gate, update_gate, candidate_gate = gates
    reset = jax.nn.sigmoid(reset_gate(hidden))
    update = jax.nn.sigmoid(update_gate(hidden))
    record("reset", lambda: reset)
    record("update", lambda: update)
    candidate = jnp.tanh(candidate + reset * candidate_gate(hidden))
    return (1 - update) * candidate + update * hidden
