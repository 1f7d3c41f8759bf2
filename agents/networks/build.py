"""Building networks for a task, a memory and an agent's settings."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from agents.experience.normalize import Statistics
from agents.keys import Use, key_for
from agents.networks.action_values import ActionValues
from agents.networks.actor_critic import ActorCritic
from agents.networks.choices import Choices
from agents.networks.decoder import Decoder
from agents.networks.distributions import PolicySpec
from agents.networks.encoder import Encoder, Static
from agents.networks.hidden import HiddenEncoder
from agents.networks.soft_actor_critic import SoftActorCritic
from agents.networks.torso import Head, Torso

FIRST_TEMPERATURE = 0.1
"""Of a soft actor-critic that tunes it."""


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
    actor = build_torso(agent, policy, key=key_for(key, Use.ACTOR))
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
    critic = None
    if agent.separate_memories:
        critic = build_torso(agent, policy, key=key_for(key, Use.CRITIC))
    gaussian = policy.outputs if policy.kind == "gaussian" else 0
    dtype = jax.dtypes.canonicalize_dtype(float)
    return ActorCritic(
        actor=actor,
        critic=critic,
        policy_head=Head(width, size, policy.outputs, gain=0.01, key=policy_key),
        value_head=Head(width + hidden_width, size, 1, gain=1.0, key=value_key),
        log_std=jnp.full(gaussian, agent.initial_log_std, dtype),
        policy=policy,
        hidden_encoder=hidden,
        decoder=decoder,
        statistics=build_statistics(agent),
    )


def build_action_values(
    agent: Any, choices: Choices, *, key: PRNGKeyArray
) -> ActionValues:
    """Build a network that values every action.

    Args:
        agent: an `Agent` with the settings of a value network, as `DQN` has them.
        choices: the actions.
        key: source of all weights.
    """
    policy = PolicySpec(agent.env.action_space)
    torso = build_torso(
        agent, policy, layer_norm=agent.layer_norm, key=key_for(key, Use.ACTOR)
    )
    width, size = torso.width(), agent.head_size
    value_key, advantage_key = (
        key_for(key, use) for use in (Use.VALUE_HEAD, Use.ADVANTAGE_HEAD)
    )
    outputs = 1 if agent.dueling else choices.count
    advantage = None
    if agent.dueling:
        advantage = Head(width, size, choices.count, gain=0.01, key=advantage_key)
    return ActionValues(
        torso=torso,
        value_head=Head(width, size, outputs, gain=0.01, key=value_key),
        advantage_head=advantage,
        statistics=build_statistics(agent),
        choices=choices,
    )


def build_soft_actor_critic(
    agent: Any, policy: PolicySpec, *, key: PRNGKeyArray
) -> SoftActorCritic:
    """Build a policy and two critics of actions; every part draws weights of its own.

    Args:
        agent: an `Agent` with the settings of `SAC`.
        policy: how head outputs become actions.
        key: source of all weights.
    """

    def torso(use: Use) -> Torso:
        return build_torso(
            agent, policy, layer_norm=agent.layer_norm, key=key_for(key, use)
        )

    actor, size = torso(Use.ACTOR), agent.head_size
    width, gaussian = actor.width(), policy.kind == "gaussian"
    choices = None if gaussian else Choices.of(agent.env.action_space, "sac")
    inputs = width + (policy.outputs if gaussian else 0)
    value_keys = (key_for(key, x) for x in (Use.VALUE_HEAD, Use.SECOND_VALUE_HEAD))
    first, second = (
        Head(inputs, size, choices.count if choices else 1, gain=0.01, key=value_key)
        for value_key in value_keys
    )
    outputs = policy.outputs * (2 if gaussian else 1)
    policy_key = key_for(key, Use.POLICY_HEAD)
    dtype = jax.dtypes.canonicalize_dtype(float)
    return SoftActorCritic(
        actor=actor,
        critic=torso(Use.CRITIC) if agent.separate_memories else None,
        policy_head=Head(width, size, outputs, gain=0.01, key=policy_key),
        value_heads=(first, second),
        log_temperature=jnp.asarray(math.log(FIRST_TEMPERATURE), dtype),
        policy=policy,
        statistics=build_statistics(agent),
        choices=choices,
    )


def build_torso(
    agent: Any, policy: PolicySpec, *, layer_norm: bool = False, key: PRNGKeyArray
) -> Torso:
    """An encoder of what an agent sees, and its memory."""
    encoder_key, memory_key = jax.random.split(key)
    encoder = Encoder(
        agent.env.observation_space,
        policy,
        size=agent.encoder_size,
        raw_keys=agent.raw_keys,
        previous_action=agent.sees_previous_action,
        previous_reward=agent.previous_reward,
        layer_norm=layer_norm,
        key=encoder_key,
    )
    return Torso(encoder, agent.memory, key=memory_key)


def build_statistics(agent: Any) -> Statistics:
    """What an agent normalises, before any experience."""
    return Statistics.unseen(
        agent.env.observation_space,
        observation=agent.normalize_observation,
        reward=agent.normalize_reward,
    )
