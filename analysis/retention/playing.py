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

from agents import evaluate
from agents.convert import ConfigError
from agents.running.evaluator import Evaluator
from agents.running.output.plan import memories_of
from agents.running.output.results import across_seeds
from agents.running.signals import StopRequest
from agents.running.trained import Trained
from analysis.retention.half_life import HalfLife, Interval, half_life, standard_errors
from analysis.retention.horizons import Dial
from envs.base import Card, Environment

LONGEST = 100_000
"""Steps of an episode beyond which nothing is played."""


@dataclasses.dataclass(frozen=True)
class Point:
    """What became of the agents at one horizon.

    Attributes:
        horizon: steps that the cue lay back.
        value: of the task's parameter.
        card: of the task then.
        scores: one per seed.
    """

    horizon: int
    value: int
    card: Card
    scores: list[evaluate.Score]

    @property
    def together(self) -> evaluate.Score:
        """Over all seeds; of one, with the interval over its episodes."""
        return across_seeds(self.scores)

    @property
    def measured(self) -> Interval | None:
        """What the card's numbers are of; None where no success is told."""
        return measured(self.together, self.card)

    @property
    def success(self) -> Interval | None:
        """Share of episodes that succeeded, where the task says."""
        return measured(
            self.together, dataclasses.replace(self.card, measure="success")
        )

    @property
    def lines(self) -> tuple[float, float] | None:
        """Memoryless and recall, where both are known and differ."""
        memoryless, recall = self.card.memoryless.value, self.card.recall.value
        if memoryless is None or recall is None or recall - memoryless <= 1e-6:
            return None
        return memoryless, recall

    @property
    def kept(self) -> Interval | None:
        """Share of what memory can add: 0 is memoryless, 1 recall; None if unknown."""
        if self.measured is None or self.lines is None or self.together.unfinished:
            return None
        memoryless, recall = self.lines
        return Interval(
            *((x - memoryless) / (recall - memoryless) for x in self.measured)
        )


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
            return HalfLife(None, self.points[0].horizon, _why_unknown(self.points[0]))
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


def measured(score: evaluate.Score, card: Card) -> Interval | None:
    """A score in the card's measure; None where that is success and none was told."""
    if card.measure == "return":
        return Interval(score.mean, score.lower, score.upper)
    value, lower, upper = score.success, score.success_lower, score.success_upper
    if value is None or lower is None or upper is None:
        return None
    return Interval(value, lower, upper)


def _why_unknown(point: Point) -> str:
    if point.together.unfinished:
        return (
            f"unknown: {point.together.unfinished} episodes hit the step limit at the "
            "training horizon"
        )
    if point.measured is None:
        return "unknown: the card speaks of success, and the task told none"
    for name in ("memoryless", "recall"):
        known = getattr(point.card, name)
        if known.value is None:
            return f"unknown: the card does not know {name} ({known.note})"
    return "unknown: memory cannot help in this task (memoryless equals recall)"


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
    points: list[Point] = []
    notes: list[str] = []
    with StopRequest() as stop:
        timer = threading.Timer(
            seconds, lambda: setattr(stop, "received", signal.SIGALRM.value)
        )
        timer.daemon = True
        timer.start()
        for horizon in horizons:
            try:
                point = _play(trained, dial, horizon, episodes, stop)
            except ConfigError as error:
                notes.append(f"stopped before a horizon of {horizon:,}: {error}")
                break
            if point is None:
                spent = stop.received == signal.SIGALRM.value
                why = f"{seconds:g} s were spent" if spent else "it was asked to stop"
                notes.append(f"stopped before a horizon of {horizon:,}: {why}.")
                break
            if point.together.unfinished:
                notes.append(
                    f"{point.together.unfinished} episodes hit the step limit at a "
                    f"horizon of {point.horizon:,}, whose score counts for nothing."
                )
            points.append(point)
        timer.cancel()
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
