"""The minimal LSTM: two gates, which only the input sets, and no cell."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.layers import Linear, chrono_bias
from memory_models.mechanisms.scans.linear_scan import diagonal_scan


class MinimalLongShortTermMemory(MemoryModel):
    """minLSTM (Feng et al. 2024): an LSTM whose gates do not see the state.

        f = sigmoid(x W_f + b_f),   i = sigmoid(x W_i + b_i)
        h' = f / (f + i) * h + i / (f + i) * (x W_h + b_h)

    It is linear in h, so it is a scan. The gates are divided by their sum, so that the
    scale of h does not depend on time. This is the version that does not compute in
    logarithms, for which h would have to be positive.

    Attributes:
        project: W_f, W_i and W_h side by side.
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
            timescale: steps of the longest memory at the start: b_f is drawn so that
                units keep their value for 1 to so many steps (`chrono_bias`), b_i is
                -b_f. With 0 both are zero, and a unit halves at every step.

        Raises:
            ValueError: a timescale that is neither 0 nor at least 3.
        """
        chrono_key = jax.random.fold_in(key, 1)
        keep = chrono_bias("min_lstm", chrono_key, output_size, timescale)
        bias = jnp.concatenate([keep, -keep, jnp.zeros_like(keep)])
        self.project = Linear(input_size, 3 * output_size, key=key, bias=bias)

    def initial_state(self) -> Float[Array, " hidden"]:
        """Zeros."""
        weight = self.project.weight
        return jnp.zeros(weight.shape[1] // 3, weight.dtype)

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
        forget, write, candidate = jnp.split(self.project(inputs), 3, axis=-1)
        # f / (f + i) is a sigmoid of log f - log i: no gate is divided by zero.
        odds = jax.nn.log_sigmoid(forget) - jax.nn.log_sigmoid(write)
        return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * candidate

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Feng et al. 2024, arXiv:2410.01201",
            mechanism="linear scan",
            context=None,
            summary="an LSTM gated by the input alone, a linear scan",
            use="like min_gru, with separate gates to keep and write",
        )
