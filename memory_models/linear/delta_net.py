"""The delta network: a matrix in which a new value replaces the old one of its key."""

from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.linear.delta_layer import DeltaLayer, State
from memory_models.mechanisms.layers import check_sizes


class DeltaNetwork(MemoryModel):
    """DeltaNet (Schlag et al. 2021) with the layer of Yang et al. 2024.

        S_t = S_{t-1} + k^T beta (v - k S_{t-1}),   o = q S_t

    What is read at key k moves by a part beta towards v, and what is stored at
    orthogonal keys stays. `DeltaLayer` has the projections, the short convolution and
    the norm around it, without gate and decay.

    With `negative_eigenvalues` beta reaches 2 instead of 1, so that a write can turn
    around what was stored and the state can count modulo 2 (Grazzi et al. 2024).

    Attributes:
        layer: everything.
    """

    sizing = Sizing(state="head_size", parameters="head_size")

    layer: DeltaLayer

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_heads: int = 1,
        head_size: int = 32,
        taps: int = 4,
        negative_eigenvalues: bool = False,
        chunk_size: int = 16,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_heads: heads, each with a matrix of its own.
            head_size: width of a head's queries, keys and values.
            taps: inputs that the short convolution sees.
            negative_eigenvalues: whether beta goes up to 2.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1.
        """
        check_sizes(
            "delta_net",
            num_heads=num_heads,
            head_size=head_size,
            taps=taps,
            chunk_size=chunk_size,
        )
        self.layer = DeltaLayer(
            input_size,
            output_size,
            num_heads=num_heads,
            head_size=head_size,
            taps=taps,
            gated=False,
            largest_rate=2.0 if negative_eigenvalues else 1.0,
            chunk_size=chunk_size,
            key=key,
        )

    def initial_state(self) -> State:
        """Nothing written, no input convolved."""
        return self.layer.initial_state()

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project and convolve all inputs at once, then scan in chunks."""
        return self.layer.sequence(state, inputs, starts)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        return self.layer.step(state, input, start)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Schlag et al. 2021, arXiv:2102.11174; Yang et al. 2024",
            mechanism="linear scan",
            context=None,
            summary="a matrix where a new value replaces its key's old one",
            use="associations that change, exact recall",
        )
