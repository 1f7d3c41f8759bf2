"""Programs of models, lowered for a device that need not be there."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp

import memory_models

SIZE, STREAMS = 8, 3


def gradient_program(name: str, platform: str, time: int = 256) -> str:
    """StableHLO of the gradient of a model over a sequence, for 'cpu' or 'cuda'."""
    columns = {"place": (0, SIZE // 2), "cue": (SIZE // 2, SIZE)}
    model = memory_models.builder(name, output_size=SIZE)(
        SIZE, key=jax.random.key(0), columns=columns
    )
    arrays, static = eqx.partition(model, eqx.is_array)
    state = jax.tree.map(
        lambda x: jnp.broadcast_to(x[None], (STREAMS, *x.shape)), model.initial_state()
    )

    def loss(arrays, state, inputs, starts):
        model = eqx.combine(arrays, static)
        return jnp.square(jax.vmap(model)(state, inputs, starts)[1]).sum()

    inputs = jnp.zeros((STREAMS, time, SIZE)), jnp.zeros((STREAMS, time), bool)
    traced = jax.jit(jax.grad(loss)).trace(arrays, state, *inputs)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def stores(program: str) -> int:
    """How many arrays its loops write to, one kernel each per round."""
    return len(re.findall(r"call @dynamic_update_index_in_dim", program))


def loops(program: str) -> int:
    """How many loops it has."""
    return len(re.findall(r"stablehlo\.while", program))
