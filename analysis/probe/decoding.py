"""What can be read from a memory's state, by the time since it was seen."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.interval import SHARES, Interval, of_ratio, over_seeds, widened
from analysis.probe.recording import Recording
from analysis.probe.ridge import Split, fit

SOURCES = ("state", "observed", "untrained")
"""What is read: the trained memory, the current inputs alone, an untrained memory."""

CHOICES = 32
"""Whole numbers of at most so many different values are told apart one by one; others
count as continuous."""

FEWEST = 20
"""Episodes that each part of a split needs at a lag for anything to be said of it."""

MOST_ROWS = 20_000
"""Rows that one readout is fitted on, at most."""


class Lag(NamedTuple):
    """What was read of one hidden variable at one range of lags.

    Attributes:
        variable: its name.
        measure: `accuracy` of discrete values, the mean over the entries of an array;
            `R2` of continuous ones, with all entries in units of their spread.
        first, last: steps since the value could be observed, both included.
        episodes: that it was judged on, over all seeds.
        chance: of the most frequent value; 0 for R2.
        state, observed, untrained: what was reached from each source.
    """

    variable: str
    measure: str
    first: int
    last: int
    episodes: int
    chance: float
    state: Interval
    observed: Interval
    untrained: Interval


class Unseen(NamedTuple):
    """What is left out of a variable's readouts: it could not be observed so far.

    Attributes:
        variable: its name.
        steps: at which it could not, over all seeds.
        of: steps that were written down.
        episodes: in which it never could.
    """

    variable: str
    steps: int
    of: int
    episodes: int

    def __str__(self) -> str:
        """All of it, as a sentence."""
        return (
            f"{self.variable} had not been seen yet at {self.steps:,} of {self.of:,} "
            f"steps, and never was in {self.episodes:,} episodes; these are left out "
            "of its readouts."
        )


class Target(NamedTuple):
    """A hidden variable as outputs of a readout.

    Attributes:
        outputs: `[rows, outputs]`: one-hot choices, or numbers.
        sizes: outputs of each entry; None where they are continuous.
    """

    outputs: Float[np.ndarray, "rows outputs"]
    sizes: list[int] | None


def lags(longest: int) -> Iterator[tuple[int, int]]:
    """Ranges of lags, each twice as long as the one before: 0, 1, 2, 3-4, 5-8, ..."""
    yield 0, 0
    first, last = 1, 1
    while first <= longest:
        yield first, last
        first, last = last + 1, 2 * last


def target_of(value: np.ndarray) -> Target:
    """How a hidden variable is to be read.

    Args:
        value: `[rows, ...]`; entries of an array are read each for itself.
    """
    flat = value.reshape(len(value), -1)
    if flat.dtype.kind in "biu":
        entries = [np.unique(column, return_inverse=True) for column in flat.T]
        sizes = [len(kinds) for kinds, _ in entries]
        if max(sizes) <= CHOICES:
            parts = [
                np.eye(n)[index] for n, (_, index) in zip(sizes, entries, strict=True)
            ]
            return Target(np.concatenate(parts, axis=1), sizes)
    return Target(flat.astype(np.float64), None)


def judge(
    target: Target, wanted: np.ndarray, read: np.ndarray, usual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well each row was read: what is summed above and below a fraction bar.

    Args:
        target: whose rows these are.
        wanted: outputs, `[rows, outputs]`.
        read: what a readout says they are.
        usual: mean outputs of the rows that it was fitted on, `[outputs]`.

    Returns:
        For discrete values the share of entries that are right, and 1; for continuous
        ones the squared error and that of always saying `usual`, each in units of the
        entry's spread.
    """
    if target.sizes is None:
        spread = np.maximum(target.outputs.std(0), 1e-12)[None]
        error = np.square((wanted - read) / spread).sum(1)
        return error, np.square((wanted - usual[None]) / spread).sum(1)
    ends = np.cumsum(target.sizes)[:-1]
    pairs = zip(np.split(wanted, ends, 1), np.split(read, ends, 1), strict=True)
    right = np.stack([a.argmax(1) == b.argmax(1) for a, b in pairs])
    return right.mean(0), np.ones(len(wanted))


