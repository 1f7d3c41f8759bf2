"""What decisions depend on, of all seeds: numbers, and how to read them."""

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from agents.running.output.plan import memories_of
from analysis.interval import Interval, over_seeds
from analysis.saliency import MOMENTS, Saliency
from analysis.saliency.episodes import LONGEST
from analysis.saliency.shares import mean_of

MEASURES = {
    "contribution": "how much of the decision is due to what was seen at a step",
    "gradient": "how much a change of what was seen at a step would matter",
}
"""What is measured (fields of `Dependence`), and what it means."""


class OnCue(NamedTuple):
    """Of what lies in the past, the share on the steps that showed a variable.

    Attributes:
        share: that share.
        even: what it would be if all past steps were alike.
    """

    share: float
    even: float


def described(found: Saliency) -> str:
    """What was looked at, in one line."""
    plan, seeds = found.trained.plan, found.trained.seeds
    several = f"seed {seeds[0]}"
    if len(seeds) > 1:
        several = f"seeds {seeds[0]} to {seeds[-1]}"
    way = {None: "as the policy samples", 0.0: "greedily"}
    how = way.get(found.exploration, f"with exploration {found.exploration}")
    return (
        f"{plan.env_name}: what {plan.agent_name} with {plan.memory_name} decides by, "
        f"after {found.trained.step:,} steps, {several}, {found.episodes:,} episodes "
        f"each, {how}"
    )


def past(found: Saliency, measure: str, what: str = "past") -> list[Interval | None]:
    """What lies before the decision, of each seed: its share, or its `size`."""
    return [mean_of(getattr(shares, what)) for shares in found.shares[measure]]


def density(found: Saliency, measure: str) -> list[Interval] | None:
    """Share of the past that lies at each lag from 1 on; None where nothing matters.

    Over seeds with Student's interval, of one seed over its episodes.
    """
    known = [x.by_lag for x in found.shares[measure] if len(x.by_lag)]
    if not known:
        return None
    lags = known[0].shape[1]
    columns = ([mean_of(own[:, lag]) for own in known] for lag in range(lags))
    return [
        over_seeds([x for x in column if x is not None], low=0.0, high=1.0)
        for column in columns
    ]


def on_cues(found: Saliency, measure: str) -> dict[str, list[OnCue | None]]:
    """How much lies on the cue of each hidden variable, by its name, of each seed."""
    shares = found.shares[measure]
    return {
        name: [_on_cue(own.by_cue[name], own.even[name]) for own in shares]
        for name in shares[0].by_cue
    }


def _on_cue(values: np.ndarray, even: np.ndarray) -> OnCue | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    return OnCue(float(values[known].mean()), float(even[known].mean()))


def notes(found: Saliency) -> list[str]:
    """How to read it, and what could not be said."""
    plan, lines = found.trained.plan, []
    count = sum(moments.count for moments in found.moments)
    pairs = zip(found.trained.seeds, found.moments, strict=True)
    untold = [f"{seed}" for seed, moments in pairs if not moments.told]
    if not untold:
        lines.append(f"{count:,} decisions, those that the task names as such.")
    elif "decision" in plan.agent.info_keys:
        lines.append(
            f"no episode of seed {', '.join(untold)} reached a decision that "
            f"{plan.env_name} names, so there steps of every kind are looked at: "
            f"{count:,} in all."
        )
    else:
        lines.append(
            f"{plan.env_name} does not name its decisions, so steps of every kind are "
            f"looked at: {count:,}."
        )
    left_out = sum(moments.left_out for moments in found.moments)
    if left_out:
        lines.append(
            f"{left_out:,} more are left out: of each episode at most {MOMENTS} are "
            "looked at, evenly spaced."
        )
    dead = sum(shares.dead for shares in found.shares["gradient"])
    if dead:
        lines.append(
            f"on {dead:,} of the decisions nothing seen before has any influence: the "
            "derivative is exactly 0."
        )
    alike = sum(shares.dead for shares in found.shares["contribution"]) - dead
    if alike:
        lines.append(
            f"on {alike:,} more nothing unusual was seen before, so nothing is due to "
            "it."
        )
    for stop in _stops(found):
        lines.append(
            f"{plan.memory_name}'s gradients stop {stop}: what is remembered by way of "
            "there is not counted."
        )
    if found.cut:
        lines.append(
            f"{found.cut:,} episodes were not over after {LONGEST:,} steps or the "
            "step limit, and are looked at until there."
        )
    if len(found.trained.seeds) > 1:
        lines.append("intervals are of 95 %, over seeds (Student's t).")
    else:
        lines.append("intervals are of 95 %, over episodes of one seed.")
    if not found.example.looks:
        lines.append(f"{plan.memory_name} shows nothing of what it looks at.")
    return lines


def _stops(found: Saliency) -> list[str]:
    """Where gradients stop inside the memories."""
    agent = found.trained.plan.agent
    network = eqx.filter_eval_shape(agent.build_network, jax.random.key(0))
    stops = [memory.card.gradient_stops for memory in memories_of(network)]
    return [stop for stop in dict.fromkeys(stops) if stop != "nowhere"]
