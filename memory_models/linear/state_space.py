"""What diagonal state-space layers share: all but how their modes are made.

The authors stack such layers behind one linear encoder. A memory model here is one
layer, so the encoder, which fits the features to the width of the layer, is part of it.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import select_state
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.scans.linear_scan import (
    MINIMUM_RATE,
    Number,
    advance,
    diagonal_scan,
    last,
    rotating_decay,
)

Modes = Float[Array, " modes"]
State = tuple[Modes, Modes]
"""The complex state h of the modes, as its real and imaginary part."""


class Dynamics(NamedTuple):
    """How each mode moves: `h_t = decay * h_{t-1} + gain * (v_t B)`.

    Attributes:
        decay: lambda, complex, of magnitude below 1.
        gain: real, or complex as a pair.
    """

    decay: Any
    gain: Any


def zero_order_hold(rate: Array, frequency: Array, step: Array) -> Dynamics:
    """Discretise `Lambda = -rate + 1j * frequency`, for inputs held over each step.

    With z = Lambda step, of a real part of at most -1e-6: exp(z), and
    (exp(z) - 1) / Lambda.
    """
    rate, angle = rate * step, frequency * step
    decay = rotating_decay(rate, angle)
    z = (-MINIMUM_RATE - rate, angle)
    # exp(z) - 1 without cancellation where z is small.
    half_turn = jnp.sin(0.5 * angle)
    real = jnp.expm1(z[0]) * jnp.cos(angle) - 2 * half_turn * half_turn
    imaginary = decay[1]
    scale = step / (z[0] * z[0] + z[1] * z[1])
    gain = (
        scale * (real * z[0] + imaginary * z[1]),
        scale * (imaginary * z[0] - real * z[1]),
    )
    return Dynamics(decay, gain)


class StateSpaceLayer(eqx.Module):
    """Encoder, normalisation, state space, gate and skip connection.

        u_t = x_t W_e + b_e                                   [outputs]
        v_t = layer_norm(u_t)
        h_t = lambda * h_{t-1} + gain * (v_t B)               [modes], complex
        w_t = gelu(Re(h_t C) + D * v_t)                       [outputs]
        y_t = u_t + value(w_t) * sigmoid(w_t W_g + b_g)

    `value` is a linear layer (the gated linear unit) or, without one, w_t itself. The
    authors normalise by batch; that would mix streams, so here it is by layer, without
    learned scale or offset. Dropout is left out.

    Attributes:
        encode: W_e, b_e.
        write: Re B and Im B side by side.
        read: Re C above -Im C, so that one real product with `[Re h, Im h]` is
            Re(h C).
        through: D.
        gate: W_g, b_g.
        value: the linear layer that is gated, or None.
    """

    encode: Linear
    write: Linear
    read: Linear
    through: Float[Array, " outputs"]
    gate: Linear
    value: Linear | None

    def __init__(
        self,
        input_size: int,
        output_size: int,
        modes: int,
        *,
        read_scale: float,
        linear_value: bool,
        key: PRNGKeyArray,
    ):
        """Draw the weights; B is complex normal of variance `1 / output_size`.

        Args:
            input_size: width of the features.
            output_size: width of the layer.
            modes: complex numbers in the state.
            read_scale: variance of Re C and of Im C, times `2 * modes`.
            linear_value: whether `value` is a layer.
            key: for the weights.
        """
        keys = jax.random.split(key, 6)

        def normal(scale: float) -> jax.nn.initializers.Initializer:
            return jax.nn.initializers.variance_scaling(scale, "fan_in", "normal")

        def linear(index: int, inputs: int, outputs: int, scale: float) -> Linear:
            initializer = normal(scale)
            return Linear(
                inputs,
                outputs,
                key=keys[index],
                use_bias=False,
                initializer=initializer,
            )

        self.encode = Linear(input_size, output_size, key=keys[0])
        self.write = linear(1, output_size, 2 * modes, 0.5)
        self.read = linear(2, 2 * modes, output_size, read_scale)
        dtype = self.write.weight.dtype
        self.through = jax.random.normal(keys[3], (output_size,), dtype)
        self.gate = Linear(output_size, output_size, key=keys[4])
        self.value = None
        if linear_value:
            self.value = Linear(output_size, output_size, key=keys[5])

    def initial_state(self) -> State:
        """Modes at rest."""
        weight = self.read.weight
        zeros = jnp.zeros(weight.shape[0] // 2, weight.dtype)
        return zeros, zeros

    def sequence(
        self,
        dynamics: Dynamics,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Drive the modes with all inputs, scan them, read them all."""
        skip, normal, drive = self._write(dynamics.gain, inputs)
        states = diagonal_scan(
            dynamics.decay, drive, starts, state, self.initial_state()
        )
        return last(states), self._read(states, normal, skip)

    def step(
        self,
        dynamics: Dynamics,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        skip, normal, drive = self._write(dynamics.gain, input)
        state = select_state(start, self.initial_state(), state)
        state = advance(dynamics.decay, drive, state)
        return state, self._read(state, normal, skip)

    def _write(
        self, gain: Number, inputs: Float[Array, "*time features"]
    ) -> tuple[Array, Array, tuple[Array, Array]]:
        """u, v, and what drives the modes."""
        skip = self.encode(inputs)
        normal = layer_norm(skip)
        real, imaginary = jnp.split(self.write(normal), 2, axis=-1)
        gain = jax.tree.map(lambda part: jnp.broadcast_to(part, real.shape), gain)
        if isinstance(gain, tuple):
            zeros = jnp.zeros_like(real)
            return skip, normal, advance(gain, (zeros, zeros), (real, imaginary))
        return skip, normal, (gain * real, gain * imaginary)

    def _read(self, states: tuple[Array, Array], normal: Array, skip: Array) -> Array:
        """The output from h."""
        direct = jnp.broadcast_to(self.through, normal.shape) * normal
        w = jax.nn.gelu(self.read(jnp.concatenate(states, axis=-1)) + direct)
        value = w if self.value is None else self.value(w)
        return skip + value * jax.nn.sigmoid(self.gate(w))
