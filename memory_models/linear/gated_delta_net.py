"""The gated delta network: the delta rule in a state that can also be cleared."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.linear.delta_layer import DeltaLayer, State
from memory_models.mechanisms.layers import check_sizes

LEAST = 1e-2
"""The smallest rate drawn: its logarithm is a parameter."""


class GatedDeltaNetwork(MemoryModel):
    """Gated DeltaNet (Yang et al. 2024).

        a_t = exp(-exp(log_rate) * softplus(x W_a + b_a))           one per head
        S' = a_t S_{t-1},   S_t = S' + k^T beta (v - k S'),   o = q S_t

    `DeltaLayer` has the projections, the short convolution, the norm and the output
    gate around it. Rates are drawn uniformly up to 16 (at least 0.01: the authors'
    may be 0, which has no logarithm), and b_a such that softplus(b_a) is
    log-uniform from 0.001 to 0.1.

    Attributes:
        layer: the delta rule and what is around it.
        log_rate: `[heads]`.
        offset: b_a.
    """

    sizing = Sizing(state="head_size", parameters="head_size")

    layer: DeltaLayer
    log_rate: Float[Array, " heads"]
    offset: Float[Array, " heads"]

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
            negative_eigenvalues: whether beta goes up to 2 instead of 1.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1.
        """
        sizes = {"num_heads": num_heads, "head_size": head_size, "taps": taps}
        check_sizes("gated_delta_net", **sizes, chunk_size=chunk_size)
        layer_key, rate_key, offset_key = jax.random.split(key, 3)
        self.layer = DeltaLayer(
            input_size,
            output_size,
            **sizes,
            gated=True,
            largest_rate=2.0 if negative_eigenvalues else 1.0,
            chunk_size=chunk_size,
            key=layer_key,
        )
        dtype = self.layer.mix.weight.dtype
        rate = jax.random.uniform(rate_key, (num_heads,), dtype, LEAST, 16.0)
        self.log_rate = jnp.log(rate)
        low, high = jnp.log(0.001), jnp.log(0.1)
        uniform = jax.random.uniform(offset_key, (num_heads,), dtype)
        step = jnp.exp(low + (high - low) * uniform)
        self.offset = jnp.log(jnp.expm1(step))

    def initial_state(self) -> State:
        """Nothing written, no input convolved."""
        return self.layer.initial_state()

    def log_decay(
        self, projected: Float[Array, "*time heads"]
    ) -> Float[Array, "*time heads"]:
        """The logarithm of a, from x W_a."""
        offset = jnp.broadcast_to(self.offset, projected.shape)
        rate = jnp.broadcast_to(jnp.exp(self.log_rate), projected.shape)
        return -rate * jax.nn.softplus(projected + offset)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project and convolve all inputs at once, then scan in chunks."""
        return self.layer.sequence(state, inputs, starts, self.log_decay)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One write and one read."""
        return self.layer.step(state, input, start, self.log_decay)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Yang et al. 2024, arXiv:2412.06464",
            mechanism="linear scan",
            context=None,
            summary="the delta rule in a matrix that can also be cleared",
            use="the strongest matrix memory: recall and forgetting",
        )
