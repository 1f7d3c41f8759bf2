"""The minimal GRU: one gate, which only the input sets."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.layers import Linear, chrono_bias
from memory_models.mechanisms.scans.linear_scan import diagonal_scan


class MinimalGatedRecurrentUnit(MemoryModel):
    """minGRU (Feng et al. 2024): a GRU whose gate does not see the state.

        z = sigmoid(x W_z + b_z)
        h' = (1 - z) * h + z * (x W_h + b_h)

    It is linear in h, so it is a scan. This is the paper's first version; its second
    one computes in logarithms, for which it makes h positive. The scan here needs
    neither.

    Attributes:
        project: W_z and W_h side by side.
    """

    project: Linear

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        timescale: int = 128,
    ):
        """Draw the weights: LeCun-normal.

        Args:
            input_size: width of the features.
            output_size: width of the output and of the state.
            key: for the weights.
            timescale: steps of the longest memory at the start: b_z is drawn so that
                units keep their value for 1 to so many steps (`chrono_bias`; the
                paper starts them at 0). With 0
                it is zero, and a unit halves at every step.

        Raises:
            ValueError: a timescale that is neither 0 nor at least 3.
        """
        chrono_key = jax.random.fold_in(key, 1)
        keep = chrono_bias("min_gru", chrono_key, output_size, timescale)
        bias = jnp.concatenate([-keep, jnp.zeros_like(keep)])
        self.project = Linear(input_size, 2 * output_size, key=key, bias=bias)

    def initial_state(self) -> Float[Array, " hidden"]:
        """Zeros."""
        weight = self.project.weight
        return jnp.zeros(weight.shape[1] // 2, weight.dtype)

    def __call__(
        self,
        state: Float[Array, " hidden"],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Float[Array, " hidden"], Float[Array, "time outputs"]]:
        """All gates at once, then a linear scan."""
        keep, drive = self._gates(inputs)
        outputs = diagonal_scan(keep, drive, starts, state, self.initial_state())
        return outputs[-1], outputs

    def step(
        self,
        state: Float[Array, " hidden"],
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        keep, drive = self._gates(input)
        hidden = select_state(start, self.initial_state(), state)
        hidden = keep * hidden + drive
        return hidden, hidden

    def _gates(self, inputs: Float[Array, "*time features"]) -> tuple[Array, Array]:
        """What is kept of h, and what is added to it."""
        gate, candidate = jnp.split(self.project(inputs), 2, axis=-1)
        # 1 - sigmoid(x) is sigmoid(-x), without cancellation.
        return jax.nn.sigmoid(-gate), jax.nn.sigmoid(gate) * candidate

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Feng et al. 2024, arXiv:2410.01201",
            mechanism="linear scan",
            context=None,
            summary="a GRU gated by the input alone, a linear scan",
            use="a GRU that trains in parallel; stack two or more",
        )
