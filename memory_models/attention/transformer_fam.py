"""TransformerFAM: block sliding-window attention with a feedback memory."""

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import encoded, encoder
from memory_models.attention.tokens import MemoryTokenLayer, check_tokens
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.stores.segment_clock import Clock


class TransformerFeedbackMemory(MemoryModel):
    """One layer of TransformerFAM (Hwang et al. 2024).

        x = inputs W_e + b_e                            (only where the sizes differ)
        outputs = block(x)           sees F, its own block and those before it
        F' = layer_norm(block(F))    after every block, sees F and that block only

    F, the feedback memory, passes through the same weights as the steps do
    (`MemoryTokenLayer`). Without it this is block sliding-window attention: a step sees
    the steps of its block up to itself, and `history_blocks` complete blocks. The paper
    normalises F only where it is read; here it is also normalised where it is written,
    without which it grows with every block and learns ever more slowly. The vectors of
    F are told apart by learned vectors P, in the paper by rotary positions at the end
    of the block. Its first F is a prompt that has passed through the layers; here it is
    learned. As there, every layer of a stack has a feedback memory of its own. Sizes
    are small here (the paper: memory 64, blocks of 1,024, 3 blocks of history).

    Attributes:
        encode: W_e, b_e, or None.
        layer: the block and its feedback memory.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="block_length")

    encode: Linear | None
    layer: MemoryTokenLayer

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        memory_size: int = 8,
        block_length: int = 16,
        history_blocks: int = 2,
        num_heads: int = 4,
        head_size: int = 32,
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the layer, of its memory and of the output.
            key: for the weights.
            memory_size: vectors in the feedback memory; with 0 there is none.
            block_length: steps in a block.
            history_blocks: complete blocks that a step sees besides its own.
            num_heads: attention heads.
            head_size: width of each, even.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: a memory below 0, a block below 2 steps, blocks below 0, another
                size below 1, or an odd head size.
        """
        if memory_size < 0 or block_length < 2 or history_blocks < 0:
            raise ValueError(
                "transformer_fam needs memory_size >= 0, block_length >= 2 and "
                f"history_blocks >= 0; got memory_size={memory_size}, "
                f"block_length={block_length}, history_blocks={history_blocks}."
            )
        check_tokens(
            "transformer_fam",
            memory_size,
            block_length,
            num_heads,
            head_size,
            expansion,
        )
        encode_key, layer_key = jax.random.split(key)
        self.encode = encoder(input_size, output_size, key=encode_key)
        self.layer = MemoryTokenLayer(
            output_size,
            num_tokens=memory_size,
            segment_length=block_length,
            history=history_blocks,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
            key=layer_key,
        )

    def initial_state(self) -> Clock:
        """The learned first feedback memory, no step."""
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
        """One step, and the write where it completes a block."""
        return self.layer.step(state, encoded(self.encode, input), start, None)

    @property
    def card(self) -> Card:
        """What the model is."""
        layer = self.layer
        seen = (layer.history + 1) * layer.segment_length - 1
        return Card(
            paper="Hwang et al. 2024, arXiv:2404.09173",
            mechanism="segment clock",
            context=None if layer.tokens.size else seen,
            summary="a window of blocks, and a memory fed back",
            use="recent steps in detail, older ones in gist",
        )
