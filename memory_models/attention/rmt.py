"""Recurrent memory transformer: memory tokens carried from segment to segment."""

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import encoded, encoder
from memory_models.attention.tokens import MemoryTokenLayer, check_tokens
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.stores.segment_clock import Clock


class RecurrentMemoryTransformer(MemoryModel):
    """One layer of RMT (Bulatov et al. 2022), for acting at every step.

        x = inputs W_e + b_e                            (only where the sizes differ)
        outputs = block(x)              sees M and its own segment
        M' = layer_norm(block(M))       after every `segment_length` steps of an episode

    `MemoryTokenLayer` has the equations; its P takes the place of the paper's positions
    of the tokens. In the paper a segment is processed at once, between read tokens and
    write tokens that start as the same vectors; in one layer they stay the same until
    the write, so here they are one set, which a write attends to once. The paper's
    tokens pass through all layers of a stack, and are normalised only where they are
    read; with `num_layers` every layer here has tokens of its own, normalised where
    they are written. Gradients flow through the writes of a sequence to its earlier
    segments.

    Attributes:
        encode: W_e, b_e, or None.
        layer: the block and its tokens.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="segment_length")

    encode: Linear | None
    layer: MemoryTokenLayer

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_tokens: int = 8,
        segment_length: int = 32,
        num_heads: int = 4,
        head_size: int = 32,
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the block, of its tokens and of the output.
            key: for the weights.
            num_tokens: memory tokens; with 0 segments are independent.
            segment_length: steps between two writes.
            num_heads: attention heads.
            head_size: width of each, even.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: fewer than 0 tokens, a segment below 2 steps, another size below
                1, or an odd head size.
        """
        check_tokens("rmt", num_tokens, segment_length, num_heads, head_size, expansion)
        encode_key, layer_key = jax.random.split(key)
        self.encode = encoder(input_size, output_size, key=encode_key)
        self.layer = MemoryTokenLayer(
            output_size,
            num_tokens=num_tokens,
            segment_length=segment_length,
            history=0,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
            key=layer_key,
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
        return self.layer.sequence(state, x, starts, None)

    def step(
        self,
        state: Clock,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Clock, Float[Array, " outputs"]]:
        """One step, and the write where it completes a segment."""
        return self.layer.step(state, encoded(self.encode, input), start, None)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Bulatov et al. 2022, arXiv:2207.06881",
            mechanism="segment clock",
            context=None if self.layer.tokens.size else self.layer.segment_length - 1,
            summary="memory tokens rewritten after every segment",
            use="long episodes whose gist fits a few vectors",
        )
