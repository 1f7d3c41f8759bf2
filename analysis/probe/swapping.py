"""Whether behaviour follows the memory: two streams are given each other's."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from analysis.interval import (
    SHARES,
    Interval,
    limits_of,
    of_episodes,
    of_share,
    over_seeds,
)
from analysis.probe.decisions import (
    Decisions,
    candidates,
    first_decisions,
    partners,
    same,
    swap_time,
)
from analysis.probe.decoding import CHOICES, FEWEST
from analysis.probe.playing import Player, Steps, View, where_streams
from analysis.probe.recording import features_of, hidden_of, widths


class Swap(NamedTuple):
    """What swapping did, to the streams whose hidden values differed.

    Attributes:
        variable: the hidden variable.
        time: the step before which memories were swapped.
        streams: whose memories were, over all seeds.
        differing: those of them in which own and other memory decide differently: left
            alone, the two streams acted differently at their first decisions, though
            they saw the same there.
        as_other: share of these that decided as the stream whose memory they were
            given; None where the task tells no decisions, where hardly any two streams
            see the same at theirs, or where actions are continuous.
        as_own: share of these that decided as with their own memory.
        measure: `success`, or `return` where the task tells none.
        before: that, with the own memory.
        after: the same with the other's.
        implied: success if all decided as the other did, and only a decision that
            succeeded with the own memory can succeed; None for returns, or as above.
        seeds: in which memories were swapped.
    """

    variable: str
    time: int
    streams: int
    differing: int
    as_other: Interval | None
    as_own: Interval | None
    measure: str
    before: Interval
    after: Interval
    implied: float | None
    seeds: int = 1


class Swapper:
    """Plays episodes in which streams exchange their memories before some step."""

    def __init__(self, plan: Plan, *, episodes: int, limit: int):
        """Prepare for a run; compiling happens at first use."""
        agent, env = plan.agent, plan.evaluation_env
        exploration = plan.config["evaluation"]["exploration"]
        self._own = np.arange(episodes, dtype=np.int32)
        features = widths(plan)[1]
        self._fingerprint = np.random.default_rng(0).normal(size=features)
        self._fingerprint = self._fingerprint.astype(np.float32)
        self._discrete = not isinstance(env.action_space, spaces.Box)

        def choose(params: Any, memory: Any, view: View, extra: Any) -> Any:
            partner, time = extra
            now = jnp.broadcast_to(view.time == time, partner.shape)
            other = jax.tree.map(lambda x: x[partner], memory)
            action, memory, _ = agent.act(
                params[0],
                where_streams(now, other, memory),
                view.inputs,
                key=view.keys,
                exploration=exploration,
            )
            seen = features_of(agent, view.inputs) @ jnp.asarray(self._fingerprint)
            return action, memory, (hidden_of(env, view.env_state), seen.round(3))

        self._player = Player(
            plan,
            choose,
            lambda params, streams: agent.initial_memory(params[0], streams),
            episodes=episodes,
            limit=limit,
        )

    def play(self, params: Any, partner: Any, time: int, *, seed_key: Any) -> Steps:
        """Play; before step `time` each stream gets the memory of its partner.

        Args:
            params: of one seed.
            partner: for each stream the number of another, or its own.
            time: the step.
            seed_key: that seed's.
        """
        key = key_for(seed_key, Use.EVALUATION)
        extra = (np.asarray(partner, np.int32), np.int32(time))
        return self._player((params,), key=key, extra=extra)[0]

    def __call__(self, params: Any, *, seed_key: Any) -> list[Swap]:
        """Swap for every hidden variable that is one discrete value."""
        alone = self.play(params, self._own, 0, seed_key=seed_key)
        hidden, seen = alone.told
        found = []
        for name, (value, age) in hidden.items():
            if not _is_choice(value, alone.playing):
                continue
            first = first_decisions(alone, age)
            time = swap_time(alone, first, age)
            able, wanted = candidates(alone, first, time, value, age)
            partner = partners(able, wanted, seen[first.time, self._own])
            pairs = int((partner != self._own).sum())
            alike = bool(first.found.any()) and pairs >= FEWEST
            if not alike:  # hardly any see the same, as where numbers are continuous
                partner = partners(able, wanted, np.zeros_like(self._own))
            if (partner == self._own).all():
                continue
            swapped = self.play(params, partner, time, seed_key=seed_key)
            then = first_decisions(swapped, swapped.told[0][name][1], time)
            chosen = np.flatnonzero(partner != self._own)
            swap = _scored(name, time, chosen, alone, swapped)
            if self._discrete and alike:
                swap = _decided(swap, chosen, partner, first, then, alone)
            found.append(swap)
        return found


def _scored(
    name: str, time: int, chosen: np.ndarray, alone: Steps, swapped: Steps
) -> Swap:
    """How the swapped streams did, with their own memories and with the others'."""
    measure = "return" if alone.success is None else "success"
    before, after = (
        of_episodes(measure, x.measured(measure)[chosen]) for x in (alone, swapped)
    )
    return Swap(name, time, len(chosen), 0, None, None, measure, before, after, None)


def _decided(
    swap: Swap,
    chosen: np.ndarray,
    partner: np.ndarray,
    first: Decisions,
    then: Decisions,
    alone: Steps,
) -> Swap:
    """Whose decisions the swapped streams took."""
    own, other = first.action[chosen], first.action[partner[chosen]]
    differ = ~same(own, other)
    decided = differ & then.found[chosen]
    done, count = then.action[chosen], int(differ.sum())
    told = alone.successes
    implied = None if told is None else float((told[chosen] * ~differ).mean())
    return swap._replace(
        differing=count,
        as_other=of_share(int((decided & same(done, other)).sum()), count),
        as_own=of_share(int((decided & same(done, own)).sum()), count),
        implied=implied,
    )


def _is_choice(value: np.ndarray, playing: np.ndarray) -> bool:
    """Whether a hidden variable `[time, streams, ...]` is one of a few values."""
    discrete = value.ndim == 2 and value.dtype.kind in "biu"
    return discrete and len(np.unique(value[playing])) <= CHOICES


def together(found: list[list[Swap]]) -> list[Swap]:
    """The same swaps of several seeds as one, each over the seeds that have it."""
    by_name: dict[str, list[Swap]] = {}
    for swap in itertools.chain.from_iterable(found):
        by_name.setdefault(swap.variable, []).append(swap)
    return [_merged(same) for same in by_name.values()]


def _merged(same: Sequence[Swap]) -> Swap:
    """The swaps of one variable as one."""
    measure, streams = same[0].measure, sum(x.streams for x in same)
    differing = sum(x.differing for x in same)
    implied = [x.implied for x in same if x.implied is not None]
    limits, trials = limits_of(measure), streams if measure == "success" else 0

    def decided(name: str) -> Interval | None:
        known = [getattr(x, name) for x in same if getattr(x, name) is not None]
        return over_seeds(known, *SHARES, differing) if known else None

    return same[0]._replace(
        time=int(np.median([x.time for x in same])),
        streams=streams,
        differing=differing,
        implied=float(np.mean(implied)) if implied else None,
        as_other=decided("as_other"),
        as_own=decided("as_own"),
        before=over_seeds([x.before for x in same], *limits, trials),
        after=over_seeds([x.after for x in same], *limits, trials),
        seeds=len(same),
    )
