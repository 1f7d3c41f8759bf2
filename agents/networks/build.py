"""Building an actor-critic for a task, a memory and an agent's settings."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from agents.experience.normalize import Statistics
from agents.keys import Use, key_for
from agents.networks.actor_critic import ActorCritic
from agents.networks.decoder import Decoder
from agents.networks.distributions import PolicySpec
from agents.networks.encoder import Encoder, Static
from agents.networks.hidden import HiddenEncoder
from agents.networks.torso import Head, Torso


def build_actor_critic(
    agent: Any, policy: PolicySpec, *, key: PRNGKeyArray
) -> ActorCritic:
    """Build an actor-critic; every part draws weights of its own.

    The policy head starts near zero (gain 0.01), so that the first policy is nearly
    uniform.

    Args:
        agent: an `Agent` with the settings of an actor-critic, as `PPO` has them.
        policy: how head outputs become actions.
        key: source of all weights.
    """
    space = agent.env.observation_space

    def torso(key: PRNGKeyArray) -> Torso:
        encoder_key, memory_key = jax.random.split(key)
        encoder = Encoder(
            space,
            policy,
            size=agent.encoder_size,
            raw_keys=agent.raw_keys,
            previous_action=agent.sees_previous_action,
            previous_reward=agent.previous_reward,
            key=encoder_key,
        )
        return Torso(encoder, agent.memory, key=memory_key)

    actor = torso(key_for(key, Use.ACTOR))
    width, size = actor.width(), agent.head_size
    hidden, hidden_width = None, 0
    if agent.critic_sees_hidden:
        hidden_key, hidden_width = key_for(key, Use.HIDDEN_ENCODER), agent.encoder_size
        hidden = HiddenEncoder(agent.env, hidden_width, key=hidden_key)
    decoder = None
    if agent.reconstruction_weight:
        decoder = Decoder(Static(space), width, key=key_for(key, Use.DECODER))
    policy_key, value_key = (
        key_for(key, use) for use in (Use.POLICY_HEAD, Use.VALUE_HEAD)
    )
    gaussian = policy.outputs if policy.kind == "gaussian" else 0
    dtype = jax.dtypes.canonicalize_dtype(float)
    return ActorCritic(
        actor=actor,
        critic=torso(key_for(key, Use.CRITIC)) if agent.separate_memories else None,
        policy_head=Head(width, size, policy.outputs, gain=0.01, key=policy_key),
        value_head=Head(width + hidden_width, size, 1, gain=1.0, key=value_key),
        log_std=jnp.full(gaussian, agent.initial_log_std, dtype),
        policy=policy,
        hidden_encoder=hidden,
        decoder=decoder,
        statistics=Statistics.unseen(
            space,
            observation=agent.normalize_observation,
            reward=agent.normalize_reward,
        ),
    )
