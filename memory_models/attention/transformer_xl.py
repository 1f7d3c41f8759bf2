"""Transformer-XL: relative attention over what earlier steps fed to the layer."""

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import FeedForward, encoded, encoder
from memory_models.attention.relative import RelativeAttention, check_window
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import Ring


class TransformerXL(MemoryModel):
    """One layer of Transformer-XL (Dai et al. 2019).

        x = layer_norm(inputs W_e + b_e)
        h = layer_norm(x + relative_attention(x of the last `window` steps))
        outputs = layer_norm(h + feed_forward(h))

    `RelativeAttention` has its equations. The norms come after the sublayers, as in the
    paper, without learned scale or offset, and the feed-forward layer has relu. The
    features are encoded and normalised first, in the place of the paper's embeddings.

    The paper caches a fixed number of earlier steps per segment, so a step sees more or
    less of the past by its place in the segment, and stops gradients at the cache. Here
    every step sees the same window, and gradients stop where a sequence begins, because
    its entering state is a constant of the trainer.

    Attributes:
        encode: W_e, b_e.
        attention: the first sublayer.
        feed_forward: the second sublayer.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="window")

    encode: Linear | None
    attention: RelativeAttention
    feed_forward: FeedForward

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        window: int = 64,
        num_heads: int = 4,
        head_size: int = 32,
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the layer and of the output.
            key: for the weights.
            window: how many steps each step sees, itself included.
            num_heads: attention heads.
            head_size: width of each.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: a window below 2, or another size below 1.
        """
        check_window(
            "transformer_xl",
            window,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
        )
        keys = jax.random.split(key, 3)
        self.encode = encoder(input_size, output_size, key=keys[0])
        self.attention = RelativeAttention(
            output_size, num_heads, head_size, window, key=keys[1]
        )
        self.feed_forward = FeedForward(
            output_size, expansion * output_size, key=keys[2], activation=jax.nn.relu
        )

    def initial_state(self) -> Ring:
        """No past step: zeros in the place of what the layer was fed."""
        return self.attention.initial_state()

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Attend in bands, then the feed-forward layer."""
        x = layer_norm(encoded(self.encode, inputs))
        state, read = self.attention.sequence(state, x, starts)
        return state, self._finish(x, read)

    def step(
        self,
        state: Ring,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Ring, Float[Array, " outputs"]]:
        """The same for one step, at the price of one."""
        x = layer_norm(encoded(self.encode, input))
        state, read = self.attention.step(state, x, start)
        return state, self._finish(x, read)

    def _finish(self, x: Array, read: Array) -> Array:
        hidden = layer_norm(x + read)
        return layer_norm(hidden + self.feed_forward(hidden))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Dai et al. 2019, arXiv:1901.02860",
            mechanism="ring-cache attention",
            context=self.attention.window - 1,
            context_option="window",
            summary="relative attention over a ring of layer inputs",
            use="windows as long as the state allows: half the floats",
        )
