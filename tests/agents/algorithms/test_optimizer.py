"""The factor on the learning rate of memories, on a learning stage of one minibatch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from agents.algorithms.optimizer import adam
from agents.experience.normalize import split_trainable
from tests.agents.algorithms.test_ratio_one import make_agent, second_rollout


def parts_of(params):
    """Leaves of each part of an actor-critic with two memories."""
    return {
        "policy head": jax.tree.leaves(params.policy_head),
        "value head": jax.tree.leaves(params.value_head),
        "actor's encoder": jax.tree.leaves(params.actor.encoder),
        "critic's encoder": jax.tree.leaves(params.critic.encoder),
        "actor's memory": jax.tree.leaves(params.actor.memory),
        "critic's memory": jax.tree.leaves(params.critic.memory),
    }


def changes_of(case, factor):
    """What one minibatch changes of each part, at this factor."""
    agent = dataclasses.replace(case.agent, memory_learning_rate=factor)

    @jax.jit
    def learn(params, batch, memory_states):
        state = agent.optimizer.init(split_trainable(params)[0])
        key = jax.random.key(1)
        after = agent.learn(params, state, batch, memory_states, key)[0]
        return jax.tree.map(jnp.subtract, after, params)

    return parts_of(learn(case.params, case.batch, case.rollout.memory_states))


def test_the_factor_scales_what_changes_in_memories_and_nothing_else():
    case = second_rollout(
        make_agent(num_epochs=1, num_minibatches=1, head_size=4, separate_memories=True)
    )
    full, tenth, none = (changes_of(case, factor) for factor in (1.0, 0.1, 0.0))
    for name, leaves in full.items():
        for one, slow, still in zip(leaves, tenth[name], none[name], strict=True):
            assert np.asarray(one).any()
            if name.endswith("memory"):
                # Differences of float32 numbers near 1.
                np.testing.assert_allclose(slow, 0.1 * one, rtol=0, atol=2e-7)
                np.testing.assert_array_equal(still, 0)
            else:
                np.testing.assert_array_equal(slow, one)
                np.testing.assert_array_equal(still, one)


def trainable_of(agent):
    """Weights of its network, all 1."""
    shapes = jax.eval_shape(agent.init, jax.random.key(0)).params
    weights = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), shapes)
    return split_trainable(weights)[0]


def test_at_factor_one_program_and_state_are_those_without_it():
    agent = make_agent(anneal_learning_rate=False)
    weights = trainable_of(agent)
    adam_alone = optax.adam(1e-3, eps=agent.adam_epsilon)
    plain = optax.chain(optax.clip_by_global_norm(0.5), adam_alone)
    state = jax.eval_shape(plain.init, weights)
    same = jax.eval_shape(agent.optimizer.init, weights)
    assert jax.tree.structure(same) == jax.tree.structure(state)

    def program(optimizer):
        with jax.numpy_dtype_promotion("standard"):
            return str(jax.make_jaxpr(optimizer.update)(weights, state, weights))

    assert program(agent.optimizer) == program(plain)


def test_memories_are_annealed_like_everything_else():
    weights = trainable_of(make_agent(separate_memories=True))
    optimizer = adam(
        1.0, max_gradient_norm=1.0, annealed_over=2, memory_learning_rate=0.5
    )
    state, found = jax.jit(optimizer.init)(weights), []
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(optimizer.update)
        for _ in range(3):
            changes, state = update(weights, state, weights)
            parts = parts_of(changes)
            found.append([parts[n][0].min() for n in ("value head", "critic's memory")])
    np.testing.assert_allclose(found, [[-1, -0.5], [-0.5, -0.25], [0, 0]], rtol=1e-2)


def test_after_a_long_quiet_a_gradient_moves_no_weight_far():
    """Adam divides by what gradients were: nearly nothing, once a policy is certain."""

    def largest_step(epsilon):
        optimizer = adam(
            1e-3, max_gradient_norm=0.5, annealed_over=None, epsilon=epsilon
        )
        weights = jnp.zeros(10_000)
        state = optimizer.init(weights)
        quiet, loud = jnp.full_like(weights, 3e-8), jnp.full_like(weights, 1e-3)

        def step(state, _):
            return optimizer.update(quiet, state)[1], None

        with jax.numpy_dtype_promotion("standard"):
            state, _ = jax.lax.scan(step, state, length=2_000)
            return float(jnp.abs(optimizer.update(loud, state)[0]).max())

    assert largest_step(1e-7) > 2.5e-3  # two and a half times the learning rate
    assert largest_step(make_agent().adam_epsilon) < 1.8e-3
