"""Heads by default: what a memory found and what is on offer must not merely add up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

import agents
import envs
import memory_models
from agents.networks.build import build_actor_critic


def build(**settings):
    """The network of PPO at its defaults, on the least of tasks."""
    memory = memory_models.builder("none", output_size=2)
    agent = agents.PPO(env=envs.make("ProbeCopyBit-v0"), memory=memory, **settings)
    return build_actor_critic(agent, agent.policy, key=jax.random.key(0))


def matched(head):
    """How often a trained head tells whether two bits are equal: of four cases."""
    bits = jnp.asarray([[-1, -1], [-1, 1], [1, -1], [1, 1]], jnp.float32)
    equal = bits[:, 0] * bits[:, 1]
    optimizer = optax.adam(1e-2)

    def loss(head):
        return jnp.square(head(bits)[:, 0] - equal).mean()

    @eqx.filter_jit
    def step(head, state):
        with jax.numpy_dtype_promotion("standard"):
            changes, state = optimizer.update(eqx.filter_grad(loss)(head), state)
        return eqx.apply_updates(head, changes), state

    state = optimizer.init(eqx.filter(head, eqx.is_array))
    for _ in range(200):
        head, state = step(head, state)
    return float((head(bits)[:, 0] * equal > 0).mean())


@pytest.mark.parametrize("name", ["policy_head", "value_head"])
def test_default_heads_match_what_was_found_with_what_is_on_offer(name):
    assert matched(getattr(build(), name)) == 1.0
    assert matched(getattr(build(head_size=0), name)) < 1.0
