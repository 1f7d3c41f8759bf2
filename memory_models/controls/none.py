"""No memory: the control against which every memory is compared."""

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.layers import Linear


class NoMemory(MemoryModel):
    """One layer on the current input: `y_t = leaky_relu(x_t W + b)`.

    It has no clock either: a time embedding would be a memory.

    Attributes:
        layer: `[input_size, output_size]`.
    """

    sizing = Sizing(state=None)

    layer: Linear

    def __init__(self, input_size: int, output_size: int, *, key: PRNGKeyArray):
        """Draw the weights."""
        self.layer = Linear(input_size, output_size, key=key)

    def initial_state(self) -> tuple[()]:
        """Nothing."""
        return ()

    def __call__(
        self,
        state: tuple[()],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[tuple[()], Float[Array, "time outputs"]]:
        """Apply the layer to every input; starts do not matter."""
        return state, jax.nn.leaky_relu(self.layer(inputs))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="none; the memoryless baseline of POPGym (Morad et al., ICLR 2023)",
            mechanism="none",
            context=0,
            summary="one layer on the current input",
            use="the control: what a task pays without memory",
        )
