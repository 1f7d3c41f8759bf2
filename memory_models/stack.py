"""Stacks: several memories, one on top of the other, in residual blocks."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, State
from memory_models.mechanisms.inspection import part
from memory_models.mechanisms.layers import Linear, layer_norm

BuildLayer = Callable[..., MemoryModel]
"""`(width, *, key) -> model`, from features of that width to outputs of it."""


class FeedForward(eqx.Module):
    """A gated linear unit, `(gelu(x W_1) * (x W_2)) W_3` (Shazeer 2020).

    Attributes:
        into: W_1 and W_2 side by side, each twice as wide as x.
        out: W_3.
    """

    into: Linear
    out: Linear

    def __init__(self, width: int, *, key: PRNGKeyArray):
        """Draw the weights."""
        into_key, out_key = jax.random.split(key)
        self.into = Linear(width, 4 * width, key=into_key)
        self.out = Linear(2 * width, width, key=out_key)

    def __call__(self, x: Float[Array, "*time width"]) -> Float[Array, "*time width"]:
        """Apply to every step alone."""
        gate, value = jax.numpy.split(self.into(x), 2, axis=-1)
        return self.out(jax.nn.gelu(gate) * value)


class Stack(MemoryModel):
    """Memories in pre-norm residual blocks.

        x = inputs W
        x = x + s memory_i(layer_norm(x))           for every layer i
        x = x + s feed_forward_i(layer_norm(x))     where there is one
        outputs = layer_norm(x)

    s is 1 / sqrt(number of branches), so that at the start all of them together weigh
    as much as the inputs, however many there are (Griffin scales its weights so).
    Without it PPO on the T-maze collapsed to walking straight on before it had learned
    to turn. A memory that is a residual block itself (`is_block`) is applied as it is,
    and one with a feed-forward layer of its own gets no other. The state is the tuple
    of the layers' states, and what the last output can see is the sum of what the
    layers can see.

    Attributes:
        encode: W.
        layers: the memories, first to last.
        feed_forward: one per layer, None for none.
    """

    encode: Linear
    layers: tuple[MemoryModel, ...]
    feed_forward: tuple[FeedForward | None, ...]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        build_layers: Sequence[BuildLayer],
        *,
        glu: bool = False,
        key: PRNGKeyArray,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of every layer and of the output.
            build_layers: called once each, in order.
            glu: whether a gated feed-forward layer follows each memory that has none.
            key: for the weights.
        """
        encode_key, layers_key, forward_key = jax.random.split(key, 3)
        count = len(build_layers)
        self.encode = Linear(input_size, output_size, key=encode_key)
        self.layers = tuple(
            build(output_size, key=layer_key)
            for build, layer_key in zip(
                build_layers, jax.random.split(layers_key, count), strict=True
            )
        )
        self.feed_forward = tuple(
            FeedForward(output_size, key=key)
            if glu and not layer.feeds_forward
            else None
            for layer, key in zip(
                self.layers, jax.random.split(forward_key, count), strict=True
            )
        )

    def initial_state(self) -> State:
        """The layers' initial states."""
        return tuple(layer.initial_state() for layer in self.layers)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Each layer reads the whole sequence before the next one does."""
        return self._through("__call__", state, inputs, starts)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of every layer."""
        return self._through("step", state, input, start)

    def _through(self, method: str, state, inputs, starts):
        x = self.encode(inputs)
        scale = self._branches**-0.5
        after = []
        for index, layer in enumerate(self.layers):
            entering = x if layer.is_block else layer_norm(x)
            with part(f"layer_{index}"):
                new, y = getattr(layer, method)(state[index], entering, starts)
            after.append(new)
            x = y if layer.is_block else x + scale * y
            feed_forward = self.feed_forward[index]
            if feed_forward is not None:
                x = x + scale * feed_forward(layer_norm(x))
        return tuple(after), layer_norm(x)

    @property
    def _branches(self) -> int:
        """How many terms are added to x; at least 1."""
        memories = sum(not layer.is_block for layer in self.layers)
        return max(1, memories + sum(f is not None for f in self.feed_forward))

    @property
    def card(self) -> Card:
        """The layers' papers and the sum of their contexts."""
        cards = [layer.card for layer in self.layers]
        contexts = [card.context for card in cards]
        stops = [c.gradient_stops for c in cards if c.gradient_stops != "nowhere"]
        options = [c.context_option for c in cards if c.context_option]
        unlimited = any(context is None for context in contexts)
        return Card(
            paper="; ".join(dict.fromkeys(card.paper for card in cards)),
            mechanism=cards[0].mechanism,
            context=None if unlimited else sum(c for c in contexts if c is not None),
            gradient_stops="; ".join(dict.fromkeys(stops)) or "nowhere",
            context_option=options[0] if options and not unlimited else None,
            summary=" over ".join(card.summary for card in reversed(cards)),
            use=cards[0].use,
        )