def decode(recording: Recording, split: Split) -> list[Lag]:
    """Read every hidden variable of one seed's recording, at every lag.

    A readout is fitted per range of lags, so that a memory may hold the same thing in
    different ways at different times. Steps before a variable could be observed for the
    first time, whose age is -1, lie in no range; `unseen` counts them.
    """
    found = []
    for name, (value, age) in recording.hidden.items():
        target = target_of(value)
        for first, last in lags(int(age.max())):
            rows = (age >= first) & (age <= last)
            lag = _decode_lag(recording, split, target, rows)
            if lag is not None:
                episodes, chance, read = lag
                measure = "R2" if target.sizes is None else "accuracy"
                found.append(Lag(name, measure, first, last, episodes, chance, *read))
    return found


def unseen(recording: Recording) -> list[Unseen]:
    """What `decode` leaves out, of each hidden variable."""
    return [
        Unseen(
            name,
            steps=int((age < 0).sum()),
            of=len(age),
            episodes=len(np.setdiff1d(recording.episode, recording.episode[age >= 0])),
        )
        for name, (_, age) in recording.hidden.items()
    ]


def all_unseen(found: list[list[Unseen]]) -> list[Unseen]:
    """The same variables of several seeds, counted together."""
    return [
        Unseen(
            same[0].variable,
            steps=sum(x.steps for x in same),
            of=sum(x.of for x in same),
            episodes=sum(x.episodes for x in same),
        )
        for same in zip(*found, strict=True)
    ]


def _decode_lag(
    recording: Recording, split: Split, target: Target, rows: Bool[np.ndarray, " rows"]
) -> tuple[int, float, list[Interval]] | None:
    """Episodes, chance and what each source reached; None of too few episodes."""
    parts = [_rows_of(recording.episode, rows, part) for part in split]
    seen = [np.unique(recording.episode[part]) for part in parts]
    if min(map(len, seen)) < FEWEST:
        return None
    train, validation, test = parts
    wanted, usual = target.outputs[test], target.outputs[train].mean(0)
    place = np.searchsorted(seen[2], recording.episode[test])

    def summed(read: np.ndarray) -> Interval:
        above, below = (
            np.bincount(place, weights=x) for x in judge(target, wanted, read, usual)
        )
        found = of_ratio(above if target.sizes else below - above, below)
        return _with_width(found, len(seen[2])) if target.sizes else found

    read = []
    for source in SOURCES:
        x = getattr(recording, source)
        readout = fit(
            x[train],
            target.outputs[train],
            x[validation],
            target.outputs[validation],
        )
        read.append(summed(readout(x[test])))
    always = summed(np.broadcast_to(usual[None], wanted.shape))
    return len(seen[2]), always.value, read


def _rows_of(
    episode: Int[np.ndarray, " rows"], rows: Bool[np.ndarray, " rows"], part: np.ndarray
) -> Int[np.ndarray, " some"]:
    """Some rows of some episodes; of very many so many are drawn."""
    chosen = np.flatnonzero(rows & np.isin(episode, part))
    if len(chosen) > MOST_ROWS:
        chosen = np.random.default_rng(0).choice(chosen, MOST_ROWS, replace=False)
    return chosen


def together(found: list[list[Lag]]) -> list[Lag]:
    """The same lags of several seeds as one.

    A lag counts where every seed has enough episodes of it.
    """
    by_place = [{(lag.variable, lag.first): lag for lag in lags} for lags in found]
    merged = []
    for place, lag in by_place[0].items():
        if not all(place in other for other in by_place):
            continue
        same = [other[place] for other in by_place]
        discrete = lag.measure == "accuracy"
        limits = SHARES if discrete else (-np.inf, 1.0)
        episodes, reached = sum(x.episodes for x in same), {}
        for source in SOURCES:
            mean = over_seeds([getattr(x, source) for x in same], *limits)
            reached[source] = _with_width(mean, episodes) if discrete else mean
        chance = float(np.mean([x.chance for x in same]))
        merged.append(lag._replace(episodes=episodes, chance=chance, **reached))
    return merged


def _with_width(accuracy: Interval, episodes: int) -> Interval:
    """An accuracy, with Wilson's interval where all or nothing is right.

    There every resample is alike, and an episode counts as one trial, right or wrong.
    """
    return widened(accuracy, episodes) if accuracy.value in SHARES else accuracy
