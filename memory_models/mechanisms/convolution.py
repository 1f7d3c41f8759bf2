"""The causal short convolution in front of a recurrence, with the inputs it carries.

Each feature is mixed with its own last few values: `y_t = sum_j weight_j * x_{t-j}`.
The last `taps - 1` inputs are the state; zeros stand for inputs before the episode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import select_state
from memory_models.mechanisms.recent import by_age

Tail = Float[Array, "past channels"]
"""The inputs that later outputs still need, oldest first."""


class ShortConvolution(eqx.Module):
    """`y_t = bias + sum_j weight_j * x_{t-j}`, elementwise, over one episode at a time.

    Attributes:
        weight: `[taps, features]`, the newest input's first.
        bias: `[features]`.
    """

    weight: Float[Array, "taps channels"]
    bias: Float[Array, " channels"]

    def __init__(self, features: int, taps: int, *, key: PRNGKeyArray):
        """Draw weights uniform within `1 / sqrt(taps)`, as the authors of Mamba do."""
        bound = taps**-0.5
        dtype = jax.dtypes.canonicalize_dtype(float)
        self.weight = jax.random.uniform(
            key, (taps, features), dtype, minval=-bound, maxval=bound
        )
        self.bias = jnp.zeros(features, dtype)

    def initial_state(self) -> Tail:
        """No input yet."""
        taps, features = self.weight.shape
        return jnp.zeros((taps - 1, features), self.weight.dtype)

    def __call__(
        self,
        tail: Tail,
        inputs: Float[Array, "time channels"],
        starts: Bool[Array, " time"],
    ) -> tuple[Tail, Float[Array, "time channels"]]:
        """Convolve a sequence; taps that reach into another episode read zero."""
        # Replaced before any product, so that a nan in it reaches no gradient.
        tail = select_state(starts[0], self.initial_state(), tail)
        ages, tail = by_age(tail, inputs, starts)
        terms = [x * w[None] for x, w in zip(ages, self.weight, strict=True)]
        return tail, sum(terms) + self.bias[None]

    def after(
        self,
        tail: Tail,
        inputs: Float[Array, "time channels"],
        starts: Bool[Array, " time"],
    ) -> Tail:
        """The tail alone, where a sequence is convolved in parts."""
        few = min(inputs.shape[0], tail.shape[0])
        if few == 0:
            return tail
        # A start before the last few inputs cuts off the tail, and nothing else.
        tail = select_state(starts.any(), self.initial_state(), tail)
        return self(tail, inputs[-few:], starts[-few:])[0]

    def step(
        self, tail: Tail, input: Float[Array, " channels"], start: Bool[Array, ""]
    ) -> tuple[Tail, Float[Array, " channels"]]:
        """Convolve one input."""
        tail = select_state(start, self.initial_state(), tail)
        tape = jnp.concatenate([tail, input[None]])
        return tape[1:], (tape * self.weight[::-1]).sum(0) + self.bias
