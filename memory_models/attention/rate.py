"""RATE: memory tokens that a valve protects from being overwritten."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import encoded, encoder
from memory_models.attention.tokens import Memory, MemoryTokenLayer, check_tokens
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.heads import head_parts, join_heads, split_heads
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.segment_clock import Clock


class RetentionValve(eqx.Module):
    """What is kept of the tokens M when a segment has made new ones, N.

        n = relu(N)
        keep(M, N) = attention(queries M W_q + b_q, keys n W_k + b_k,
                               values n W_v + b_v) W_o + b_o

    Every old token chooses among all new ones. With `residual` the result is
    layer_norm(M + attention), so that a token can also stay as it was. The relu is that
    of the authors' code; the paper does not have it.

    Attributes:
        query: W_q, b_q.
        key_value: W_k, W_v side by side, with their biases.
        out: W_o, b_o.
        num_heads: how many heads.
        residual: whether the old tokens are added.
    """

    query: Linear
    key_value: Linear
    out: Linear
    num_heads: int = eqx.field(static=True)
    residual: bool = eqx.field(static=True)

    def __init__(
        self, width: int, num_heads: int, residual: bool, *, key: PRNGKeyArray
    ):
        """Draw the weights."""
        keys = jax.random.split(key, 3)
        self.query = Linear(width, width, key=keys[0])
        self.key_value = Linear(width, 2 * width, key=keys[1])
        self.out = Linear(width, width, key=keys[2])
        self.num_heads, self.residual = num_heads, residual

    def __call__(self, memory: Memory, written: Memory) -> Memory:
        """The tokens of the next segment."""
        query = split_heads(self.query(memory), self.num_heads)
        keys, values = head_parts(
            self.key_value(jax.nn.relu(written)), 2, self.num_heads
        )
        scale = query.shape[-1] ** -0.5
        weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", query * scale, keys))
        read = self.out(join_heads(jnp.einsum("hqk,khd->qhd", weights, values)))
        return layer_norm(memory + read) if self.residual else read


class RecurrentActionTransformer(MemoryModel):
    """One layer of RATE (Cherepanov et al. 2023): RMT with a memory retention valve.

        x = inputs W_e + b_e                            (only where the sizes differ)
        outputs = block(x)    sees M, its own segment and cached ones
        M' = keep(M, layer_norm(block(M)))    after every `segment_length` steps

    `MemoryTokenLayer` and `RetentionValve` have the equations. The paper conditions on
    returns and actions of recorded episodes; here the features are all there is. Its
    code detaches tokens between segments, starts all of them from one vector, which
    only positions (here P) tell apart, passes them through a stack of layers, and has
    relative positions and norms after each sublayer. Here gradients flow through the
    writes of a sequence, every token starts from its own vector, with `num_layers`
    every layer has tokens of its own, positions are rotary and norms come first.

    Attributes:
        encode: W_e, b_e, or None.
        layer: the block and its tokens.
        valve: what is kept of them.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="segment_length", parameters_unit="valve_heads")

    encode: Linear | None
    layer: MemoryTokenLayer
    valve: RetentionValve

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_tokens: int = 8,
        segment_length: int = 32,
        cached_segments: int = 0,
        num_heads: int = 4,
        head_size: int = 32,
        valve_heads: int = 2,
        valve_residual: bool = False,
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the block, of its tokens and of the output.
            key: for the weights.
            num_tokens: memory tokens.
            segment_length: steps between two writes.
            cached_segments: complete segments that a step sees besides its own.
            num_heads: attention heads.
            head_size: width of each, even.
            valve_heads: heads of the valve; they divide `output_size`.
            valve_residual: whether the valve adds the old tokens.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: no token, a segment below 2 steps, another size below 1, an odd
                head size, or valve heads that do not divide the width.
        """
        check_tokens(
            "rate", num_tokens, segment_length, num_heads, head_size, expansion
        )
        fits = valve_heads >= 1 and output_size % valve_heads == 0
        if num_tokens < 1 or cached_segments < 0 or not fits:
            raise ValueError(
                "rate needs num_tokens >= 1 (its valve attends to them), "
                "cached_segments >= 0 and valve_heads that divide output_size; got "
                f"num_tokens={num_tokens}, cached_segments={cached_segments}, "
                f"valve_heads={valve_heads}, output_size={output_size}."
            )
        encode_key, layer_key, valve_key = jax.random.split(key, 3)
        self.encode = encoder(input_size, output_size, key=encode_key)
        self.layer = MemoryTokenLayer(
            output_size,
            num_tokens=num_tokens,
            segment_length=segment_length,
            history=cached_segments,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
            key=layer_key,
        )
        self.valve = RetentionValve(
            output_size, valve_heads, valve_residual, key=valve_key
        )

    def initial_state(self) -> Clock:
        """The learned first tokens, no step."""
        return self.layer.initial_state()

    def __call__(
        self,
        state: Clock,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Clock, Float[Array, "time outputs"]]:
        """All writes one after another, then all steps at once."""
        x = encoded(self.encode, inputs)
        return self.layer.sequence(state, x, starts, self.valve)

    def step(
        self,
        state: Clock,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Clock, Float[Array, " outputs"]]:
        """One step, and the write where it completes a segment."""
        return self.layer.step(state, encoded(self.encode, input), start, self.valve)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Cherepanov et al. 2023, arXiv:2306.09459",
            mechanism="segment clock",
            context=None,
            summary="memory tokens, kept or rewritten by a valve",
            use="as rmt, where a write should choose what to keep",
        )
