"""What crossing between torch and JAX costs: `python -m benchmarks.torch_bridge`.

A GRU of width 128, forward and backward, three ways that take turns: in JAX alone, as a
torch module through the bridge, and as torch.nn.GRU.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import torch

import memory_models
from benchmarks.memory import in_turn
from memory_models.torch_bridge import TorchMemory

WIDTH = 128
SHAPES = ((128, 64), (1, 1))
"""Steps and streams."""


def main() -> None:
    """Print one line per shape."""
    torch.set_num_threads(2)
    model = eqx.filter_jit(memory_models.builder("gru", output_size=WIDTH))(
        WIDTH, key=jax.random.key(0)
    )
    bridge, reference = TorchMemory(model), torch.nn.GRU(WIDTH, WIDTH)
    print("| steps, streams | JAX alone, ms | bridge, ms | added | torch.nn.GRU, ms |")
    print("|---|---|---|---|---|")
    for steps, streams in SHAPES:
        inputs = torch.randn(steps, streams, WIDTH, requires_grad=True)
        starts = torch.zeros(steps, streams, dtype=torch.bool)
        state = bridge.initial_state(streams)
        given = [jnp.asarray(x.detach().numpy()) for x in (state, inputs, starts)]

        @eqx.filter_jit
        def gradient(model, state, inputs, starts):
            def loss(differentiable):
                model, inputs = differentiable
                run = jax.vmap(model, in_axes=(0, 1, 1), out_axes=(0, 1))
                return jnp.square(run(state, inputs, starts)[1]).mean()

            return eqx.filter_grad(loss)((model, inputs))

        def through_bridge(inputs=inputs, starts=starts, state=state):
            bridge(inputs, starts, state)[0].square().mean().backward()

        def through_torch(inputs=inputs):
            reference(inputs)[0].square().mean().backward()

        def alone(given=given, gradient=gradient):
            return gradient(model, *given)

        ours, bridged, torchs = (
            1e3 * seconds
            for seconds in in_turn([alone, through_bridge, through_torch], 5)
        )
        print(
            f"| {steps}, {streams} | {ours:.3g} | {bridged:.3g} | "
            f"{bridged - ours:.2g} | {torchs:.3g} |"
        )


if __name__ == "__main__":
    main()
