"""The independently recurrent network: every unit sees only its own past."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, select_state
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.scans.cell_scan import cell_scan


class IndependentlyRecurrentNetwork(MemoryModel):
    """IndRNN (Li et al. 2018).

        h' = relu(x W + b + u * h),   u = tanh(weight)

    The paper bounds |u| by 2^(1/T) for sequences of T steps, clipping it after every
    update. Episodes here have no longest length, so |u| < 1, by a function with a
    gradient everywhere. At the start 1 - u is log-uniform from 1 / max_period to 1,
    so that units forget after 1 to `max_period` steps, and W of a unit is scaled by
    sqrt(1 - u^2), which keeps h at the scale of white input; the paper normalises by
    batch instead. b begins at 2 (1 - u), so that units settle around 2: one that falls
    to 0 has forgotten everything. A second layer (`num_layers`) lets units see each
    other.

    Attributes:
        project: W and b.
        weight: `[hidden]`, see above.
    """

    project: Linear
    weight: Float[Array, " hidden"]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        max_period: int = 1024,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output and of the state.
            key: for the weights.
            max_period: steps after which the slowest units forget, at the start.

        Raises:
            ValueError: a `max_period` below 2.
        """
        if max_period < 2:
            raise ValueError(
                f"ind_rnn got max_period={max_period}; it must be 2 or more, so that "
                "some unit remembers a step."
            )
        project_key, weight_key = jax.random.split(key)
        project = Linear(input_size, output_size, key=project_key)
        dtype = project.weight.dtype
        uniform = jax.random.uniform(weight_key, (output_size,), dtype, 1e-3)
        recurrent = 1 - max_period**-uniform
        self.weight = jnp.arctanh(recurrent)
        scale = jnp.sqrt(1 - jnp.square(recurrent))
        self.project = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            project,
            (project.weight * scale[None], 2 * (1 - recurrent)),
        )

    def initial_state(self) -> Float[Array, " hidden"]:
        """Zeros."""
        return jnp.zeros_like(self.weight)

    def __call__(
        self,
        state: Float[Array, " hidden"],
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Float[Array, " hidden"], Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the units."""
        initial, projected = self.initial_state(), self.project(inputs)
        return cell_scan(self._cell(), state, initial, projected, starts)

    def step(
        self,
        state: Float[Array, " hidden"],
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Float[Array, " hidden"], Float[Array, " outputs"]]:
        """The units alone, without a loop around them."""
        state = select_state(start, self.initial_state(), state)
        return self._cell()(state, self.project(input))

    def _cell(self):
        recurrent = jnp.tanh(self.weight)

        def cell(hidden: Array, projected: Array) -> tuple[Array, Array]:
            hidden = jax.nn.relu(projected + recurrent * hidden)
            return hidden, hidden

        return cell

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Li et al. 2018, arXiv:1803.04831",
            mechanism="cell scan",
            context=None,
            summary="units that see only their own past",
            use="long lags at little cost; stack two or more",
        )
