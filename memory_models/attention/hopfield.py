"""A modern Hopfield network over the last steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import encoded, encoder
from memory_models.attention.relative import check_window
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.heads import head_parts, join_heads, masked_softmax
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import (
    Ring,
    bands,
    empty_ring,
    extend,
    first_in_window,
    keep,
    mix,
)


class ModernHopfield(MemoryModel):
    """Retrieval from a continuous Hopfield network (Ramsauer et al. 2021).

        x = inputs W_e + b_e                            (only where the sizes differ)
        xi, K, V = layer_norm(x) W_qkv + b_qkv
        xi <- softmax(beta xi K^T) K                    (num_updates - 1 times)
        outputs = x + (softmax(beta xi K^T) V) W_o + b_o

    The stored patterns K are those of the last `window` steps of the episode; the
    current step asks with xi. One update, as in the authors' layer by default, is
    attention; further ones bring xi nearer to a stored pattern, or, where beta is as
    small as at the start, to the mean of several. beta, the inverse temperature, is
    trained, one per head, and starts at 1 / sqrt(head_size).

    With more than one update the authors iterate until xi moves less than a threshold;
    a fixed number costs the same for every step and has gradients. They normalise
    what is stored and what asks each with a scale of its own; here one norm, without
    scale, comes before both. The sum with x is ours. There are no positions.

    Attributes:
        encode: W_e, b_e, or None.
        project: W_qkv, b_qkv.
        out: W_o, b_o.
        log_beta: one per head.
        window: how many steps are stored, the current one included.
        num_updates: how often the network is updated, the last one for V.
    """

    is_block = True
    sizing = Sizing(state="window")

    encode: Linear | None
    project: Linear
    out: Linear
    log_beta: Float[Array, " heads"]
    window: int = eqx.field(static=True)
    num_updates: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        window: int = 64,
        num_heads: int = 4,
        head_size: int = 32,
        num_updates: int = 1,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the block and of the output.
            key: for the weights.
            window: how many steps are stored, the current one included.
            num_heads: networks side by side.
            head_size: width of their patterns.
            num_updates: how often each is updated; 1 is attention.

        Raises:
            ValueError: a window below 2, or another size below 1.
        """
        check_window(
            "hopfield",
            window,
            num_heads=num_heads,
            head_size=head_size,
            num_updates=num_updates,
        )
        keys = jax.random.split(key, 3)
        width = num_heads * head_size
        self.encode = encoder(input_size, output_size, key=keys[0])
        self.project = Linear(output_size, 3 * width, key=keys[1])
        self.out = Linear(width, output_size, key=keys[2])
        beta = jnp.full(num_heads, head_size**-0.5, self.out.weight.dtype)
        self.log_beta = jnp.log(beta)
        self.window, self.num_updates = window, num_updates

    def initial_state(self) -> Ring:
        """No stored pattern: (K, V) of zeros."""
        weight, heads = self.out.weight, self.log_beta.shape[0]
        zeros = jnp.zeros((heads, weight.shape[0] // heads), weight.dtype)
        return empty_ring(self.window - 1, (zeros, zeros))

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Store all steps, then update the networks of all steps at once."""
        x = encoded(self.encode, inputs)
        heads = self.log_beta.shape[0]
        state_pattern, keys, values = head_parts(self.project(layer_norm(x)), 3, heads)
        tape = extend(state, self.initial_state(), (keys, values), starts)
        cut = bands(tape, self.window)
        stored, values = (cut.keys(part) for part in tape.entries)
        allowed = cut.visible(first_in_window(tape, self.window))[:, None]
        beta = jnp.exp(self.log_beta)[None, None, :, None]

        def association(pattern: Array) -> Array:
            scores = jnp.einsum("nqhd,nkhd->nhqk", pattern * beta, stored)
            return masked_softmax(scores, jnp.broadcast_to(allowed, scores.shape))

        pattern = cut.queries(state_pattern)
        for _ in range(self.num_updates - 1):
            pattern = mix(association(pattern), stored)
        weights = association(pattern)
        record("attention", lambda: cut.dense(weights))
        read = cut.merge(mix(weights, values))
        return keep(tape), x + self.out(join_heads(read))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Ramsauer et al. 2021, arXiv:2008.02217",
            mechanism="ring-cache attention",
            context=self.window - 1,
            context_option="window",
            summary="associative retrieval from the last steps' patterns",
            use="recall by content, from partial or noisy cues",
        )
