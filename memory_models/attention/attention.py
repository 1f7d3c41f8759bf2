"""Self-attention over a sliding window."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import FeedForward, encoded, encoder
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.heads import head_parts, join_heads
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import (
    POSITIONS,
    Ring,
    empty_ring,
    extend,
    keep,
    windowed_attention,
)


class SlidingWindowAttention(MemoryModel):
    """A transformer block (Vaswani et al. 2017) on the last `window` steps.

        x = inputs W_e + b_e                        (only where the sizes differ)
        q, k, v = layer_norm(x) W_qkv + b_qkv
        a_t = sum_s softmax_s(q_t . k_s / sqrt(head_size)) v_s,   t - window < s <= t
        y = x + a W_o + b_o
        outputs = y + feed_forward(layer_norm(y))

    Only steps of the same episode are seen. Positions enter by rotating q and k
    (RoPE, Su et al. 2021), by a penalty on distance (ALiBi, Press et al. 2021), or not
    at all. The norm comes before each sublayer (Xiong et al. 2020), without learned
    scale or offset; the feed-forward layer has GELU. The block is residual: stacked, it
    is applied as it is. Keys and values of past steps are kept as they were computed.

    Attributes:
        encode: W_e, b_e, or None.
        project: W_qkv, b_qkv.
        out: W_o, b_o.
        feed_forward: the second sublayer.
        num_heads: how many heads.
        window: how many steps each step sees, itself included.
        positions: 'none', 'rope' or 'alibi'.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="window")

    encode: Linear | None
    project: Linear
    out: Linear
    feed_forward: FeedForward
    num_heads: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    positions: str = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        window: int = 64,
        num_heads: int = 4,
        head_size: int = 32,
        positions: str = "rope",
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the block and of the output.
            key: for the weights.
            window: how many steps each step sees, itself included.
            num_heads: attention heads.
            head_size: width of each.
            positions: 'none', 'rope' or 'alibi'.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: a window below 2, another size below 1, unknown positions, or
                'rope' with an odd head size.
        """
        if window < 2 or min(num_heads, head_size, expansion) < 1:
            raise ValueError(
                "attention needs window >= 2 (with 1 it sees no past: use 'none'), and "
                "num_heads, head_size and expansion >= 1; got "
                f"window={window}, num_heads={num_heads}, head_size={head_size}, "
                f"expansion={expansion}."
            )
        if positions not in POSITIONS:
            raise ValueError(
                f"attention got positions={positions!r}; choose one of "
                f"{sorted(POSITIONS)}."
            )
        if positions == "rope" and head_size % 2:
            raise ValueError(
                f"attention rotates pairs of numbers, but head_size={head_size} is "
                "odd; make it even, or choose positions='alibi'."
            )
        keys = jax.random.split(key, 4)
        width = num_heads * head_size
        self.encode = encoder(input_size, output_size, key=keys[0])
        self.project = Linear(output_size, 3 * width, key=keys[1])
        self.out = Linear(width, output_size, key=keys[2])
        self.feed_forward = FeedForward(
            output_size, expansion * output_size, key=keys[3]
        )
        self.num_heads, self.window, self.positions = num_heads, window, positions

    def initial_state(self) -> Ring:
        """No past step: (keys, values) of zeros."""
        weight = self.out.weight
        zeros = jnp.zeros((self.num_heads, weight.shape[0] // self.num_heads))
        zeros = zeros.astype(weight.dtype)
        return empty_ring(self.window - 1, (zeros, zeros))

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Attend in bands, then the feed-forward layer."""
        x = encoded(self.encode, inputs)
        queries, keys, values = head_parts(
            self.project(layer_norm(x)), 3, self.num_heads
        )
        tape = extend(state, self.initial_state(), (keys, values), starts)
        read = windowed_attention(queries, tape, self.window, POSITIONS[self.positions])
        x = x + self.out(join_heads(read))
        return keep(tape), x + self.feed_forward(layer_norm(x))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Vaswani et al. 2017, arXiv:1706.03762; Su et al. 2021, "
            "arXiv:2104.09864",
            mechanism="ring-cache attention",
            context=self.window - 1,
            context_option="window",
            summary="a transformer block on the last steps",
            use="exact recall within a known number of steps",
        )
