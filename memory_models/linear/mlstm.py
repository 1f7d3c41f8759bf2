"""The matrix LSTM: linear attention whose writes and decays are exponential gates."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.heads import join_heads, split_heads
from memory_models.mechanisms.layers import Linear, check_sizes, layer_norm
from memory_models.mechanisms.scans.chunks import LOWEST
from memory_models.mechanisms.scans.matrix_scan import (
    Scaled,
    gated_matrix_scan,
    gated_matrix_step,
)

State = tuple[Scaled, Tail]


class MatrixLSTM(MemoryModel):
    """mLSTM of xLSTM (Beck et al. 2024), with the block around it.

        u = x W_u + b_u,  c = silu(convolution(u))
        q = c W_q,  k = c W_k / sqrt(keys),  v = u W_v             per head
        i~ = [q, k, v] W_i + b_i,   log f = log_sigmoid([q, k, v] W_f + b_f)
        C_t = f C_{t-1} + exp(i~) k^T [v, 1]                       [keys, values + 1]
        [n, d] = q C_t,   h = n / max(|d|, 1)
        y = ((layer_norm(h) + skip * c) * silu(x W_z + b_z)) W_o + x W_s + b_s

    C is kept as exp(-m) C, with the paper's running maximum m, and d is compared with
    exp(-m); as there, 1e-6 is added to the larger of the two. The norm is of every head
    alone; its learned scale is left out, as `skip` and W_o can express it. W_q, W_k and
    W_v are full, where the authors' consist of blocks of 4. The paper adds its input
    where x W_s is added here. Its block begins with a layer norm, which a stack has and
    one layer has not: with it three seeds had learned no more in benchmarks.capability
    after 225 steps, and less of two tasks (previous 4: .65 to .78, without it .84 to
    .87; recall 16: .90 to 1.00, without it .99 to 1.00).

    Attributes:
        project: W_u, W_z, W_s side by side.
        convolve: over u.
        query_key: W_q and W_k.
        value: W_v.
        gates: W_i and W_f, zero at first; b_f from 3 (first head) to 6 (last).
        skip: `[inner]`.
        mix: W_o.
        num_heads: heads, each with a matrix of its own.
        chunk_size: steps that are computed at once.
    """

    sizing = Sizing(state="head_size", parameters="head_size")

    project: Linear
    convolve: ShortConvolution
    query_key: Linear
    value: Linear
    gates: Linear
    skip: Float[Array, " inner"]
    mix: Linear
    num_heads: int = eqx.field(static=True)
    chunk_size: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_heads: int = 4,
        head_size: int = 16,
        taps: int = 4,
        chunk_size: int = 32,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_heads: heads, each with a matrix of its own.
            head_size: width of a head's queries, keys and values.
            taps: inputs that the short convolution sees.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1.
        """
        check_sizes(
            "mlstm",
            num_heads=num_heads,
            head_size=head_size,
            taps=taps,
            chunk_size=chunk_size,
        )
        keys = jax.random.split(key, 7)
        inner = num_heads * head_size
        self.project = Linear(input_size, 2 * inner + output_size, key=keys[0])
        self.convolve = ShortConvolution(inner, taps, key=keys[1])
        self.query_key = Linear(inner, 2 * inner, key=keys[2], use_bias=False)
        self.value = Linear(inner, inner, key=keys[3], use_bias=False)
        gates = Linear(3 * inner, 2 * num_heads, key=keys[4])
        dtype = gates.weight.dtype
        write = 0.1 * jax.random.normal(keys[5], (num_heads,), dtype)
        forget = jnp.linspace(3.0, 6.0, num_heads, dtype=dtype)
        self.gates = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            gates,
            (jnp.zeros_like(gates.weight), jnp.concatenate([write, forget])),
        )
        self.skip = jnp.ones(inner, dtype)
        self.mix = Linear(inner, output_size, key=keys[6], use_bias=False)
        self.num_heads = num_heads
        self.chunk_size = chunk_size

    def initial_state(self) -> State:
        """Nothing written, no input convolved."""
        heads, dtype = self.num_heads, self.skip.dtype
        size = self.skip.shape[0] // heads
        matrices = jnp.zeros((heads, size, size + 1), dtype)
        scale = jnp.full(heads, LOWEST, dtype)
        return (matrices, scale), self.convolve.initial_state()

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project and convolve all inputs at once, then scan in chunks."""
        scaled, tail = state
        inner, gate, through = self._project(inputs)
        tail, mixed = self.convolve(tail, inner, starts)
        mixed = jax.nn.silu(mixed)
        q, k, v, write, log_forget = self._heads(inner, mixed)
        scaled, outputs = gated_matrix_scan(
            q,
            k,
            v,
            write,
            starts,
            scaled,
            log_decay=log_forget,
            chunk_size=self.chunk_size,
        )
        return (scaled, tail), self._read(outputs, mixed, gate, through)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        scaled, tail = select_state(start, self.initial_state(), state)
        inner, gate, through = self._project(input)
        tail, mixed = self.convolve.step(tail, inner, start)
        mixed = jax.nn.silu(mixed)
        q, k, v, write, log_forget = self._heads(inner, mixed)
        scaled, outputs = gated_matrix_step(
            q, k, v, write, scaled, log_decay=log_forget
        )
        return (scaled, tail), self._read(outputs, mixed, gate, through)

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple:
        """u, the output gate, and the skip connection of the block."""
        inner = self.skip.shape[0]
        u, gate, through = jnp.split(self.project(inputs), [inner, 2 * inner], axis=-1)
        return u, jax.nn.silu(gate), through

    def _heads(self, inner: Array, mixed: Array) -> tuple:
        """q, k, [v, 1], i~ and log f."""
        q, k = jnp.split(self.query_key(mixed), 2, axis=-1)
        v = self.value(inner)
        gates = self.gates(jnp.concatenate([q, k, v], axis=-1))
        write, forget = jnp.split(gates, 2, axis=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in (q, k, v))
        v = jnp.concatenate([v, jnp.ones_like(v[..., :1])], axis=-1)
        return q, k * k.shape[-1] ** -0.5, v, write, jax.nn.log_sigmoid(forget)

    def _read(self, outputs: tuple, mixed: Array, gate: Array, through: Array) -> Array:
        """Divided, normalised per head, gated, mixed and added."""
        normal = join_heads(layer_norm(weighted_means(*outputs)))
        kept = normal + mixed * jnp.broadcast_to(self.skip, mixed.shape)
        return self.mix(kept * gate) + through

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Beck et al. 2024, arXiv:2405.04517",
            mechanism="linear scan",
            context=None,
            summary="linear attention with exponential gates",
            use="recall where few of many inputs are worth keeping",
        )


def weighted_means(
    sums: Float[Array, "*time heads values"], scale: Float[Array, "*time heads"]
) -> Float[Array, "*time heads size"]:
    """N / max(|d|, 1), from exp(-m) [n, d] and m."""
    # Where exp(-m) would overflow, the quotient is zero anyway.
    least = jnp.exp(jnp.minimum(-scale, 80.0))
    weight = jnp.maximum(jnp.abs(sums[..., -1]), least) + 1e-6
    return sums[..., :-1] / weight[..., None]
