"""Episodes of a policy as films: of each its frames, and its return.

Every frame shows the state in which an action is chosen, and below it the step, the
task's phase, the agent's choice (marked where the task says that this choice uses the
memory) and what it earned.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from gymnasium import spaces
from PIL import Image

from agents.base import Agent
from agents.evaluate.policy import Policy
from agents.keys import Use, key_for
from envs import HostError, HostTask
from envs.film import caption
from envs.host import spread_seeds

Film = tuple[list[Image.Image], float]
"""Frames of an episode, and its return."""

FILM = 3
"""Use of the seeds of numpy environments."""


def films_of(
    policy: Policy, *, seed: int, episodes: int, max_steps: int
) -> Iterator[Film]:
    """Whole episodes, always from the same starts.

    Args:
        policy: it acts as it does everywhere.
        seed: of the episodes, apart from those of training.
        episodes: how many.
        max_steps: after which an episode is cut in the film.

    Raises:
        ValueError: the task cannot be rendered.
    """
    env = policy.agent.env
    if isinstance(env, HostTask):
        seeds = spread_seeds(FILM, seed, 0, episodes)
        return host_films(policy, env, seeds, max_steps)
    check_renders(env)
    key = key_for(jax.random.key(seed), Use.FILM)
    keys = (jax.random.fold_in(key, episode) for episode in range(episodes))
    return (play(policy, key, max_steps) for key in keys)


def check_renders(env: Any) -> None:
    """Refuse a compiled task without pictures.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(env, HostTask) and env.render is None:
        raise ValueError(
            f"{type(env).__name__} has no render(state), so there is nothing to film; "
            "see docs/adding_an_environment.md."
        )


def play(policy: Policy, key: jax.Array, max_steps: int) -> Film:
    """One episode: its frames, and its return."""
    env = policy.agent.env
    reset, step, render = jax.jit(env.reset), jax.jit(env.step), jax.jit(env.render)
    mask_of = jax.jit(env.action_mask) if env.action_mask is not None else None
    observation, state = reset(jax.random.fold_in(key, 0))
    total, earned, start, frames = 0.0, 0.0, True, []
    for time in range(max_steps):
        action = policy(
            jax.tree.map(np.asarray, observation),
            start,
            reward=earned,
            action_mask=None if mask_of is None else mask_of(state),
        )
        picture = render(state)
        observation, state, reward, terminated, truncated, info = step(
            jax.random.fold_in(key, time + 1), state, action
        )
        earned, start = float(reward), False
        total += earned
        phase = env.card.phases[int(info["phase"])] if env.card.phases else ""
        choice = action_name(policy.agent, action)
        if bool(info.get("decision", False)):
            choice += "  <- uses memory"
        lines = [f"step {time + 1}  {phase}", choice, f"earned {earned:+.2f}"]
        frames.append(caption(picture, lines))
        if bool(terminated) or bool(truncated):
            break
    ending = "success" if bool(info.get("success", False)) else "end"
    lines = [f"{ending} after {time + 1} steps", "", f"return {total:.2f}"]
    return [*frames, caption(render(state), lines)], total


def host_films(
    policy: Policy, task: HostTask, seeds: Sequence[int], max_steps: int
) -> Iterator[Film]:
    """Episodes of a numpy environment: of each its frames, and its return.

    Raises:
        ValueError: it gives no pictures.
    """
    asked = task.making().bare()
    modes = asked.metadata.get("render_modes") or []
    asked.close()
    if "rgb_array" not in modes:
        raise ValueError(
            f"{task.id} has no render_mode 'rgb_array' (its render_modes are {modes}), "
            "so there is nothing to film."
        )
    env = task.making(render_mode="rgb_array")()
    try:
        for seed in seeds:
            yield _play_host(policy, env, seed, max_steps)
    except HostError as error:
        raise ValueError(f"{error}.") from error
    finally:
        env.close()


def _play_host(policy: Policy, env: Any, seed: int, max_steps: int) -> Film:
    """One episode of a numpy environment."""
    observation, _ = env.reset(seed=seed)
    total, earned, start, frames = 0.0, 0.0, True, []
    for time in range(max_steps):
        action = policy(observation, start, reward=earned)
        picture = env.render()
        observation, reward, terminated, truncated, _ = env.step(action)
        earned, start = float(reward), False
        total += earned
        choice = action_name(policy.agent, action)
        lines = [f"step {time + 1}", choice, f"earned {earned:+.2f}"]
        frames.append(caption(picture, lines))
        if terminated or truncated:
            break
    lines = [f"end after {len(frames)} steps", "", f"return {total:.2f}"]
    return [*frames, caption(env.render(), lines)], total


def action_name(agent: Agent, action: Any) -> str:
    """What an action is called: the card's name for it, or its value."""
    names = agent.env.card.actions
    space = agent.env.action_space
    if names and isinstance(space, spaces.Discrete):
        return f"action: {names[int(action) - int(space.start)]}"
    return f"action: {np.round(np.asarray(action), 2).tolist()}"
