"""A clock without a memory: the control for tasks that time alone can solve."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.clock import sinusoids, steps_of_episode, whole_periods
from memory_models.mechanisms.layers import Linear


class Position(MemoryModel):
    """One layer on the current input and the step of the episode.

        y_t = leaky_relu([x_t, sin(2 pi t / P), cos(2 pi t / P)] W + b)

    Its state is t alone, so no input ever influences a later output. The MLP of POPGym
    (Morad et al. 2023) is of this kind. The periods P are whole steps, geometrically
    spaced: sine and cosine are taken of an integer remainder and are as exact after a
    million steps as at the first, and t stops at the largest int32 rather than wrap.

    Attributes:
        layer: W.
        frequencies: how many periods.
        max_period: the longest of them, in steps.
    """

    sizing = Sizing(state=None)

    layer: Linear
    frequencies: int = eqx.field(static=True)
    max_period: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        frequencies: int = 16,
        max_period: int = 10_000,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            frequencies: how many periods, a sine and a cosine of each.
            max_period: the longest of them, in steps; the shortest is 4.

        Raises:
            ValueError: no period, or none above 4 steps.
        """
        if frequencies < 1 or max_period <= 4:
            raise ValueError(
                "position needs frequencies >= 1 and max_period > 4 (the shortest "
                f"period); got frequencies={frequencies}, max_period={max_period}."
            )
        self.layer = Linear(input_size + 2 * frequencies, output_size, key=key)
        self.frequencies = frequencies
        self.max_period = max_period

    def initial_state(self) -> Int[Array, ""]:
        """The number of steps so far: 0."""
        return jnp.zeros((), jnp.int32)

    def __call__(
        self,
        state: Int[Array, ""],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Int[Array, ""], Float[Array, "time outputs"]]:
        """Count the steps, and apply the layer to all of them."""
        state, steps = steps_of_episode(state, starts)
        periods = whole_periods(self.frequencies, 4, self.max_period)
        clock = sinusoids(steps, periods, inputs.dtype)
        outputs = self.layer(jnp.concatenate([inputs, clock], axis=-1))
        return state, jax.nn.leaky_relu(outputs)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Vaswani et al. 2017; in POPGym's MLP (Morad et al., ICLR 2023)",
            mechanism="none",
            context=0,
            summary="one layer on the input and the step of the episode",
            use="the control: how far does a clock alone get?",
        )
