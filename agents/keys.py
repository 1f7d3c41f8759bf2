"""The keys of a run: every use has a name, and no two uses share a key.

The i-th key of a split is `fold_in(key, i)`, whatever the number of parts: `split(key)`
are the first two of `split(key, 3)`, and the first two keys that a counter makes. Where
one key is split in two places, or split here and counted there, both draw the same
numbers. So a key that has several uses is not split; each of them derives its own, by a
number that no split and no counter (updates, steps, streams) reaches.
"""

import enum
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray


class Use(enum.IntEnum):
    """What a derived key is for. Numbers are never given to another use."""

    # A seed's.
    NETWORK = 0
    ENVIRONMENT = 1  # the first states of the streams
    RUN = 2  # updates count under it
    EVALUATION = 3
    POLICY = 4  # what a loaded policy samples with
    FILM = 5  # episodes count under it

    # A network's.
    ACTOR = 16
    CRITIC = 17
    POLICY_HEAD = 18
    VALUE_HEAD = 19
    HIDDEN_ENCODER = 20
    DECODER = 21
    ADVANTAGE_HEAD = 22
    SECOND_VALUE_HEAD = 23

    # A run's.
    STAGGER_LENGTHS = 32
    STAGGER_STEPS = 33  # steps count under it

    # An update's.
    ROLLOUT = 48  # steps count under it
    LEARNING = 49  # epochs, or steps of the optimiser, count under it

    # Learning's.
    IMAGINED_ACTIONS = 56  # steps of the optimiser count under it

    # An evaluation's.
    FIRST_STATES = 64
    STEPS = 65  # steps count under it

    # A step's.
    ACTION = 80  # streams count under it
    TRANSITION = 81


_BEYOND_COUNTERS = 2**31
"""Counters are int32 from 0."""


Keys = Key[Array, " rows"]


def key_for(key: PRNGKeyArray, use: Use) -> PRNGKeyArray:
    """The key of one use of `key`."""
    return jax.random.fold_in(key, np.uint32(_BEYOND_COUNTERS + use))


def row_keys(key: PRNGKeyArray, index: Int[Array, " rows"]) -> Keys:
    """A key for each number, so that a row draws the same whatever it is beside."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def step_keys(
    key: PRNGKeyArray, index: Int[Array, " rows"]
) -> tuple[Keys, PRNGKeyArray]:
    """Keys of one step: those to act with, one per stream, and that of the task."""
    return row_keys(key_for(key, Use.ACTION), index), key_for(key, Use.TRANSITION)


def update_keys(state: Any) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """Of the next update of an agent's state: to play with, and to learn with."""
    key = jax.random.fold_in(state.key, state.updates)
    return key_for(key, Use.ROLLOUT), key_for(key, Use.LEARNING)
