"""The simple recurrent network."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.layers import Linear, orthogonal
from memory_models.mechanisms.scans.recurrent_scan import Gate, gates_of, recurrent_scan


class ElmanNetwork(MemoryModel):
    """`h' = tanh(x W + h U + b)` (Elman 1990), with tanh where the paper has a sigmoid.

    The state is h, and so is the output: the hidden size is `output_size`. Without
    gates a gradient shrinks or grows at every step, so this is the baseline that gated
    models are measured against.

    Attributes:
        project: W and b.
        recurrent: U, orthogonal at the start.
        initial: the learned h before an episode, None where it is zero.
    """

    project: Linear
    recurrent: Linear
    initial: Float[Array, " hidden"] | None

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        input_scale: float = 0.1,
        learned_initial_state: bool = False,
    ):
        """Draw the weights: inputs LeCun-normal, recurrence orthogonal, biases 0.

        Args:
            input_size: width of the features.
            output_size: width of the output and of the state.
            key: for the weights.
            input_scale: factor on the input weights at the start. Small inputs leave
                tanh nearly linear, and an orthogonal recurrence then keeps what it has
                read; at 1 it is lost within a few steps.
            learned_initial_state: whether h before an episode is a parameter (it
                begins at zero) instead of zero.

        Raises:
            ValueError: an input scale that is not above 0.
        """
        if not input_scale > 0:
            raise ValueError(
                f"elman got input_scale={input_scale}; with nothing read nothing is "
                "remembered: give a number above 0."
            )
        input_key, recurrent_key = jax.random.split(key)
        project = Linear(input_size, output_size, key=input_key)
        weight = input_scale * project.weight
        self.project = eqx.tree_at(lambda linear: linear.weight, project, weight)
        self.recurrent = Linear(
            output_size,
            output_size,
            key=recurrent_key,
            use_bias=False,
            initializer=orthogonal(),
        )
        zeros = jnp.zeros(output_size, self.recurrent.weight.dtype)
        self.initial = zeros if learned_initial_state else None

    def initial_state(self) -> Float[Array, " hidden"]:
        """Zeros, or what was learned."""
        if self.initial is not None:
            return self.initial
        weight = self.recurrent.weight
        return jnp.zeros(weight.shape[0], weight.dtype)

    def __call__(
        self,
        state: Float[Array, " hidden"],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Float[Array, " hidden"], Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the cell."""
        outputs = recurrent_scan(
            _cell,
            [self.recurrent],
            state,
            self.initial_state(),
            [self.project(inputs)],
            None,
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
        hidden = _cell(gates_of([self.recurrent], [self.project(input)]), hidden, None)
        return hidden, hidden

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Elman 1990, doi:10.1207/s15516709cog1402_1",
            mechanism="cell scan",
            context=None,
            summary="one tanh layer fed back to itself",
            use="the plainest recurrence; short lags",
        )


def _cell(gates: Sequence[Gate], hidden: Array, nothing: None) -> Array:
    """One step; the projected input is in the gate."""
    del nothing
    return jnp.tanh(gates[0](hidden))
