"""Streams that begin training in the middle of an episode, each somewhere else.

Tasks of one length, started together, end together for ever: one rollout is all
beginnings, another all endings, and an update sees whatever phase it happens on.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from agents.base import Gathering
from agents.experience.normalize import normalized
from agents.experience.rollout import Streams, gather
from agents.keys import Use, key_for
from envs.base import Card

UNBOUNDED = 1_000
"""Steps over which streams are spread where a task does not bound its episodes."""

LONGEST = 10_000
"""Steps over which they are spread at most: the price is paid before the first
update."""


def spread_of(card: Card) -> int:
    """Steps over which the streams of a task are spread."""
    return min(card.max_episode_steps or UNBOUNDED, LONGEST)


def stagger(agent: Any, params: Any, streams: Streams, *, key: PRNGKeyArray) -> Streams:
    """Let each stream play a number of steps of its own, from 0 to the spread - 1.

    The agent itself plays, so memory states, start flags and the returns of episodes
    under way are what they would have been had training begun that much earlier. How
    long a stream plays depends on the key and its own index alone, and is spread
    evenly.

    Args:
        agent: who plays.
        params: what it plays with.
        streams: at the first observation of their episodes.
        key: the run's.
    """
    length_key, play_key = (
        key_for(key, use) for use in (Use.STAGGER_LENGTHS, Use.STAGGER_STEPS)
    )
    index = streams.env_state.index
    steps = steps_to_play(length_key, index, spread_of(agent.env.card))

    def step(time: Array, streams: Streams) -> Streams:
        how = Gathering(
            key=jax.random.fold_in(play_key, time),
            exploration=agent.exploration(index, jnp.zeros((), jnp.int32)),
            num_sequences=1,
            sequence_length=1,
            values=False,
            keep_finals=False,
        )
        played, rollout = gather(agent, params, streams, how)
        played = normalized(agent, params, played, rollout)[1]
        return _select(time < steps, played, streams)

    return jax.lax.fori_loop(0, steps.max(), step, streams)


def steps_to_play(
    key: PRNGKeyArray, index: Int[Array, " batch"], spread: int
) -> Int[Array, " batch"]:
    """Steps that each stream plays: multiples of the golden ratio from a random start.

    Modulo 1 these lie evenly for any number of streams (three-gap theorem), where
    independent draws would leave some phases empty and crowd others. In whole numbers
    modulo 2**32, so that a large index loses nothing.
    """
    golden = jnp.uint32(2_654_435_769)  # 2**32 / 1.618...
    place = jax.random.bits(key, (), jnp.uint32) + index.astype(jnp.uint32) * golden
    # The upper half times a spread below 2**16 stays below 2**32.
    return ((place >> 16) * jnp.uint32(spread) >> 16).astype(jnp.int32)


def _select(where: Bool[Array, " batch"], new: Any, old: Any) -> Any:
    """Rows of `new` where `where` holds, else of `old`."""

    def pick(new: Array, old: Array) -> Array:
        rows = where.reshape(-1, *(1 for _ in new.shape[1:]))
        return jnp.where(rows, new, old)

    return jax.tree.map(pick, new, old)
