"""The recordings of a probe, one seed after the other, and what they come to."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.interval import Interval, over_seeds
from analysis.probe import decoding
from analysis.probe.geometry import Geometry, Sums, by_time, rank_of_states
from analysis.probe.recording import Recorder
from analysis.probe.ridge import split_episodes


class Recorded(NamedTuple):
    """What the recording of one seed came to; the recording itself is not kept.

    Attributes:
        lags, unseen: what was read from it, and what was left out.
        kept: numbers of a state that are in it.
        rank, untrained_rank: effective ranks of the states.
        unchanging: share of the state's numbers that never changed.
        saturated: share of the bounded ones nearly at their bound; None without any.
        norm: of the states, summed at each step.
        cut: whether episodes went on beyond it.
    """

    lags: list[decoding.Lag]
    unseen: list[decoding.Unseen]
    kept: int
    rank: float
    untrained_rank: float
    unchanging: float
    saturated: np.floating | None
    norm: Sums
    cut: bool


def record(
    recorder: Recorder, params: Any, *, seed_key: Any, number: int
) -> tuple[Recorded, Any]:
    """Record one seed and read it.

    A recording may have `recording.BUDGET` numbers, so only one is held at a time.

    Args:
        recorder: of the run.
        params: of the seed.
        seed_key: that seed's.
        number: of the seed among those that are probed; it draws the split of episodes.

    Returns:
        What that came to, and the standard deviation of every number observed, in the
        structure of an observation.
    """
    recording = recorder(params, seed_key=seed_key)
    steps, saturated = recording.steps, recording.saturated
    is_full = steps.playing.shape[0] == recorder.limit
    found = Recorded(
        lags=decoding.decode(recording, split_episodes(steps.playing.shape[1], number)),
        unseen=decoding.unseen(recording),
        kept=recording.state.shape[1],
        rank=rank_of_states(recording.state),
        untrained_rank=rank_of_states(recording.untrained),
        unchanging=recording.unchanging,
        saturated=None if saturated is None else saturated.mean(),
        norm=Sums.of(recording.norm, recording.time),
        cut=bool(is_full and not steps.ended.any(0).all()),
    )
    return found, recording.spread


def geometry_of(found: Sequence[Recorded], numbers: int, fewest: int) -> Geometry:
    """What shape the states of all seeds make.

    Args:
        found: of every seed.
        numbers: in one stream's state.
        fewest: episodes that must have reached a step for its norm to be told.
    """

    def ranks(values: list[float]) -> Interval:
        return over_seeds([Interval(x, np.nan, np.nan) for x in values], low=0.0)

    saturated = [x.saturated for x in found if x.saturated is not None]
    steps, means = by_time([x.norm for x in found], fewest)
    return Geometry(
        numbers=numbers,
        kept=found[0].kept,
        rank=ranks([x.rank for x in found]),
        untrained_rank=ranks([x.untrained_rank for x in found]),
        unchanging=float(np.mean([x.unchanging for x in found])),
        saturated=float(np.mean(saturated)) if saturated else None,
        steps=steps,
        norm=means,
    )
