"""Frame stacking: a window of the last few inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.recent import by_age

Window = tuple[Float[Array, "past features"], Bool[Array, " past"]]


class FrameStack(MemoryModel):
    """The last `frames` inputs, each compressed, then two layers on all of them.

    Every frame is compressed to `output_size // frames` values, as POPGym does (Morad
    et al., ICLR 2023), so that the stack is no larger than another model's
    state. Frames before the start of the episode are zero, and a bit per past frame
    tells them from frames that happen to be zero.

    Attributes:
        compress: applied to each frame.
        first: on all compressed frames (newest first) and the validity bits.
        second: the second layer.
        frames: how many inputs the output sees.
    """

    sizing = Sizing(state="frames")

    compress: Linear
    first: Linear
    second: Linear
    frames: int = eqx.field(static=True)

    def __init__(
        self, input_size: int, output_size: int, *, key: PRNGKeyArray, frames: int = 4
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            frames: how many inputs, the current one included.

        Raises:
            ValueError: fewer than 2 frames, or more than `output_size`.
        """
        if not 2 <= frames <= output_size:
            raise ValueError(
                f"frame_stack got frames={frames} and output_size={output_size}: it "
                "needs at least 2 frames (with 1, use 'none'), and each is compressed "
                "to output_size // frames values, which must not be 0."
            )
        keys = jax.random.split(key, 3)
        width = output_size // frames
        self.compress = Linear(input_size, width, key=keys[0])
        stacked = frames * width + frames - 1
        self.first = Linear(stacked, output_size, key=keys[1])
        self.second = Linear(output_size, output_size, key=keys[2])
        self.frames = frames

    def initial_state(self) -> Window:
        """No past frame, oldest first: zeros, none valid."""
        features, past = self.compress.weight.shape[0], self.frames - 1
        zeros = jnp.zeros((past, features), self.compress.weight.dtype)
        return zeros, jnp.zeros(past, bool)

    def __call__(
        self,
        state: Window,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Window, Float[Array, "time outputs"]]:
        """Slide the window; frames of another segment than the current one are cut."""
        # Replaced before any product, so that a nan in it reaches no gradient.
        kept, valid = select_state(starts[0], self.initial_state(), state)
        read = jnp.ones(starts.shape, bool)
        window = (self.compress(kept), valid), (self.compress(inputs), read)
        ages, _ = by_age(*window, starts)
        _, remaining = by_age((kept, valid), (inputs, read), starts)
        taps = [jnp.where(usable[:, None], frame, 0.0) for frame, usable in ages]
        bits = [usable[:, None].astype(inputs.dtype) for _, usable in ages[1:]]
        hidden = jax.nn.leaky_relu(self.first(jnp.concatenate(taps + bits, axis=-1)))
        return remaining, jax.nn.leaky_relu(self.second(hidden))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Mnih et al. 2015; compression as in POPGym (Morad et al. 2023)",
            mechanism="window",
            context=self.frames - 1,
            context_option="frames",
            summary="the last few inputs, compressed",
            use="the control: is a short window enough?",
        )
