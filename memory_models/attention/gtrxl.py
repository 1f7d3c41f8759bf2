"""Gated Transformer-XL: a block that starts near the identity."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import FeedForward, encoded, encoder
from memory_models.attention.relative import RelativeAttention, check_window
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import Ring


class Gate(eqx.Module):
    """A GRU between the stream x and what a sublayer made of it, y.

        r = sigmoid(y W_r + x U_r)
        z = sigmoid(y W_z + x U_z - b_g)
        h = tanh(y W_g + (r * x) U_g)
        gate(x, y) = (1 - z) * x + z * h

    Attributes:
        of_sublayer: W_r, W_z, W_g side by side.
        of_stream: U_r, U_z side by side.
        of_reset: U_g.
        bias: b_g; the larger, the nearer to the identity.
    """

    of_sublayer: Linear
    of_stream: Linear
    of_reset: Linear
    bias: Float[Array, " width"]

    def __init__(self, width: int, bias: float, *, key: PRNGKeyArray):
        """Draw the weights."""
        keys = jax.random.split(key, 3)
        self.of_sublayer = Linear(width, 3 * width, key=keys[0], use_bias=False)
        self.of_stream = Linear(width, 2 * width, key=keys[1], use_bias=False)
        self.of_reset = Linear(width, width, key=keys[2], use_bias=False)
        self.bias = jnp.full(width, bias, self.of_reset.weight.dtype)

    def __call__(
        self, x: Float[Array, "*time width"], y: Float[Array, "*time width"]
    ) -> Float[Array, "*time width"]:
        """The stream, partly replaced."""
        reset, update, candidate = jnp.split(self.of_sublayer(y), 3, axis=-1)
        reset_x, update_x = jnp.split(self.of_stream(x), 2, axis=-1)
        bias = jnp.broadcast_to(self.bias, update.shape)
        reset = jax.nn.sigmoid(reset + reset_x)
        update = jax.nn.sigmoid(update + update_x - bias)
        record("update", lambda: update)
        candidate = jnp.tanh(candidate + self.of_reset(reset * x))
        return (1 - update) * x + update * candidate


class GatedTransformerXL(MemoryModel):
    """One layer of GTrXL (Parisotto et al. 2020).

        e = inputs W_e + b_e                            (only where the sizes differ)
        n = layer_norm(e)
        y = gate_1(e, relu(relative_attention(n of the last `window` steps)))
        outputs = gate_2(y, relu(feed_forward(layer_norm(y))))

    `RelativeAttention` and `Gate` have their equations. With b_g = 2 the gates open by
    about an eighth at the start, so the layer begins near the identity and the agent as
    one without memory. The norms are without learned scale or offset; since they act on
    each step alone, the ring keeps n, where the paper keeps e and normalises it at
    every reading. The paper's agents stack 12 layers, which is `num_layers`. Gradients
    stop where a sequence begins, because its entering state is a constant.

    Attributes:
        encode: W_e, b_e, or None.
        attention: the first sublayer.
        feed_forward: the second sublayer, with relu inside.
        gates: one per sublayer.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="window")

    encode: Linear | None
    attention: RelativeAttention
    feed_forward: FeedForward
    gates: tuple[Gate, Gate]

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
        gate_bias: float = 2.0,
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
            gate_bias: b_g at the start; it is trained.

        Raises:
            ValueError: a window below 2, or another size below 1.
        """
        check_window(
            "gtrxl",
            window,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
        )
        keys = jax.random.split(key, 5)
        self.encode = encoder(input_size, output_size, key=keys[0])
        self.attention = RelativeAttention(
            output_size, num_heads, head_size, window, key=keys[1]
        )
        self.feed_forward = FeedForward(
            output_size, expansion * output_size, key=keys[2], activation=jax.nn.relu
        )
        self.gates = (
            Gate(output_size, gate_bias, key=keys[3]),
            Gate(output_size, gate_bias, key=keys[4]),
        )

    def initial_state(self) -> Ring:
        """No past step: zeros in the place of what the attention was fed."""
        return self.attention.initial_state()

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Attend in bands, then the feed-forward layer."""
        x = encoded(self.encode, inputs)
        state, read = self.attention.sequence(state, layer_norm(x), starts)
        return state, self._finish(x, read)

    def step(
        self,
        state: Ring,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Ring, Float[Array, " outputs"]]:
        """The same for one step, at the price of one."""
        x = encoded(self.encode, input)
        state, read = self.attention.step(state, layer_norm(x), start)
        return state, self._finish(x, read)

    def _finish(self, x: Array, read: Array) -> Array:
        first, second = self.gates
        y = first(x, jax.nn.relu(read))
        return second(y, jax.nn.relu(self.feed_forward(layer_norm(y))))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Parisotto et al. 2020, arXiv:1910.06764",
            mechanism="ring-cache attention",
            context=self.attention.window - 1,
            context_option="window",
            summary="Transformer-XL with gates, near the identity at first",
            use="the transformer to try first in RL; stack it",
        )
