"""Where in the past the dependence of decisions lies: how far back, and at what."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.interval import Interval, over_episodes


class Moments(NamedTuple):
    """The steps of each episode that decide.

    Attributes:
        steps: `[moments, episodes]`, ascending, then -1.
        told: whether they are those that the task itself names (`info["decision"]`).
        left_out: how many there were besides.
    """

    steps: Int[np.ndarray, "moments episodes"]
    told: bool
    left_out: int

    @property
    def count(self) -> int:
        """How many."""
        return int((self.steps >= 0).sum())


def moments_of(
    playing: Bool[np.ndarray, "time episodes"],
    decision: Bool[np.ndarray, "time episodes"] | None,
    most: int,
) -> Moments:
    """The decisions that a task names, or else all steps that have a past.

    Args:
        playing: which steps belong to the episodes.
        decision: which of them the task names; None where it has no such word.
        most: moments of each episode; of more, as many, evenly spaced.
    """
    named = playing & decision if decision is not None else np.zeros_like(playing)
    told = bool(named.any())
    wanted = named if told else playing.copy()
    if not told:
        wanted[0] = False
    found = [np.flatnonzero(column) for column in wanted.T]
    kept = [_spaced(steps, most) for steps in found]
    rows = max([1, *map(len, kept)])  # one at least, to differentiate
    steps = np.full((rows, len(kept)), -1, np.int32)
    for episode, own in enumerate(kept):
        steps[: len(own), episode] = own
    left_out = sum(map(len, found)) - sum(map(len, kept))
    return Moments(steps, told, left_out)


def _spaced(steps: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, the last one among them."""
    if len(steps) <= most:
        return steps
    backwards = np.linspace(len(steps) - 1, 0, most).round().astype(int)
    return steps[backwards[::-1]]


class Shares(NamedTuple):
    """Of one seed; means over the moments of an episode, one row per episode.

    Episodes without a moment, or of whose past nothing matters, are left out of
    `by_lag` and `by_cue`.

    Attributes:
        size: how much of the decision lies before the step itself, in its own unit
            (log-odds, a value, an action), `[episodes]`.
        past: the same as a share of the whole, `[episodes]`.
        by_lag: of the past, at each lag from 1 on, `[episodes, lags]`.
        by_cue: of the past, on the steps at which a hidden variable could last be
            observed, by its name `[episodes]`; nan where it never could.
        even: the same if every past step mattered alike.
        dead: moments on which nothing seen before has any influence.
    """

    size: Float[np.ndarray, " episodes"]
    past: Float[np.ndarray, " episodes"]
    by_lag: Float[np.ndarray, "episodes lags"]
    by_cue: dict[str, Float[np.ndarray, " episodes"]]
    even: dict[str, Float[np.ndarray, " episodes"]]
    dead: int


def shares_of(
    strength: Float[np.ndarray, "moments episodes time"],
    moments: Moments,
    ages: dict[str, Int[np.ndarray, "time episodes parts"]],
) -> Shares:
    """How what matters is spread over the past.

    Args:
        strength: of every moment, how much it depends on each step.
        moments: which steps these are.
        ages: by the name of a hidden variable, steps since it could be observed.
    """
    time, dead = strength.shape[2], 0
    size: list[float] = []
    past: list[float] = []
    by_lag: list[np.ndarray] = []
    cue: dict[str, list[float]] = {name: [] for name in ages}
    even: dict[str, list[float]] = {name: [] for name in ages}
    for episode in range(strength.shape[1]):
        rows = [
            (step, strength[number, episode].astype(np.float64))
            for number, step in enumerate(moments.steps[:, episode])
            if step > 0  # the first step has no past
        ]
        if rows:
            size.append(float(np.mean([row[:step].sum() for step, row in rows])))
        whole = [(step, row) for step, row in rows if row[: step + 1].sum() > 0]
        if whole:
            of_whole = [r[:t].sum() / r[: t + 1].sum() for t, r in whole]
            past.append(float(np.mean(of_whole)))
        alive = [(step, row) for step, row in rows if row[:step].sum() > 0]
        dead += len(rows) - len(alive)
        if not alive:
            continue
        densities = [(t, row[:t] / row[:t].sum()) for t, row in alive]
        by_lag.append(np.mean([_by_lag(x, time) for _, x in densities], axis=0))
        for name, age in ages.items():
            pairs = [_on_cue(t, density, age[t, episode]) for t, density in densities]
            known = [pair for pair in pairs if pair is not None]
            shares = np.mean(known, axis=0) if known else (np.nan, np.nan)
            cue[name].append(float(shares[0]))
            even[name].append(float(shares[1]))
    lags = max(time - 1, 1)
    return Shares(
        np.array(size),
        np.array(past),
        np.array(by_lag).reshape(len(by_lag), lags),
        {name: np.array(values) for name, values in cue.items()},
        {name: np.array(values) for name, values in even.items()},
        dead,
    )


def _by_lag(density: np.ndarray, time: int) -> np.ndarray:
    """`[time - 1]`, the newest step of the past first."""
    return np.pad(density[::-1], (0, max(time - 1, 1) - len(density)))


def _on_cue(
    step: int, density: np.ndarray, ages: np.ndarray
) -> tuple[float, float] | None:
    """The share on the cues of a step, and what it would be if all were alike."""
    seen = np.unique(step - ages)
    seen = seen[(seen >= 0) & (seen < step)]
    if not len(seen):
        return None
    return float(density[seen].sum()), len(seen) / step


def mean_of(values: Float[np.ndarray, " episodes"]) -> Interval | None:
    """Over the episodes that have a value; None where none has."""
    known = values[~np.isnan(values)]
    return over_episodes(known) if len(known) else None


def half_within(by_lag: Float[np.ndarray, " lags"]) -> int:
    """The lag within which half of the past's share lies."""
    return int(np.searchsorted(np.cumsum(by_lag), 0.5 * by_lag.sum()) + 1)
