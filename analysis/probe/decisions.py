"""When streams decide from memory, and which of them to let exchange memories."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from analysis.probe.playing import Steps


class Decisions(NamedTuple):
    """The first decision that each stream took from memory.

    Attributes:
        found: whether it took one, `[streams]`.
        time: the step of it.
        action: what it did, `[streams, ...]`.
    """

    found: Bool[np.ndarray, " streams"]
    time: Int[np.ndarray, " streams"]
    action: np.ndarray


def first_decisions(steps: Steps, age: np.ndarray, since: int = 0) -> Decisions:
    """What each stream decided first when a variable could not be observed.

    Args:
        steps: what happened.
        age: steps since the variable could be observed, `[time, streams]`.
        since: the first step that counts.
    """
    streams = np.arange(age.shape[1])
    told = np.zeros_like(steps.playing) if steps.decision is None else steps.decision
    decides = told & steps.playing & (age > 0)
    decides[:since] = False
    time = decides.argmax(0)
    return Decisions(np.any(decides, axis=0), time, steps.action[time, streams])


def swap_time(steps: Steps, first: Decisions, age: np.ndarray) -> int:
    """When to swap: half-way between cue and first decision, as in the median stream.

    Where no stream decides, half-way through the median episode.
    """
    if not first.found.any():
        return int(np.median(steps.playing.sum(0))) // 2
    time = first.time[first.found]
    lag = age[time, np.flatnonzero(first.found)]
    return int(np.median(time - lag // 2))


def candidates(
    steps: Steps, first: Decisions, time: int, value: np.ndarray, age: np.ndarray
) -> tuple[Bool[np.ndarray, " streams"], np.ndarray]:
    """Streams whose memory can be swapped, and the value that counts of each.

    They play on at the time of the swap and decide then or later, on what they could
    observe before it; what counts is the value at the decision. Where none decides,
    they cannot observe the variable at the time, and what counts is the value then.
    """
    if first.found.any():
        streams = np.arange(value.shape[1])
        able = steps.playing[time] & first.found & (first.time >= time)
        able &= first.time - age[first.time, streams] < time
        return able, value[first.time, streams]
    return steps.playing[time] & (age[time] > 0), value[time]


def partners(
    able: Bool[np.ndarray, " streams"], value: np.ndarray, kind: np.ndarray
) -> Int[np.ndarray, " streams"]:
    """Pairs of streams of one kind with different values, as many as there can be.

    Args:
        able: which streams may have a partner.
        value: of each stream.
        kind: of each stream.

    Returns:
        For each stream the number of its partner, or its own.
    """
    partner = np.arange(len(able), dtype=np.int32)
    for one in np.unique(kind[able]):
        order = np.random.default_rng(0).permutation(
            np.flatnonzero(able & (kind == one))
        )
        order = order[np.argsort(value[order], kind="stable")]
        half = len(order) // 2  # sorted, so that as many pairs differ as can
        left, right = order[:half], order[len(order) - half :]
        differ = value[left] != value[right]
        partner[left[differ]], partner[right[differ]] = right[differ], left[differ]
    return partner


def same(a: np.ndarray, b: np.ndarray) -> Bool[np.ndarray, " streams"]:
    """Whether the actions of two decisions, `[streams, ...]`, are equal."""
    return np.asarray(np.equal(a, b).reshape(len(a), -1).all(axis=1))
