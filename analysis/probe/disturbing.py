"""How well a policy does when its memory reads disturbed observations."""

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float

from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from analysis.interval import Interval, of_episodes
from analysis.probe.playing import Player, Steps, View, where_streams
from analysis.probe.recording import hidden_of
from envs.spaces import children, sample

STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the noise, in standard deviations of what was observed; a choice is replaced with
probability `1 - exp(-strength)`."""


class Disturbed(NamedTuple):
    """How it went at one strength of the noise.

    Attributes:
        strength: of it.
        share: of steps at which there was noise on what the memory read.
        score: success or return, as the task's card measures.
    """

    strength: float
    share: float
    score: Interval


class Disturber:
    """Plays episodes in which memory, and memory alone, reads noise.

    At every step the action is chosen on the true observation. The memory that goes on
    to the next step has read a disturbed one in its place, unless a hidden variable can
    be observed at that step (its cue), or, in tasks that tell of none, the episode
    starts with it. Noise on numbers is normal and clipped to the space; whole numbers
    are rounded; choices are replaced by any other or the same, each as likely.
    """

    def __init__(self, plan: Plan, *, episodes: int, limit: int):
        """Prepare for a run; compiling happens at first use."""
        agent, env = plan.agent, plan.evaluation_env
        exploration = plan.config["evaluation"]["exploration"]
        self._measure = env.card.measure

        def choose(params: Any, memory: Any, view: View, extra: Any) -> Any:
            strength, spread, key = extra
            inputs, how = view.inputs, {"key": view.keys, "exploration": exploration}
            action, clean, _ = agent.act(params[0], memory, inputs, **how)
            noisy = disturbed(
                env.observation_space,
                inputs.observation,
                spread,
                strength,
                key=jax.random.fold_in(key, view.time),
            )
            read = agent.act(
                params[0], memory, inputs._replace(observation=noisy), **how
            )[1]
            keep = on_show(hidden_of(env, view.env_state), inputs.start)
            return action, where_streams(keep, clean, read), ~keep & (strength > 0)

        self._player = Player(
            plan,
            choose,
            lambda params, streams: agent.initial_memory(params[0], streams),
            episodes=episodes,
            limit=limit,
        )

    def play(
        self, params: Any, strength: float, spread: Any, *, seed_key: Any
    ) -> tuple[Steps, Any]:
        """Play at one strength: what happened, and the memories at the end.

        Args:
            params: of one seed.
            strength: of the noise.
            spread: of each number observed its standard deviation.
            seed_key: that seed's.
        """
        key = key_for(seed_key, Use.EVALUATION)
        extra = (np.float32(strength), spread, jax.random.fold_in(key, 2))
        return self._player((params,), key=key, extra=extra)

    def __call__(self, params: Any, spread: Any, *, seed_key: Any) -> list[Disturbed]:
        """Play the same episodes at every strength; arguments as of `play`."""
        found = []
        for strength in STRENGTHS:
            steps, _ = self.play(params, strength, spread, seed_key=seed_key)
            share = float(steps.told[steps.playing].mean())
            score = of_episodes(self._measure, steps.measured(self._measure))
            found.append(Disturbed(strength, share, score))
        return found


def on_show(
    hidden: dict[str, tuple[Array, Array]], start: Bool[Array, " streams"]
) -> Bool[Array, " streams"]:
    """Which streams observe a cue: a variable at age 0, or the start without any."""
    if not hidden:
        return start
    ages = [age for _, age in hidden.values()]
    return jnp.stack([age == 0 for age in ages]).any(0)


def disturbed(
    space: gymnasium.Space,
    observation: Any,
    spread: Any,
    strength: Float[Array, ""],
    *,
    key: Any,
) -> Any:
    """Observations with noise.

    Args:
        space: of one observation.
        observation: `[streams, ...]`.
        spread: of each number its standard deviation, without the streams' axis.
        strength: of the noise; 0 leaves everything as it is.
        key: of the noise.
    """
    parts = children(space)
    if parts is not None:
        found = {
            name: disturbed(
                part,
                observation[name],
                spread[name],
                strength,
                key=jax.random.fold_in(key, index),
            )
            for index, (name, part) in enumerate(parts)
        }
        return found if isinstance(space, spaces.Dict) else tuple(found.values())
    if isinstance(space, spaces.Box):
        return _noisy(space, observation, spread, strength, key)
    return _replaced(space, observation, strength, key)


def _noisy(
    space: spaces.Box, x: Array, spread: Array, strength: Array, key: Any
) -> Array:
    wide = x.astype(jnp.float32)
    noise = jax.random.normal(key, x.shape, jnp.float32)
    moved = wide + strength * jnp.asarray(spread)[None] * noise
    low, high = (jnp.asarray(y, jnp.float32)[None] for y in (space.low, space.high))
    moved = jnp.clip(moved, low, high)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        moved = jnp.round(moved)
    return jnp.where(strength > 0, moved.astype(x.dtype), x)


def _replaced(space: gymnasium.Space, x: Array, strength: Array, key: Any) -> Array:
    which, what = jax.random.split(key)
    other = jax.vmap(lambda key: sample(space, key))(jax.random.split(what, len(x)))
    hit = jax.random.uniform(which, x.shape) < 1 - jnp.exp(-strength)
    return jnp.where(hit, other.astype(x.dtype), x)
