"""Retention: linear attention that forgets, each head at a fixed rate of its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.heads import join_heads, rotate_pairs, split_heads
from memory_models.mechanisms.layers import Linear, check_sizes, layer_norm
from memory_models.mechanisms.scans.matrix_scan import matrix_scan, matrix_step

EPSILON = 1e-3
"""Of the group norm: q and k may be orthogonal, and 1e-5 would then amplify rounding
errors of float32 three hundred times."""

State = tuple[Float[Array, "heads keys values"], UInt[Array, ""]]


class RetentiveNetwork(MemoryModel):
    """Multi-scale retention of RetNet (Sun et al. 2023), with its gate and norm.

        q = rotate(x W_q, t),  k = rotate(x W_k, t) / sqrt(keys),  v = x W_v  per head
        S_t = gamma_h S_{t-1} + k^T v,   gamma_h = 1 - 2^-e_h
        y = (group_norm(q S_t) * silu(x W_g)) W_o + x W_s + b      [outputs]

    e_h goes evenly from `min_exponent` to `max_exponent`. Over heads h the paper has
    5 + h, half-lives of 22 steps and more; by default heads here span 1 to 710 steps,
    because episodes are shorter than documents. The paper adds its input where here
    x W_s is added, and keeps twice as many values as keys; here they are as many. Its
    norm of every head alone has an epsilon of 1e-5 or 1e-6, here 1e-3; its further
    normalisations of the scores, which keep sums small in half precision, are left out.
    All projections have biases here, and none there.

    `rotate` turns pairs of features by an angle that grows with t, at frequencies
    10000^(-2j / keys), so that q and k see how far apart they are. Angles are whole
    numbers of 2^-32 turns: time wraps around without any error, however long the
    episode.

    Attributes:
        project: W_q, W_k, W_v, W_g, W_s side by side, with biases.
        mix: W_o.
        num_heads: heads, each with a matrix of its own.
        chunk_size: steps that are computed at once.
        exponents: e of the first and of the last head.
    """

    sizing = Sizing(state="head_size", parameters="head_size", state_unit=2)

    project: Linear
    mix: Linear
    num_heads: int = eqx.field(static=True)
    chunk_size: int = eqx.field(static=True)
    exponents: tuple[float, float] = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_heads: int = 4,
        head_size: int = 16,
        min_exponent: float = 1.0,
        max_exponent: float = 10.0,
        chunk_size: int = 32,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_heads: heads, each with a matrix and a rate of its own.
            head_size: width of a head's queries, keys and values.
            min_exponent: the first head keeps 1 - 2^-min_exponent per step.
            max_exponent: the last head keeps 1 - 2^-max_exponent per step.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1, an odd `head_size`, or exponents out of order.
        """
        check_sizes(
            "retnet", num_heads=num_heads, head_size=head_size, chunk_size=chunk_size
        )
        if head_size % 2 or not 0 < min_exponent <= max_exponent:
            raise ValueError(
                "retnet needs an even head_size (features are rotated in pairs) and "
                f"0 < min_exponent <= max_exponent; got head_size={head_size}, "
                f"min_exponent={min_exponent}, max_exponent={max_exponent}."
            )
        project_key, mix_key = jax.random.split(key)
        inner = num_heads * head_size
        self.project = Linear(input_size, 4 * inner + output_size, key=project_key)
        self.mix = Linear(inner, output_size, key=mix_key, use_bias=False)
        self.num_heads = num_heads
        self.chunk_size = chunk_size
        self.exponents = (min_exponent, max_exponent)

    def initial_state(self) -> State:
        """Nothing written, at time 0."""
        size = self.mix.weight.shape[0] // self.num_heads
        zeros = jnp.zeros((self.num_heads, size, size), self.mix.weight.dtype)
        return zeros, jnp.zeros((), jnp.uint32)

    def log_decay(self) -> Float[Array, " heads"]:
        """The logarithm of gamma."""
        exponents = np.linspace(*self.exponents, self.num_heads)
        return jnp.asarray(np.log1p(-(2.0**-exponents)), self.mix.weight.dtype)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project and rotate all inputs at once, then scan in chunks."""
        matrices, now = select_state(starts[0], self.initial_state(), state)
        times = _times(now, starts)
        q, k, v, gate, skip = self._project(inputs, times)
        decay = jnp.broadcast_to(self.log_decay()[None], q.shape[:2])
        matrices, outputs = matrix_scan(
            q, k, v, starts, matrices, log_decay=decay, chunk_size=self.chunk_size
        )
        return (matrices, times[-1] + 1), self._read(outputs, gate, skip)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        matrices, now = select_state(start, self.initial_state(), state)
        q, k, v, gate, skip = self._project(input, now)
        matrices, output = matrix_step(q, k, v, matrices, log_decay=self.log_decay())
        return (matrices, now + 1), self._read(output, gate, skip)

    def _project(
        self, inputs: Float[Array, "*time features"], times: UInt[Array, "*time"]
    ) -> tuple:
        """Q and k, rotated, v, the gate and the skip connection."""
        inner = self.mix.weight.shape[0]
        cuts = [inner, 2 * inner, 3 * inner, 4 * inner]
        *parts, gate, skip = jnp.split(self.project(inputs), cuts, axis=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        size = q.shape[-1]
        angle = _angles(times, size, q.dtype)[..., None, :]
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        q, k = rotate_pairs(q, cos, sin), rotate_pairs(k * size**-0.5, cos, sin)
        return q, k, v, gate, skip

    def _read(self, outputs: Array, gate: Array, skip: Array) -> Array:
        """Normalised per head, gated, mixed and added."""
        normal = join_heads(layer_norm(outputs, EPSILON))
        return self.mix(normal * jax.nn.silu(gate)) + skip

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Sun et al. 2023, arXiv:2307.08621",
            mechanism="linear scan",
            context=None,
            summary="linear attention fading at one fixed rate per head",
            use="recall over known time scales",
        )


def _times(now: UInt[Array, ""], starts: Bool[Array, " time"]) -> UInt[Array, " time"]:
    """Steps since the start of the episode; `now` is that of the first input."""
    steps = jnp.arange(starts.shape[0], dtype=jnp.uint32)
    started = jax.lax.cummax(jnp.where(starts, steps, jnp.zeros_like(steps)))
    return jnp.where(jnp.cumsum(starts) > 0, steps - started, steps + now)


def _angles(
    times: UInt[Array, "*time"], size: int, dtype
) -> Float[Array, "*time pairs"]:
    """Angles in radians, from whole numbers of 2^-32 turns, which wrap around."""
    frequencies = 10000.0 ** (-np.arange(0, size, 2) / size)
    turns = np.round(frequencies / (2 * np.pi) * 2.0**32).astype(np.uint32)
    turned = times[..., None] * turns.reshape(*[1] * times.ndim, -1)
    return turned.astype(dtype) * float(2 * np.pi / 2.0**32)
