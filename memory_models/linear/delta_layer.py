"""What models with the delta rule share: all but what they add to it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import select_state
from memory_models.linear.heads import join_heads, rms_norm, split_heads, unit_norm
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.delta_scan import delta_scan, delta_step
from memory_models.mechanisms.layers import Linear

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
    authors add the block's input where x W_s is added here, and their norm has a
    learned scale, which W_o makes superfluous.

    Attributes:
        project: W_q, W_k, W_v, W_b, W_a, W_g, W_s side by side.
        convolve: over q, k and v.
        mix: W_o.
        num_heads: heads, each with a matrix of its own.
        gated: whether there are W_g and W_a.
        largest_rate: what the sigmoid of beta is multiplied by.
    """

    project: Linear
    convolve: ShortConvolution
    mix: Linear
    num_heads: int = eqx.field(static=True)
    gated: bool = eqx.field(static=True)
    largest_rate: float = eqx.field(static=True)

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
        """Project and convolve all inputs at once, then scan in chunks."""
        matrices, tail = state
        mixed, gate, beta, log_decay, skip = self._project(inputs, decay)
        tail, mixed = self.convolve(tail, mixed, starts)
        q, k, v = self._heads(mixed)
        matrices, outputs = delta_scan(
            q, k, v, beta, starts, matrices, log_decay=log_decay
        )
        return (matrices, tail), self._read(outputs, gate, skip)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
        decay: Decay | None = None,
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        matrices, tail = select_state(start, self.initial_state(), state)
        mixed, gate, beta, log_decay, skip = self._project(input, decay)
        tail, mixed = self.convolve.step(tail, mixed, start)
        q, k, v = self._heads(mixed)
        matrices, output = delta_step(q, k, v, beta, matrices, log_decay=log_decay)
        return (matrices, tail), self._read(output, gate, skip)

    def _project(
        self, inputs: Float[Array, "*time features"], decay: Decay | None
    ) -> tuple:
        """What is convolved, the gate, beta, log a, and the skip connection."""
        inner, heads = self.mix.weight.shape[0], self.num_heads
        gate, widths = None, [3 * inner, heads]
        if self.gated:
            widths = [3 * inner, heads, heads, inner]
        cuts = [sum(widths[: i + 1]) for i in range(len(widths))]
        mixed, beta, *rest, skip = jnp.split(self.project(inputs), cuts, axis=-1)
        beta = self.largest_rate * jax.nn.sigmoid(beta)
        log_decay = None
        if self.gated and decay is not None:
            log_decay, gate = decay(rest[0]), rest[1]
        return mixed, gate, beta, log_decay, skip

    def _heads(self, mixed: Array) -> tuple[Array, Array, Array]:
        """q, k and v."""
        parts = jnp.split(jax.nn.silu(mixed), 3, axis=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        return unit_norm(q) * q.shape[-1] ** -0.5, unit_norm(k), v

    def _read(self, outputs: Array, gate: Array | None, skip: Array) -> Array:
        """Normalised per head, gated, mixed and added."""
        normal = join_heads(rms_norm(outputs))
        if gate is not None:
            normal = normal * jax.nn.silu(gate)
        return self.mix(normal) + skip
