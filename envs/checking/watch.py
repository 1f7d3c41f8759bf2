"""The part of `check_env` that plays: many streams of one task, watched closely."""

import dataclasses
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp

from envs.base import Card, Environment, Observation, State, Transition
from envs.spaces import contains, sample
from envs.vector import VectorEnv


class _WatchedState(NamedTuple):
    state: State
    first_state: State


@dataclasses.dataclass(frozen=True)
class _Watched(Environment):
    """`env` with what must hold at every step as its info."""

    env: Environment

    def reset(self, key: Any) -> tuple[Observation, _WatchedState]:
        observation, state = self.env.reset(key)
        return observation, _WatchedState(state, state)

    def next_episode(
        self, key: Any, state: _WatchedState
    ) -> tuple[Observation, _WatchedState]:
        if self.env.next_episode is None:
            return self.reset(key)
        observation, first = self.env.next_episode(key, state.state)
        return observation, _WatchedState(first, first)

    def step(self, key: Any, state: _WatchedState, action: Any) -> Transition:
        observation, after, reward, terminated, truncated, info = self.env.step(
            key, state.state, action
        )
        phase = info.get("phase", jnp.zeros((), jnp.int32))
        watched = {
            "observation": contains(self.env.observation_space, observation),
            "action": contains(self.env.action_space, action),
            "reward": jnp.isfinite(reward),
            "phase": (phase >= 0) & (phase < max(1, len(self.env.card.phases))),
            "moved_on": ~equal(after, state.first_state),
            "extents": extents(observation),
            "success": info.get("success", jnp.zeros((), bool)),
        }
        after = _WatchedState(after, state.first_state)
        return observation, after, reward, terminated, truncated, watched

    @property
    def observation_space(self) -> gymnasium.Space:
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        return self.env.action_space

    @property
    def card(self) -> Card:
        return self.env.card


def extents(observation: Any) -> Any:
    """Smallest and largest number of every leaf; nan where there is one."""
    return jax.tree.map(
        lambda x: jnp.stack([x.min(initial=jnp.inf), x.max(initial=-jnp.inf)]),
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), observation),
    )


def _wider(one: Any, other: Any) -> Any:
    """The extents of two together, of which `other` has streams as its first axis."""
    return jax.tree.map(
        lambda a, b: jnp.stack(
            [jnp.minimum(a[0], b[:, 0].min()), jnp.maximum(a[1], b[:, 1].max())]
        ),
        one,
        other,
    )


def equal(one: Any, other: Any) -> Any:
    """Whether two pytrees of the same structure hold the same values."""
    same = jax.tree.map(lambda a, b: jnp.all(a == b), one, other)
    return jnp.stack([jnp.ones((), bool), *jax.tree.leaves(same)]).all()


class Play(NamedTuple):
    """What the streams' first episodes showed.

    Attributes:
        running: `[streams]`, the first episode has not ended.
        episode_return, length: `[streams]`, of the first episode.
        success: `[streams]`, whether it ended in success.
        truncated: `[streams]`, how it ended.
        returned: `[streams]`, it ended in the very state in which it had started.
        restart: observation and state `[streams, ...]` of the latest start: the one
            after the first episode, or the first.
        restart_key: `[streams]`, the key of that start by the vectoriser's rule.
        start_inside: the first observations lie in their space.
        always: what held at every step, by the names of `_Watched.step`'s info.
        start_extents, extents: smallest and largest number of every leaf of the first
            observations, and of those that steps led to; nan where there was one.
    """

    running: Any
    episode_return: Any
    length: Any
    success: Any
    truncated: Any
    returned: Any
    restart: Any
    restart_key: Any
    start_inside: Any
    always: dict[str, Any]
    start_extents: Any
    extents: Any


def _choose(env: Environment, by_oracle: Any, key: Any, state: Any) -> Any:
    mask = None if env.action_mask is None else env.action_mask(state)
    drawn = sample(env.action_space, key, mask)
    if env.oracle is None:
        return drawn
    best = env.oracle(key, state)
    return jax.tree.map(
        lambda a, b: jnp.where(by_oracle, a.astype(b.dtype), b), best, drawn
    )


def _keys(key: Any, index: Any) -> Any:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def play_streams(env: Environment, streams: int, steps: int, by_oracle: Any, key: Any):
    """Play `steps` steps in `streams` streams; jitted by the caller.

    `by_oracle` is traced: one program plays both ways.
    """
    batch = VectorEnv(_Watched(env), streams)
    reset_key, steps_key = jax.random.split(key)
    observation, state = batch.reset(reset_key)
    inside = jax.vmap(lambda x: contains(env.observation_space, x))(observation)
    nothing = jnp.zeros(streams, bool)
    first = jax.vmap(extents)(observation)
    never = jax.tree.map(lambda x: jnp.asarray([jnp.inf, -jnp.inf], x.dtype), first)
    play = Play(
        running=~nothing,
        episode_return=state.episode_return,
        length=state.episode_length,
        success=nothing,
        truncated=nothing,
        returned=nothing,
        restart=(observation, state.env_state.state),
        restart_key=_keys(reset_key, state.index),
        start_inside=inside.all(),
        always={
            name: jnp.ones((), bool)
            for name in ("observation", "action", "reward", "phase")
        },
        start_extents=_wider(never, first),
        extents=never,
    )

    def body(carry: Any, step_key: Any) -> Any:
        state, play = carry
        step_key, action_key = jax.random.split(step_key)
        keys = jax.random.split(action_key, streams)
        actions = jax.vmap(lambda k, s: _choose(env, by_oracle, k, s))(
            keys, state.env_state.state
        )
        state, step = batch.step(step_key, state, actions)
        ends = play.running & step.ended

        def at_end(new: Any, old: Any) -> Any:
            return jnp.where(ends.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        always = {
            name: held & step.info[name].all() for name, held in play.always.items()
        }
        play = Play(
            running=play.running & ~step.ended,
            episode_return=at_end(step.episode_return, play.episode_return),
            length=at_end(step.episode_length, play.length),
            success=at_end(step.info["success"], play.success),
            truncated=at_end(step.truncated, play.truncated),
            returned=at_end(~step.info["moved_on"], play.returned),
            restart=jax.tree.map(
                at_end, (step.observation, state.env_state.state), play.restart
            ),
            restart_key=at_end(
                _keys(jax.random.split(step_key)[1], state.index), play.restart_key
            ),
            start_inside=play.start_inside,
            always=always,
            start_extents=play.start_extents,
            extents=_wider(play.extents, step.info["extents"]),
        )
        return (state, play), None

    return jax.lax.scan(body, (state, play), jax.random.split(steps_key, steps))[0][1]
