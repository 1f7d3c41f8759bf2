"""Linear attention: without its softmax, attention is a matrix that sums."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.heads import join_heads, split_heads
from memory_models.mechanisms.layers import Linear, check_sizes, rms_norm
from memory_models.mechanisms.scans.matrix_scan import matrix_scan, matrix_step

Sums = Float[Array, "heads keys values"]


class LinearAttention(MemoryModel):
    """Linear attention (Katharopoulos et al. 2020), residual and norm included.

        q = elu(x W_q) + 1,  k = elu(x W_k) + 1,  v = x W_v        per head
        S_t = S_{t-1} + k^T [v, 1]                                 [keys, values + 1]
        [n, d] = q S_t,   o = n / (d + 1e-6)
        y = rms_norm(o W_o + x W_s + b)                            [outputs]

    The last column of S is the paper's normaliser z. The paper's block adds its input
    to o W_o; here the widths may differ, so the input goes through W_s. Its norm is by
    layer, with learned scale and offset, and a feed-forward layer follows (`glu`).

    Nothing fades: an output is a weighted mean over the whole episode.

    Attributes:
        project: W_q, W_k, W_v, W_s side by side, the last with b.
        mix: W_o.
        num_heads: heads, each with a matrix of its own.
        chunk_size: steps that are computed at once.
    """

    sizing = Sizing(state="head_size", parameters="head_size")

    project: Linear
    mix: Linear
    num_heads: int = eqx.field(static=True)
    chunk_size: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_heads: int = 2,
        head_size: int = 32,
        chunk_size: int = 32,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_heads: heads, each with a matrix of its own.
            head_size: width of a head's queries, keys and values.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1.
        """
        check_sizes(
            "linear_attention",
            num_heads=num_heads,
            head_size=head_size,
            chunk_size=chunk_size,
        )
        project_key, mix_key = jax.random.split(key)
        inner = num_heads * head_size
        self.project = Linear(input_size, 3 * inner + output_size, key=project_key)
        self.mix = Linear(inner, output_size, key=mix_key, use_bias=False)
        self.num_heads = num_heads
        self.chunk_size = chunk_size

    def initial_state(self) -> Sums:
        """Nothing written."""
        size = self.mix.weight.shape[0] // self.num_heads
        return jnp.zeros((self.num_heads, size, size + 1), self.mix.weight.dtype)

    def __call__(
        self,
        state: Sums,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Sums, Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the sums in chunks."""
        q, k, v, skip = self._project(inputs)
        state, sums = matrix_scan(q, k, v, starts, state, chunk_size=self.chunk_size)
        return state, self._read(sums, skip)

    def step(
        self,
        state: Sums,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Sums, Float[Array, " outputs"]]:
        """One write and one read."""
        q, k, v, skip = self._project(input)
        state = select_state(start, self.initial_state(), state)
        state, sums = matrix_step(q, k, v, state)
        return state, self._read(sums, skip)

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple:
        """q, k, [v, 1] and the skip connection."""
        inner = self.mix.weight.shape[0]
        parts = jnp.split(self.project(inputs), [inner, 2 * inner, 3 * inner], axis=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts[:3])
        v = jnp.concatenate([v, jnp.ones_like(v[..., :1])], axis=-1)
        return _positive(q), _positive(k), v, parts[3]

    def _read(self, sums: Float[Array, "*time heads values"], skip: Array) -> Array:
        """The weighted means, mixed, added and normalised."""
        means = sums[..., :-1] / (sums[..., -1:] + 1e-6)
        return rms_norm(self.mix(join_heads(means)) + skip)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Katharopoulos et al. 2020, arXiv:2006.16236",
            mechanism="linear scan",
            context=None,
            summary="attention without softmax, as a sum that never fades",
            use="recall of what was seen, whenever that was",
        )


def _positive(x: Array) -> Array:
    """`elu(x) + 1`; as a sum it would be 0 below -17 in float32."""
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.minimum(x, 0.0)))
