"""How much what an action was chosen by depends on what was seen before.

The derivative is with respect to what the encoder is given: choices as one-hot vectors,
pixels from 0 to 1, numbers as they are or, where the agent standardises them, in
standard deviations. Observation, previous action and previous reward of a step count
together.

There are two measures. The norm of the derivative says how much a change of the inputs
at a step would matter, whether or not they ever change: a memory that waits for a cue
also waits where none comes. The contribution, the derivative times what is unusual
about the inputs, says how much of the decision is due to them: to first order, by how
much it would differ had the agent seen there what is usual at that step.
"""

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int

from agents.base import Agent, Inputs, Params
from agents.convert import ConfigError
from agents.experience.normalize import Moments
from agents.spaces import flatten_leaf, named_leaves, observation_keys

Seen = dict[str, Array]
"""Floats `[time, batch, ...]` by the name of an observation key or another input."""


class Dependence(NamedTuple):
    """How much each decision depends on the inputs of each step.

    Attributes:
        gradient: the norm of the derivative.
        contribution: the size of the derivative times what is unusual.
    """

    gradient: Float[Any, "moments batch time"]
    contribution: Float[Any, "moments batch time"]


def dependence(
    agent: Agent,
    params: Params,
    inputs: Inputs,
    action: Any,
    moments: Int[Array, "moments batch"],
    usual: Seen,
) -> Dependence:
    """What decisions depend on.

    A decision is what its action was chosen by: log-odds, a value, or for Box actions
    the mean, whose numbers count together.

    Args:
        agent: whose network recomputes the sequence.
        params: of the agent.
        inputs: what it saw, `[time, batch, ...]`, from the first step of episodes on.
        action: what it did, `[time, batch, ...]`.
        moments: the steps that decide; those below 0 have a derivative of 0.
        usual: what is usually seen at each step, `[time, 1, ...]`.

    Raises:
        ConfigError: the agent's network does not tell what it decides by.
    """
    network = agent.network(params)
    needs_decision(network)
    state = agent.initial_memory(params, inputs.start.shape[1])

    def decide(seen: Seen) -> Float[Array, "time batch parts"]:
        return network.decision(state, with_seen(agent, inputs, seen), action)

    seen = seen_in(agent, inputs)
    decided, pull = jax.vjp(decide, seen)
    time, _, parts = decided.shape
    scales = _scales(network, seen)

    def one(number: Int[Array, ""]) -> tuple[Array, Array]:
        chosen = jax.nn.one_hot(moments[number // parts], time, axis=0)
        part = jax.nn.one_hot(number % parts, parts)
        cotangent = chosen[:, :, None] * part[None, None]
        (found,) = pull(cotangent.astype(decided.dtype))
        square = _total({x: jnp.square(found[x] * scales[x]) for x in seen})
        return square, jnp.square(
            _total({x: found[x] * (seen[x] - usual[x]) for x in seen})
        )

    def together(squares: Array) -> Float[Array, "moments batch time"]:
        squares = squares.reshape(-1, parts, *squares.shape[1:]).sum(1)
        return jnp.sqrt(squares).swapaxes(1, 2)

    count = moments.shape[0]
    found = jax.lax.map(one, jnp.arange(count * parts, dtype=jnp.int32))
    return Dependence(*map(together, found))


def _total(values: Seen) -> Float[Array, "time batch"]:
    """The sum over all inputs of a step."""
    sums = [x.reshape(*x.shape[:2], -1).sum(-1) for x in values.values()]
    return sum(sums[1:], sums[0])


def summed(agent: Agent, inputs: Inputs, playing: Bool[Array, "time batch"]) -> Seen:
    """What was seen at each step, `[time, 1, ...]`: the sum over streams that play."""

    def total(x: Array) -> Array:
        flags = playing.reshape(*playing.shape, *[1] * (x.ndim - 2))
        return jnp.where(flags, x, 0.0).sum(1, keepdims=True)

    return jax.tree.map(total, seen_in(agent, inputs))


def needs_decision(network: Any) -> None:
    """Refuse a network of one's own that does not tell what it decides by.

    Raises:
        ConfigError: it does not.
    """
    if not hasattr(network, "decision"):
        raise ConfigError(
            f"{type(network).__name__} has no decision(state, inputs, action), which "
            "tells what actions are chosen by; give it one, as ActorCritic has, to see "
            "what they depend on."
        )


def seen_in(agent: Agent, inputs: Inputs) -> Seen:
    """What the encoder is given of some inputs, as floats that can be changed."""
    space = agent.env.observation_space
    leaves, keys = named_leaves(space, inputs.observation), observation_keys(space)
    seen = {name: _floats(keys[name], leaf) for name, leaf in leaves.items()}
    if inputs.previous_action is not None:
        action_space = agent.env.action_space
        seen["previous_action"] = _floats(action_space, inputs.previous_action)
    if inputs.previous_reward is not None:
        seen["previous_reward"] = inputs.previous_reward
    return seen


def with_seen(agent: Agent, inputs: Inputs, seen: Seen) -> Inputs:
    """The inputs with something else in place of what `seen_in` gives."""
    space = agent.env.observation_space
    rest = iter([seen[name] for name in observation_keys(space)])

    def observation(space: gymnasium.Space, like: Any) -> Any:
        if isinstance(space, spaces.Dict):
            return {k: observation(s, like[k]) for k, s in space.spaces.items()}
        if isinstance(space, spaces.Tuple):
            pairs = zip(space.spaces, like, strict=True)
            return tuple(observation(s, x) for s, x in pairs)
        floats = next(rest)
        return floats * 255 if space.dtype == np.uint8 else floats

    return inputs._replace(
        observation=observation(space, inputs.observation),
        previous_action=seen.get("previous_action"),
        previous_reward=seen.get("previous_reward"),
    )


def _floats(space: gymnasium.Space, leaf: Any) -> Float[Array, "..."]:
    """A leaf as the encoder takes it, in the shape that it takes."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return flatten_leaf(space, leaf)
    floats = leaf.astype(jax.dtypes.canonicalize_dtype(float))
    return floats / 255 if space.dtype == np.uint8 else floats


def _scales(network: Any, seen: Seen) -> dict[str, Any]:
    """How much of each number the encoder's unit is."""
    statistics = getattr(network, "statistics", None)
    moments: dict[str, Moments] = getattr(statistics, "observation", None) or {}
    return {
        name: moments[name].deviation()[None, None] if name in moments else 1.0
        for name in seen
    }
