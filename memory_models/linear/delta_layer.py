"""What models with the delta rule share: all but what they add to it."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import select_state
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.heads import join_heads, split_heads
from memory_models.mechanisms.layers import Linear, rms_norm, unit_norm
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans.chunks import chunk_scan
from memory_models.mechanisms.scans.delta_scan import (
    delta_chunk,
    delta_scan,
    delta_step,
)

Matrices = Float[Array, "heads keys values"]
State = tuple[Matrices, Tail]
Decay = Callable[[Array], Array]
"""From a projection of the input, `[..., heads]`, to the logarithm of the decay."""


class DeltaLayer(eqx.Module):
    """Projections, short convolution, delta rule, norm, gate and skip connection.

        q, k, v = silu(convolution(x [W_q, W_k, W_v]))             per head
        q = q / |q| / sqrt(keys),  k = k / |k|
        beta = sigmoid(x W_b + b_b)                                one per head
        S_t = a_t S_{t-1},  then  S_t += k^T beta (v - k S_t)      [keys, values]
        y = (rms_norm(q S_t) * silu(x W_g)) W_o + x W_s + b_s      [outputs]

    The gate x W_g and the decay a_t, a function of x W_a, are there if `gated`. The
    authors add the block's input where x W_s is added here, their projections and
    convolution have no biases, where all of these do, and their norm has a learned
    scale, which W_o makes superfluous. Their block begins with an rms norm; a stack has
    a layer norm there, one layer none. With it three seeds of `gated_delta_net` had
    previous 4 of benchmarks.capability after 125 steps instead of 550, but one did not
    begin to copy in 2,000 (selective copy: .06, .39 and .47; without it .45, .46 and
    .49), and the rest was equal.

    Attributes:
        project: W_q, W_k, W_v, W_g, W_b, W_a, W_s side by side.
        convolve: over q, k and v.
        mix: W_o.
        num_heads: heads, each with a matrix of its own.
        gated: whether there are W_g and W_a.
        largest_rate: what the sigmoid of beta is multiplied by.
        chunk_size: steps that are computed at once.
    """

    project: Linear
    convolve: ShortConvolution
    mix: Linear
    num_heads: int = eqx.field(static=True)
    gated: bool = eqx.field(static=True)
    largest_rate: float = eqx.field(static=True)
    chunk_size: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        num_heads: int,
        head_size: int,
        taps: int,
        gated: bool,
        largest_rate: float,
        chunk_size: int,
        key: PRNGKeyArray,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            num_heads: heads, each with a matrix of its own.
            head_size: width of a head's queries, keys and values.
            taps: inputs that the convolution sees.
            gated: whether outputs are gated and states decay.
            largest_rate: 1, or 2 where a write may turn a read around.
            chunk_size: steps that are computed at once.
            key: for the weights.
        """
        project_key, convolve_key, mix_key = jax.random.split(key, 3)
        inner = num_heads * head_size
        width = 4 * inner + 2 * num_heads if gated else 3 * inner + num_heads
        self.project = Linear(input_size, width + output_size, key=project_key)
        self.convolve = ShortConvolution(3 * inner, taps, key=convolve_key)
        self.mix = Linear(inner, output_size, key=mix_key, use_bias=False)
        self.num_heads = num_heads
        self.gated = gated
        self.largest_rate = largest_rate
        self.chunk_size = chunk_size

    def initial_state(self) -> State:
        """Nothing written, no input convolved."""
        size = self.mix.weight.shape[0] // self.num_heads
        zeros = jnp.zeros((self.num_heads, size, size), self.mix.weight.dtype)
        return zeros, self.convolve.initial_state()

    def sequence(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
        decay: Decay | None = None,
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan."""
        state = select_state(starts[0], self.initial_state(), state)
        projected, skip = self._project(inputs)
        in_turn, at_once = (
            functools.partial(way, decay) for way in (self._in_turn, self._at_once)
        )
        given = state, projected, starts
        state, outputs = by_platform(in_turn, at_once, *given, records=True)
        return state, self.mix(outputs) + skip

    def _at_once(
        self, decay: Decay | None, state: State, projected: Array, starts: Array
    ) -> tuple[State, Array]:
        """Convolve all inputs, then scan: for accelerators."""
        matrices, tail = state
        mixed, gate, scalars = self._split(projected)
        tail, mixed = self.convolve(tail, mixed, starts)
        q, k, v, beta, log_decay = self._heads(mixed, scalars, decay)
        matrices, outputs = delta_scan(
            q,
            k,
            v,
            beta,
            starts,
            matrices,
            log_decay=log_decay,
            chunk_size=self.chunk_size,
            kernel="at_once",
        )
        return (matrices, tail), self._gate(outputs, gate)

    def _in_turn(
        self, decay: Decay | None, state: State, projected: Array, starts: Array
    ) -> tuple[State, Array]:
        """Convolve and scan chunk by chunk: for CPUs, where a chunk stays in cache."""
        tail = self.convolve.after(state[1], self._split(projected)[0], starts)

        def body(state, arrays, starts):
            (matrices, tail), (projected, valid) = state, arrays
            mixed, gate, scalars = self._split(projected)
            tail, mixed = self.convolve(tail, mixed, starts)
            q, k, v, beta, log_decay = self._heads(mixed, scalars, decay)
            # Steps that fill up the last chunk write nothing.
            beta = jnp.where(valid[:, None], beta, 0.0)
            if log_decay is not None:
                log_decay = jnp.where(valid[:, None], log_decay, 0.0)
            arrays = q, k, v, beta, log_decay
            matrices, outputs = delta_chunk(matrices, arrays, starts)
            return (matrices, tail), self._gate(outputs, gate)

        (matrices, _), outputs = chunk_scan(
            body,
            state,
            (projected, jnp.ones_like(starts)),
            starts,
            chunk_size=self.chunk_size,
            fill=(0.0, False),
        )
        return (matrices, tail), outputs

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
        decay: Decay | None = None,
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        matrices, tail = select_state(start, self.initial_state(), state)
        projected, skip = self._project(input)
        mixed, gate, scalars = self._split(projected)
        tail, mixed = self.convolve.step(tail, mixed, start)
        q, k, v, beta, log_decay = self._heads(mixed, scalars, decay)
        matrices, output = delta_step(q, k, v, beta, matrices, log_decay=log_decay)
        return (matrices, tail), self.mix(self._gate(output, gate)) + skip

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple[Array, Array]:
        """What is read in chunks, and the skip connection."""
        projected = self.project(inputs)
        rest = projected.shape[-1] - self.mix.weight.shape[1]
        return projected[..., :rest], projected[..., rest:]

    def _split(self, projected: Array) -> list[Array]:
        """What is convolved, the gate (maybe of width 0), what becomes beta and a."""
        inner = self.mix.weight.shape[0]
        cuts = [3 * inner, (4 if self.gated else 3) * inner]
        return jnp.split(projected, cuts, axis=-1)

    def _heads(self, mixed: Array, scalars: Array, decay: Decay | None) -> tuple:
        """q, k, v, beta and log a."""
        parts = jnp.split(jax.nn.silu(mixed), 3, axis=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        q, k = unit_norm(q) * q.shape[-1] ** -0.5, unit_norm(k)
        beta, rest = jnp.split(scalars, [self.num_heads], axis=-1)
        beta = self.largest_rate * jax.nn.sigmoid(beta)
        return q, k, v, beta, decay(rest) if decay else None

    def _gate(self, outputs: Array, gate: Array) -> Array:
        """Normalised per head and gated."""
        normal = join_heads(rms_norm(outputs))
        return normal * jax.nn.silu(gate) if self.gated else normal
