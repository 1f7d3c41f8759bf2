"""The scalar LSTM of xLSTM: an LSTM with exponential gates and a normaliser."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.heads import join_heads, split_heads
from memory_models.mechanisms.layers import Linear, check_sizes, layer_norm
from memory_models.mechanisms.scans.cell_scan import cell_scan
from memory_models.mechanisms.scans.chunks import LOWEST

Units = Float[Array, "heads units"]
Cell = tuple[Units, Units, Units, Units]
"""c, n, h and m."""


class ScalarLSTM(MemoryModel):
    """sLSTM of xLSTM (Beck et al. 2024), with convolution, norm and skip connection.

        u = x W_u + b_u,   w = layer_norm(x) W_u + b_u             [outputs]
        v = silu(convolution(w))
        [i~, f~] = v W_v + h R + b,   [z~, o~] = w W_z + h R + b
        f = sigmoid(f~),   m' = max(log f + m, i~)
        c' = f exp(m - m') c + exp(i~ - m') tanh(z~)
        n' = f exp(m - m') n + exp(i~ - m')
        h' = sigmoid(o~) c' / n'
        y = layer_norm(h') * scale + u

    c / n is a mean of what was written, weighted by the gates; m keeps the exponentials
    in range, and no gradient flows through it, as nothing depends on it. R mixes units
    of the same head; the last norm is of every head alone. n is at least 1 after any
    input. The first norm is that of the paper's block, which has no W_u; in a stack,
    which normalises x, u and w are the same. W_v and W_z are full, where the authors'
    have blocks like R, and their block has its feed-forward layer in addition (`glu`).

    Attributes:
        encode: W_u and b_u.
        convolve: over w.
        gates: W_v and the biases of i and f.
        values: W_z and the biases of z and o.
        recurrent: R, `[heads, units, 4 * units]`, of i, f, z and o; zero at first.
        scale: `[outputs]`, of the last norm.
    """

    sizing = Sizing(state_unit="num_heads", parameters_unit="num_heads")

    encode: Linear
    convolve: ShortConvolution
    gates: Linear
    values: Linear
    recurrent: Float[Array, "heads units gates"]
    scale: Float[Array, " outputs"]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_heads: int = 4,
        taps: int = 4,
    ):
        """Draw the weights.

        Biases of f fall from 5 to -7 within each head, as 5 - 12 (j / (units - 1))^0.3
        (the authors' for the first block); the others are 0.

        Args:
            input_size: width of the features.
            output_size: width of the output and of each part of the state.
            key: for the weights.
            num_heads: heads, whose units see each other; divides `output_size`.
            taps: inputs that the short convolution sees.

        Raises:
            ValueError: a size below 1, or an `output_size` that is no multiple of
                `num_heads`.
        """
        check_sizes("slstm", num_heads=num_heads, taps=taps)
        if output_size % num_heads:
            raise ValueError(
                f"slstm got output_size={output_size} and num_heads={num_heads}: heads "
                "have output_size // num_heads units, so it must be a multiple."
            )
        keys = jax.random.split(key, 4)
        self.encode = Linear(input_size, output_size, key=keys[0])
        self.convolve = ShortConvolution(output_size, taps, key=keys[1])
        self.values = Linear(output_size, 2 * output_size, key=keys[3])
        dtype = self.encode.weight.dtype
        units = output_size // num_heads
        ramp = np.linspace(0.0, 1.0, units) ** 0.3
        forget = np.tile(5.0 - 12.0 * ramp, num_heads)
        bias = jnp.asarray(np.concatenate([np.zeros(output_size), forget]), dtype)
        self.gates = Linear(output_size, 2 * output_size, key=keys[2], bias=bias)
        self.recurrent = jnp.zeros((num_heads, units, 4 * units), dtype)
        self.scale = jnp.ones(output_size, dtype)

    def initial_state(self) -> tuple[Cell, Tail]:
        """Nothing written, no input convolved."""
        zeros = jnp.zeros(self.recurrent.shape[:2], self.scale.dtype)
        cell = zeros, zeros, zeros, jnp.full_like(zeros, LOWEST)
        return cell, self.convolve.initial_state()

    def __call__(
        self,
        state: tuple[Cell, Tail],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[tuple[Cell, Tail], Float[Array, "time outputs"]]:
        """Project and convolve all inputs at once, then scan the cell."""
        cell, tail = state
        u, normal = self.encode(inputs), self.encode(layer_norm(inputs))
        tail, mixed = self.convolve(tail, normal, starts)
        given = self._given(normal, mixed)
        initial = self.initial_state()[0]
        cell, hidden = cell_scan(self._cell, cell, initial, given, starts)
        return (cell, tail), self._read(hidden, u)

    def step(
        self,
        state: tuple[Cell, Tail],
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[tuple[Cell, Tail], Float[Array, " outputs"]]:
        """The cell alone, without a loop around it."""
        cell, tail = select_state(start, self.initial_state(), state)
        u, normal = self.encode(input), self.encode(layer_norm(input))
        tail, mixed = self.convolve.step(tail, normal, start)
        cell, hidden = self._cell(cell, self._given(normal, mixed))
        return (cell, tail), self._read(hidden, u)

    def _given(self, normal: Array, mixed: Array) -> Array:
        """What the inputs give to i, f, z and o of every head, side by side."""
        heads = self.recurrent.shape[0]
        four = jnp.split(self.gates(jax.nn.silu(mixed)), 2, axis=-1)
        four += jnp.split(self.values(normal), 2, axis=-1)
        return jnp.concatenate([split_heads(part, heads) for part in four], axis=-1)

    def _cell(self, cell: Cell, given: Array) -> tuple[Cell, Units]:
        c, n, h, scale_before = cell
        raw = given + jnp.einsum("hi,hij->hj", h, self.recurrent)
        write, forget, value, out = jnp.split(raw, 4, axis=-1)
        before = jax.nn.log_sigmoid(forget) + jax.lax.stop_gradient(scale_before)
        scale = jax.lax.stop_gradient(jnp.maximum(before, write))
        kept, new = jnp.exp(before - scale), jnp.exp(write - scale)
        c = kept * c + new * jnp.tanh(value)
        n = kept * n + new
        h = jax.nn.sigmoid(out) * c / n
        return (c, n, h, scale), h

    def _read(self, hidden: Array, u: Array) -> Array:
        """Normalised per head, scaled, added."""
        normal = join_heads(layer_norm(hidden))
        return normal * jnp.broadcast_to(self.scale, normal.shape) + u

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Beck et al. 2024, arXiv:2405.04517",
            mechanism="cell scan",
            context=None,
            summary="an LSTM with exponential gates and a normaliser",
            use="where an LSTM works, but must revise what it stored",
        )
