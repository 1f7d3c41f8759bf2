"""The real-gated linear recurrent unit: units choose when to decay and to write."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.heads import join_heads, split_heads
from memory_models.mechanisms.layers import Linear, check_sizes
from memory_models.mechanisms.scans.linear_scan import MINIMUM_RATE, diagonal_scan

SHARPNESS = 8.0
"""The paper's c: how far the gate can push the decay."""

State = tuple[Float[Array, " units"], Tail, Bool[Array, ""]]
"""h, the inputs that the convolution still needs, and whether nothing was read yet."""

Blocks = Float[Array, "heads block block"]


class RealGatedLinearRecurrentUnit(MemoryModel):
    """RG-LRU in the recurrent block of Griffin (De et al. 2024).

        u = convolution(x W_u + b_u)                               [units]
        i = sigmoid(u W_i + b_i),   g = sigmoid(u W_g + b_g)
        log a = -8 g (1e-6 + softplus(log_rate))
        h_t = a h_{t-1} + sqrt(1 - a^2) (i * u)
        y = (h * gelu(x W_z + b_z)) W_o + x W_s + b_s              [outputs]

    At the first input of an episode h is i * u, without the factor: nothing was there
    that it would have to make room for. W_i and W_g consist of `num_heads` blocks. The
    1e-6, which the paper does not have, keeps a below 1 whatever rate is learned. The
    paper adds its input where x W_s is added here.

    Attributes:
        project: W_u, W_z, W_s side by side.
        convolve: over u.
        input_gate: W_i, `[heads, block, block]`.
        decay_gate: W_g, likewise.
        gate_bias: b_i and b_g, `[2, units]`.
        log_rate: such that a is 0.9 to 0.999 where g is 1, uniform in a^2, as the paper
            says; its reference code draws a^(1/8) there.
        mix: W_o.
    """

    sizing = Sizing(
        state="units",
        parameters="units",
        state_unit="num_heads",
        parameters_unit="num_heads",
    )

    project: Linear
    convolve: ShortConvolution
    input_gate: Blocks
    decay_gate: Blocks
    gate_bias: Float[Array, "2 units"]
    log_rate: Float[Array, " units"]
    mix: Linear

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        units: int = 128,
        num_heads: int = 4,
        taps: int = 4,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            units: width of the recurrence.
            num_heads: blocks of the gates' weights; `units` is a multiple of it.
            taps: inputs that the short convolution sees.

        Raises:
            ValueError: a size below 1, or `units` no multiple of `num_heads`.
        """
        check_sizes("rg_lru", units=units, num_heads=num_heads, taps=taps)
        if units % num_heads:
            raise ValueError(
                f"rg_lru got units={units} and num_heads={num_heads}: gates read "
                "blocks of units // num_heads, so units must be a multiple of it."
            )
        keys = jax.random.split(key, 6)
        self.project = Linear(input_size, 2 * units + output_size, key=keys[0])
        self.convolve = ShortConvolution(units, taps, key=keys[1])
        block = units // num_heads
        dtype = self.convolve.weight.dtype
        shape = (num_heads, block, block)
        self.input_gate, self.decay_gate = (
            jax.random.normal(keys[index], shape, dtype) * block**-0.5
            for index in (2, 3)
        )
        self.gate_bias = jnp.zeros((2, units), dtype)
        square = jax.random.uniform(keys[4], (units,), dtype, 0.9**2, 0.999**2)
        rate = -0.5 * jnp.log(square) / SHARPNESS
        self.log_rate = jnp.log(jnp.expm1(rate - MINIMUM_RATE))
        self.mix = Linear(units, output_size, key=keys[5], use_bias=False)

    def initial_state(self) -> State:
        """Zeros, no input read."""
        zeros = jnp.zeros_like(self.log_rate)
        return zeros, self.convolve.initial_state(), jnp.ones((), bool)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project, convolve and gate all inputs at once, then scan."""
        hidden, tail, fresh = state
        first = starts.at[0].set(starts[0] | fresh)
        u, gate, skip = self._project(inputs)
        tail, u = self.convolve(tail, u, starts)
        decay, drive = self._dynamics(u, first[:, None])
        initial = jnp.zeros_like(self.log_rate)
        states = diagonal_scan(decay, drive, starts, hidden, initial)
        state = states[-1], tail, jnp.zeros((), bool)
        return state, self.mix(states * gate) + skip

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        hidden, tail, first = select_state(start, self.initial_state(), state)
        u, gate, skip = self._project(input)
        tail, u = self.convolve.step(tail, u, start)
        decay, drive = self._dynamics(u, first[None])
        hidden = decay * hidden + drive
        state = hidden, tail, jnp.zeros((), bool)
        return state, self.mix(hidden * gate) + skip

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple:
        """U before its convolution, the gate and the skip connection."""
        units = self.log_rate.shape[0]
        u, gate, skip = jnp.split(self.project(inputs), [units, 2 * units], axis=-1)
        return u, jax.nn.gelu(gate), skip

    def _dynamics(self, u: Array, first: Array) -> tuple[Array, Array]:
        """A and what drives h."""
        write = jax.nn.sigmoid(self._blocks(u, self.input_gate, self.gate_bias[0]))
        forget = jax.nn.sigmoid(self._blocks(u, self.decay_gate, self.gate_bias[1]))
        rate = SHARPNESS * (MINIMUM_RATE + jax.nn.softplus(self.log_rate))
        log_decay = -forget * jnp.broadcast_to(rate, u.shape)
        # 1 - a^2 without cancellation; where g underflows, its root has a derivative.
        room = jnp.maximum(-jnp.expm1(2 * log_decay), MINIMUM_RATE**2)
        factor = jnp.where(first, jnp.ones_like(room), jnp.sqrt(room))
        return jnp.exp(log_decay), factor * write * u

    def _blocks(self, u: Array, weight: Blocks, bias: Array) -> Array:
        """A product with a block-diagonal matrix."""
        parts = split_heads(u, weight.shape[0])
        out = join_heads(jnp.einsum("...hi,hij->...hj", parts, weight))
        return out + jnp.broadcast_to(bias, out.shape)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="De et al. 2024, arXiv:2402.19427",
            mechanism="linear scan",
            context=None,
            summary="units that gate their own decay and input",
            use="a gated memory that trains in parallel",
        )
