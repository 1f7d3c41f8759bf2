"""S4D: a small diagonal state space of its own for every feature."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.linear.state_space import Dynamics, zero_order_hold
from memory_models.mechanisms.layers import Linear, check_sizes, layer_norm
from memory_models.mechanisms.scans.linear_scan import advance, diagonal_scan, last

Modes = Float[Array, "outputs modes"]
State = tuple[Modes, Modes]
"""h, as its real and imaginary part."""


class DiagonalStateSpace(MemoryModel):
    """S4D-Lin (Gu et al. 2022): state space, gated linear unit and skip connection.

        u_t = x_t W_e + b_e,   v_t = layer_norm(u_t)               [outputs]
        h_t = exp(Lambda step) * h_{t-1} + gain * v_t              [outputs, modes]
        Lambda = -exp(log_rate) + 1j * frequency
        gain = (exp(Lambda step) - 1) / Lambda                     (zero-order hold)
        w_t = gelu(2 Re(sum over modes of C * h_t) + D * v_t)      [outputs]
        y_t = u_t + (w_t W_v + b_v) * sigmoid(w_t W_g + b_g)

    At the start Lambda = -1/2 + 1j pi n for n = 0, 1, ..., the same for every feature,
    and a feature's step is log-uniform. B is 1, as C can express it. Of each conjugate
    pair of modes one is kept. The real part of `Lambda step` stays at or below -1e-6,
    so that no state grows, whatever is learned. The norm has no learned scale.

    Attributes:
        encode: W_e, b_e.
        log_rate: log(-Re Lambda).
        frequency: Im Lambda.
        log_step: log of each feature's step.
        read: Re C and Im C, `[2, outputs, modes]`.
        through: D.
        value: W_v, b_v.
        gate: W_g, b_g.
    """

    sizing = Sizing(state="modes")

    encode: Linear
    log_rate: Modes
    frequency: Modes
    log_step: Float[Array, " outputs"]
    read: Float[Array, "2 outputs modes"]
    through: Float[Array, " outputs"]
    value: Linear
    gate: Linear

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        modes: int = 8,
        step_min: float = 0.001,
        step_max: float = 0.1,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            modes: complex numbers in the state of each output, half of the paper's N.
            step_min: smallest step size at the start.
            step_max: largest step size at the start.

        Raises:
            ValueError: no mode, or a range of step sizes that is empty or not above 0.
        """
        check_sizes("s4d", modes=modes)
        if not 0 < step_min <= step_max:
            raise ValueError(
                "s4d needs 0 < step_min <= step_max; got "
                f"step_min={step_min}, step_max={step_max}."
            )
        keys = jax.random.split(key, 6)
        self.encode = Linear(input_size, output_size, key=keys[0])
        self.value = Linear(output_size, output_size, key=keys[1])
        self.gate = Linear(output_size, output_size, key=keys[2])
        dtype = self.encode.weight.dtype
        shape = (output_size, modes)
        self.log_rate = jnp.full(shape, np.log(0.5), dtype)
        self.frequency = jnp.asarray(
            np.tile(np.pi * np.arange(modes), (shape[0], 1)), dtype
        )
        low, high = np.log(step_min), np.log(step_max)
        uniform = jax.random.uniform(keys[3], (output_size,), dtype)
        self.log_step = low + (high - low) * uniform
        self.read = jax.random.normal(keys[4], (2, *shape), dtype) * 0.5**0.5
        self.through = jax.random.normal(keys[5], (output_size,), dtype)

    def dynamics(self) -> Dynamics:
        """exp(Lambda step), and the gain."""
        step = jnp.exp(self.log_step)[:, None]
        return zero_order_hold(jnp.exp(self.log_rate), self.frequency, step)

    def initial_state(self) -> State:
        """Zeros."""
        zeros = jnp.zeros_like(self.log_rate)
        return zeros, zeros

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Drive the modes with all inputs, scan them, read them all."""
        decay, gain = self.dynamics()
        skip = self.encode(inputs)
        normal = layer_norm(skip)
        drive = tuple(part[None] * normal[..., None] for part in gain)
        states = diagonal_scan(decay, drive, starts, state, self.initial_state())
        return last(states), self._read(states, normal, skip)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        decay, gain = self.dynamics()
        skip = self.encode(input)
        normal = layer_norm(skip)
        drive = tuple(part * normal[..., None] for part in gain)
        state = select_state(start, self.initial_state(), state)
        state = advance(decay, drive, state)
        return state, self._read(state, normal, skip)

    def _read(self, states: tuple[Array, Array], normal: Array, skip: Array) -> Array:
        """The output from h."""
        real, imaginary = (
            jnp.einsum("...om,om->...o", *pair)
            for pair in zip(states, self.read, strict=True)
        )
        direct = jnp.broadcast_to(self.through, normal.shape) * normal
        w = jax.nn.gelu(2 * (real - imaginary) + direct)
        return skip + self.value(w) * jax.nn.sigmoid(self.gate(w))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Gu et al. 2022, arXiv:2206.11893",
            mechanism="linear scan",
            context=None,
            summary="a small diagonal state space per feature",
            use="long lags and smooth signals; a state of many floats",
        )
