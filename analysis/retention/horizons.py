"""Which parameter of a task moves its cue further away, found by trying them."""

import dataclasses
import math
from typing import Any

from agents.convert import ConfigError, nearest
from analysis.retention.trials import (
    Trial,
    changed_task,
    innermost,
    integers,
    trials_of,
)
from envs import HostTask
from envs.base import Environment
from envs.robot.task import RobotTask


@dataclasses.dataclass(frozen=True)
class Dial:
    """A parameter of a task that sets how far back the cue lies.

    Attributes:
        env: the task as it was trained.
        field: the parameter's name.
        end: which of the two horizons of a card it moves: 0 the fewest steps from cue
            to use, 1 the most.
        slope: steps of horizon per unit of the parameter.
        limits: parameters that are limits of time, which grow with the horizon.
        lengthens: parameters that make episodes longer and nothing else, which grow
            where the parameter alone is refused (more decks to repeat cards from).
    """

    env: Environment
    field: str
    end: int
    slope: float
    limits: tuple[str, ...] = ()
    lengthens: tuple[str, ...] = ()

    @property
    def value(self) -> int:
        """Of the parameter, as trained."""
        return self.value_in(self.env)

    @property
    def horizon(self) -> int:
        """Steps that the cue lay back in training."""
        return self.horizon_of(self.env)

    def value_in(self, env: Environment) -> int:
        """The parameter of a task that `at` returned."""
        return getattr(innermost(env), self.field)

    def horizon_of(self, env: Environment) -> int:
        """How far back the cue lies in a task that `at` returned."""
        return env.card.horizon[self.end]

    def at(self, horizon: int) -> Environment:
        """The task with its cue about `horizon` steps back.

        Where the parameter moves in larger steps it is a little more, or a little less
        where `horizon` is shorter than in training.

        Raises:
            ConfigError: the task refuses that much, or its spaces change there.
        """
        if horizon == self.horizon:
            return self.env
        longer = horizon > self.horizon
        units = (horizon - self.horizon) / self.slope
        value = self.value + (math.ceil(units) if longer else math.floor(units))
        factor = max(1, math.ceil(horizon / max(1, self.horizon)))
        limits = self._times(self.limits, factor)
        more = self._times(self.lengthens, factor)
        sides = [value, value + 1 if longer else value - 1]  # some want an odd number
        tries = [{**limits, self.field: side} for side in sides]
        tries += [{**trial, **more} for trial in tries] if more else []
        refusals = []
        for trial in tries:
            try:
                return changed_task(self.env, trial)
            except ValueError as error:
                refusals.append(str(error))
        raise ConfigError(
            f"a horizon of {horizon:,} needs {self.field}={value:,}, which the task "
            f"does not take: {refusals[0].rstrip('.')}."
        )

    def _times(self, names: tuple[str, ...], factor: int) -> dict[str, int]:
        task = innermost(self.env)
        return {name: getattr(task, name) * factor for name in names}


def find_dial(env: Environment, field: str | None = None) -> Dial:
    """The parameter that makes a task's horizon grow while its spaces stay.

    Of several the one that the fewest steps from cue to use follow most closely; where
    those stay, the one that the most steps follow.

    Args:
        env: the task.
        field: which one to take; None looks for it.

    Raises:
        ConfigError: there is none, with the reason.
    """
    task = innermost(env)
    _check_demands(env, task, field)
    names = [name for name, value in integers(task)]
    if field is not None and field not in names:
        raise ConfigError(
            f"{type(task).__name__} has no whole number called {field!r} to make its "
            f"horizon grow with.{nearest(field, names)}"
        )
    faults: dict[str, str] = {}
    trials = list(trials_of(env, task, faults))
    chosen = [trial for trial in trials if field in (None, trial.field)]
    for end in (0, 1):
        asked = field is not None
        moving = [
            x for x in chosen if x.growth(end) > 0 and (asked or not x.counts_steps)
        ]
        if moving:
            best = max(moving, key=lambda trial: trial.growth(end))
            return _dial(env, end, best, trials)
    for trial in trials:
        counts = trial.counts_steps and trial.growth(1) > 0
        faults[trial.field] = "lengthens episodes" if counts else "does not move it"
    told = {name: why for name, why in faults.items() if field in (None, name)}
    reasons = "; ".join(f"{name} {why}" for name, why in told.items())
    raise ConfigError(
        f"no parameter of {type(task).__name__} moves its cue further away and leaves "
        f"its spaces as they are{f' ({reasons})' if reasons else ''}, so the trained "
        "agent cannot be played at longer horizons; choose another task."
    )


def _check_demands(env: Environment, task: Any, field: str | None) -> None:
    if isinstance(task, HostTask):
        raise ConfigError(
            f"{task.id} is a numpy environment, whose horizon nobody knows; only "
            "compiled tasks can be played at growing horizons."
        )
    if isinstance(task, RobotTask) and field is None:
        raise ConfigError(
            f"{type(task).__name__} is a robot task, whose phases last as long as its "
            "rules say, so its cue cannot be moved further away; choose another task."
        )
    if env.card.horizon[1] == 0:
        raise ConfigError(
            f"{type(task).__name__} demands no memory as it was trained, so none can "
            "fade; choose a task whose card has a horizon."
        )


def _dial(env: Environment, end: int, best: Trial, trials: list[Trial]) -> Dial:
    """A parameter as the one to turn, with those that must grow beside it."""
    others = [trial for trial in trials if trial.field != best.field]
    return Dial(
        env=env,
        field=best.field,
        end=end,
        slope=(best.new.horizon[end] - best.old.horizon[end]) / best.grown,
        limits=tuple(x.field for x in others if x.is_limit),
        lengthens=tuple(x.field for x in others if x.lengthens and not x.is_limit),
    )
