"""Fast and Forgetful Memory: decaying, rotating traces of what was written."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.scans.linear_scan import (
    MINIMUM_RATE,
    advance,
    diagonal_scan,
    last,
    rotating_decay,
)

Trace = Float[Array, "memory context"]
Traces = Float[Array, "time memory context"]


class FastAndForgetfulMemory(MemoryModel):
    """FFM (Morad et al. 2023), stable in float32 at any sequence length.

        u_t = (x W_1 + b_1) * sigmoid(x W_2 + b_2)                  [memory]
        S_t = S_{t-1} * Gamma + u_t 1^T                             [memory, context]
        Gamma_ij = exp(-rate_i + 1j * frequency_j)
        z_t = [Re S_t, Im S_t] W_3 + b_3,   g_t = sigmoid(x W_4 + b_4)
        y_t = layer_norm(z_t) * g_t + (x W_5 + b_5) * (1 - g_t)     [outputs]

    The authors evaluate S in closed form with powers of 1/Gamma, which overflows
    and so limits rates and lengths. Here S is a linear scan: only powers of Gamma,
    |Gamma| < 1, occur. `rate = 1e-6 + exp(log_rate)` keeps it so under training, and
    step and sequence use the same Gamma.

    Rates and periods start geometrically spaced, where the authors space them
    linearly: rates from log 2 (a half-life of one step) to the one that leaves 1%
    after `max_period` steps, periods from 2 steps (shorter ones alias) to
    `max_period`.

    Attributes:
        project: W_1, W_2, W_4, W_5 side by side.
        mix: W_3.
        log_rate: `[memory]`.
        frequency: `[context]`, radians per step.
    """

    sizing = Sizing(state="memory_size")

    project: Linear
    mix: Linear
    log_rate: Float[Array, " memory"]
    frequency: Float[Array, " context"]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        memory_size: int = 32,
        context_size: int = 4,
        max_period: int = 1024,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            memory_size: traces, each with a decay rate of its own.
            context_size: frequencies that every trace is kept at.
            max_period: steps of the slowest rotation and decay at the start.

        Raises:
            ValueError: a size below 1, or a `max_period` below 8.
        """
        if memory_size < 1 or context_size < 1 or max_period < 8:
            raise ValueError(
                "ffm needs memory_size >= 1, context_size >= 1 and max_period >= 8 "
                f"(so that rates span a range); got memory_size={memory_size}, "
                f"context_size={context_size}, max_period={max_period}."
            )
        key_project, key_mix = jax.random.split(key)
        self.project = Linear(
            input_size, 2 * memory_size + 2 * output_size, key=key_project
        )
        traces = 2 * memory_size * context_size
        self.mix = Linear(traces, output_size, key=key_mix)
        dtype = self.mix.weight.dtype
        rates = jnp.geomspace(jnp.log(2.0), jnp.log(100.0) / max_period, memory_size)
        self.log_rate = jnp.log(rates - MINIMUM_RATE).astype(dtype)
        periods = jnp.geomspace(max_period, 2.0, context_size)
        self.frequency = (2 * jnp.pi / periods).astype(dtype)

    def initial_state(self) -> tuple[Trace, Trace]:
        """Empty traces: the real and the imaginary part of S."""
        shape = self.log_rate.shape + self.frequency.shape
        zeros = jnp.zeros(shape, self.log_rate.dtype)
        return zeros, zeros

    def decay(self) -> tuple[Trace, Trace]:
        """Gamma, as its real and imaginary part."""
        return rotating_decay(jnp.exp(self.log_rate)[:, None], self.frequency[None, :])

    def __call__(
        self,
        state: tuple[Trace, Trace],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[tuple[Trace, Trace], Float[Array, "time outputs"]]:
        """Write all inputs, scan the traces, read them all."""
        write, gate, skip = self._project(inputs)
        initial = self.initial_state()
        traces = diagonal_scan(self.decay(), _drive(write), starts, state, initial)
        return last(traces), self._read(traces, gate, skip)

    def step(
        self,
        state: tuple[Trace, Trace],
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[tuple[Trace, Trace], Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        write, gate, skip = self._project(input)
        state = select_state(start, self.initial_state(), state)
        state = advance(self.decay(), _drive(write), state)
        return state, self._read(state, gate, skip)

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple:
        """u, g and the skip connection, from one matrix product."""
        size, output = self.log_rate.shape[0], self.mix.weight.shape[1]
        value, open_, gate, skip = jnp.split(
            self.project(inputs), [size, 2 * size, 2 * size + output], axis=-1
        )
        return value * jax.nn.sigmoid(open_), jax.nn.sigmoid(gate), skip

    def _read(self, traces: tuple, gate: Array, skip: Array) -> Array:
        """The output from S, normalised before it is gated."""
        flat = [part.reshape(*part.shape[:-2], -1) for part in traces]
        z = self.mix(jnp.concatenate(flat, axis=-1))
        return layer_norm(z) * gate + skip * (1 - gate)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Morad et al. 2023, arXiv:2310.04128",
            mechanism="linear scan",
            context=None,
            summary="decaying traces at several frequencies",
            use="the default: fast to train at any length",
        )


def _drive(write: Float[Array, "*time memory"]) -> tuple[Array, Array]:
    """u_t 1^T as a complex pair, left to broadcast over the context axis."""
    real = write[..., None]
    return real, jnp.zeros_like(real)
