"""Film a trained policy: python -m agents.video runs/<task>/<memory>-<agent>/<run>.

Writes an animated GIF of whole episodes. Every frame shows the state in which an
action is chosen, and below it the step, the task's phase, the agent's choice (marked
where the task says that this choice uses the memory) and what it earned.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from agents.base import Agent
from agents.convert import ConfigError, convert
from agents.keys import Use, key_for
from agents.load import Policy, load
from envs import HostError, HostTask
from envs.film import caption, save
from envs.host import spread_seeds
from envs.words import Parser

FILM = 3
"""Use of the seeds of numpy environments."""


def record(
    policy: Policy,
    path: Path,
    *,
    seed: int = 0,
    episodes: int = 3,
    max_steps: int = 500,
    milliseconds: int = 250,
) -> list[float]:
    """Write a GIF of whole episodes, and return their returns.

    Args:
        policy: from `agents.load`; it acts as it does everywhere.
        path: of the file to write.
        seed: of the episodes, apart from those of training.
        episodes: how many.
        max_steps: after which an episode is cut in the film.
        milliseconds: per frame; the last one of an episode stays four times as long.

    Raises:
        ValueError: the task cannot be rendered.
    """
    env = policy.agent.env
    key = key_for(jax.random.key(seed), Use.FILM)
    if isinstance(env, HostTask):
        seeds = spread_seeds(FILM, seed, 0, episodes)
        films = host_films(policy, env, seeds, max_steps)
    elif env.render is not None:
        keys = (jax.random.fold_in(key, episode) for episode in range(episodes))
        films = (_play(policy, key, max_steps) for key in keys)
    else:
        raise ValueError(
            f"{type(env).__name__} has no render(state), so there is nothing to film; "
            "see docs/adding_an_environment.md."
        )
    played = list(films)
    save(path, [film for film, _ in played], milliseconds)
    return [total for _, total in played]


def _play(policy: Policy, key: jax.Array, max_steps: int) -> tuple[list[Any], float]:
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
) -> Iterator[tuple[list[Any], float]]:
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


def _play_host(
    policy: Policy, env: Any, seed: int, max_steps: int
) -> tuple[list[Any], float]:
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


def _count(text: str) -> int:
    """A whole number, 1 or more."""
    number = convert(text, int, "--episodes")
    if number < 1:
        raise ConfigError(f"--episodes={number} must be at least 1.")
    return number


def main() -> None:
    """Read the command line, film, say where the film is."""
    parser = Parser(
        prog="python -m agents.video",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--seed", help="which seed of a group")
    parser.add_argument("--episodes", default="3")
    parser.add_argument("--out", type=Path, help="default: video.gif in the run")
    arguments = parser.parse_args()
    path = arguments.out or Path(arguments.run) / "video.gif"
    try:
        episodes = _count(arguments.episodes)
        seed = convert(arguments.seed, int | None, "--seed")
        if path.suffix.lower() != ".gif":
            raise ConfigError(f"--out={path} must end in .gif, for an animated GIF.")
        if not path.parent.is_dir() and arguments.out:
            raise ConfigError(f"--out={path}: there is no folder {path.parent}.")
        policy = load(arguments.run, seed=seed)
        returns = record(policy, path, episodes=episodes)
    except (ConfigError, ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{path}: returns {', '.join(f'{x:.2f}' for x in returns)}")


if __name__ == "__main__":
    main()
