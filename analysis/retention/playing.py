"""Playing trained agents with the cue further and further away."""

import dataclasses
import math
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from agents.convert import ConfigError
from agents.running.evaluator import Evaluator
from agents.running.jobs.signals import StopRequest
from agents.running.output.plan import memories_of
from agents.running.trained import Trained
from analysis.retention.half_life import HalfLife, half_life, standard_errors
from analysis.retention.horizons import Dial
from analysis.retention.point import Point, measured, why_unknown
from envs.base import Environment

LONGEST = 100_000
"""Steps of an episode beyond which nothing is played."""


@dataclasses.dataclass(frozen=True)
class Retention:
    """How the agents of a run did as the cue moved away.

    Attributes:
        run: the folder.
        task: as chosen on the command line.
        dial: what moved the cue.
        seeds: that were played.
        points: ascending, the training horizon first.
        context: steps that the memory reaches back; None without limit.
        notes: what was left out, and why.
    """

    run: Path
    task: str
    dial: Dial
    seeds: list[int]
    points: list[Point]
    context: int | None
    notes: tuple[str, ...]

    @property
    def half_life(self) -> HalfLife:
        """Over all seeds."""
        return self._half_life(range(len(self.seeds)))

    @property
    def half_lives(self) -> dict[int, HalfLife]:
        """Of every seed, with the interval over its episodes."""
        return {x: self._half_life([index]) for index, x in enumerate(self.seeds)}

    def _half_life(self, seeds: Sequence[int]) -> HalfLife:
        unknown = [i for i, point in enumerate(self.points) if point.kept is None]
        known = self.points[: unknown[0]] if unknown else self.points
        if not known:
            return HalfLife(None, self.points[0].horizon, why_unknown(self.points[0]))
        values = [
            [measured(point.scores[seed], point.card) for seed in seeds]
            for point in known
        ]
        told = np.array(values, np.float64)  # [points, seeds, 3]
        return half_life(
            [point.horizon for point in known],
            told[..., 0],
            standard_errors(told[..., 1], told[..., 2]),
            np.array([point.lines for point in known], np.float64),
        )


def check_episodes(episodes: int | None) -> None:
    """Refuse a number of episodes that no interval can be told of.

    Raises:
        ConfigError: it is less than 2.
    """
    if episodes is not None and episodes < 2:
        raise ConfigError(f"episodes={episodes} must be at least 2, for an interval.")


def play_at(
    run: str | Path,
    trained: Trained,
    dial: Dial,
    horizons: Sequence[int],
    episodes: int | None = None,
    seconds: float = 600.0,
) -> Retention:
    """Play trained policies at some horizons, until the time is spent.

    Args:
        run: the folder that they are from.
        trained: the policies.
        dial: the task's parameter.
        horizons: ascending.
        episodes: per seed and horizon; None takes the run's own number.
        seconds: after which no more is played.
    """
    with StopRequest() as stop:
        timer = threading.Timer(
            seconds, lambda: setattr(stop, "received", signal.SIGALRM.value)
        )
        timer.daemon = True
        timer.start()
        points, notes = _play_all(trained, dial, horizons, episodes, stop)
        timer.cancel()
    notes += [
        f"seed {seed} stopped being finite in training, and was played as it was before"
        for seed in trained.frozen
    ]
    if not points:
        raise ConfigError(f"nothing was played of {run}: {notes[0]}")
    network = eqx.filter_eval_shape(trained.plan.agent.build_network, jax.random.key(0))
    memories = memories_of(network)
    context = memories[0].card.context if memories else 0
    return Retention(
        run=Path(run),
        task=trained.plan.env_name,
        dial=dial,
        seeds=trained.seeds,
        points=points,
        context=context,
        notes=tuple(notes),
    )


def _play_all(
    trained: Trained,
    dial: Dial,
    horizons: Sequence[int],
    episodes: int | None,
    stop: StopRequest,
) -> tuple[list[Point], list[str]]:
    """The agents at every horizon until one cannot be played, and what to note."""
    points: list[Point] = []
    notes: list[str] = []
    for horizon in horizons:
        try:
            point = _play(trained, dial, horizon, episodes, stop)
        except ConfigError as error:
            notes.append(f"stopped before a horizon of {horizon:,}: {error}")
            break
        if point is None:
            spent = stop.received == signal.SIGALRM.value
            why = "the time was spent" if spent else "it was asked to stop"
            notes.append(f"stopped before a horizon of {horizon:,}: {why}.")
            break
        if point.together.unfinished:
            notes.append(
                f"{point.together.unfinished} episodes hit the step limit at a "
                f"horizon of {point.horizon:,}, whose score counts for nothing."
            )
        points.append(point)
    return points, notes


def _play(
    trained: Trained,
    dial: Dial,
    horizon: int,
    episodes: int | None,
    stop: StopRequest,
) -> Point | None:
    """The agents at one horizon; None where the time was spent before the end."""
    if stop.received is not None:
        return None
    env = dial.at(horizon)
    _check_length(env)
    plan, settings = trained.plan, trained.plan.config["evaluation"]
    times = math.ceil(max(1, horizon / max(1, dial.horizon)))
    settings = {
        **settings,
        "episodes": episodes or settings["episodes"],
        "step_limit": settings["step_limit"] * times,
    }
    config = {**plan.config, "evaluation": settings}
    longer = dataclasses.replace(plan, evaluation_env=env, config=config)
    scores = Evaluator(longer, trained.keys)(trained.params, stop)
    if scores is None:
        return None
    return Point(dial.horizon_of(env), dial.value_in(env), env.card, scores)


def _check_length(env: Environment) -> None:
    steps = env.card.max_episode_steps
    if steps is not None and steps > LONGEST:
        raise ConfigError(
            f"its episodes have up to {steps:,} steps, and {LONGEST:,} are the most "
            "that are played."
        )
