"""How long a trained memory holds: its agents, on horizons longer than in training.

    python -m analysis retention runs/tmaze/ffm-ppo/20261121-120000
    python -m analysis retention RUN --factors 1,2,4,8 --episodes 1000 --seconds 60
    python -m analysis retention RUN --field delay --seed 3

The cue is moved further away by the one parameter of the task that does so and leaves
its spaces as they are (`--field` names another); nothing is trained. Picture and
numbers go into `RUN/analysis/`.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agents.convert import ConfigError
from agents.load import load_plan
from agents.running.trained import restore
from analysis.retention.horizons import find_dial
from analysis.retention.playing import Point, Retention, check_episodes, play_at

__all__ = [
    "Point",
    "Retention",
    "add_arguments",
    "check_episodes",
    "main",
    "play_at",
    "retention",
]

FACTORS = (1, 2, 4, 8, 16, 32, 64, 100)
"""Multiples of the training horizon that are played."""


def retention(
    run: str | Path,
    *,
    factors: Sequence[float] = FACTORS,
    episodes: int | None = None,
    seed: int | None = None,
    field: str | None = None,
    seconds: float = 600.0,
) -> Retention:
    """Play a run's newest policies with the cue further and further away.

    Args:
        run: the folder.
        factors: multiples of the training horizon; 1 is always played.
        episodes: per seed and horizon; None takes the run's own number.
        seed: which of its seeds; None for all.
        field: the task's parameter to turn; None looks for it.
        seconds: after which no more is played.

    Raises:
        ConfigError: no run or no checkpoint there, or no parameter that moves the cue.
    """
    for factor in factors:
        if not 1 <= factor < math.inf:
            raise ConfigError(
                f"factors={factor:g} must be at least 1, and a finite number."
            )
    check_episodes(episodes)
    plan = load_plan(run)
    dial = find_dial(plan.env, field)
    horizons = {math.ceil(dial.horizon * factor) for factor in (1, *factors)}
    return play_at(
        run, restore(run, plan, seed), dial, sorted(horizons), episodes, seconds
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("run", help="folder of the run")
    parser.add_argument(
        "--factors",
        default=",".join(map(str, FACTORS)),
        help="multiples of the training horizon (%(default)s)",
    )
    parser.add_argument("--episodes", type=int, help="per seed and horizon")
    parser.add_argument(
        "--seed", type=int, help="one of the run's seeds; all by default"
    )
    parser.add_argument("--field", help="parameter of the task that moves the cue")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="time to spend (%(default)g)"
    )


def main(arguments: argparse.Namespace) -> None:
    """Play, print a table, and write picture, numbers and events."""
    from analysis.retention.report import tell, write

    found = retention(
        arguments.run,
        factors=_numbers(arguments.factors),
        episodes=arguments.episodes,
        seed=arguments.seed,
        field=arguments.field,
        seconds=arguments.seconds,
    )
    folder = write(found)
    tell(found, Console(markup=False))
    print(f"written to {folder}", flush=True)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise ConfigError(
            f"factors={text} must be numbers with commas between: 1,2,4."
        ) from None
