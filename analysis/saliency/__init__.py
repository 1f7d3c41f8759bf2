"""Which past observations the decisions of a trained agent depend on.

    python -m analysis saliency runs/tmaze/ffm-ppo/20261121-120000
    python -m analysis saliency RUN --episodes 128 --seed 0 --exploration null

Plays episodes with the newest policies, and at each moment of decision takes the
derivative of what the action was chosen by (its log-odds, or its value) with respect to
every input since the episode began. Pictures and numbers go into
`RUN/analysis`: where in the past the dependence lies, a filmstrip of one episode, and
what the memory itself looked at there.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from agents.base import ExplorationError, Inputs
from agents.convert import ConfigError, convert
from agents.load import load_plan
from agents.running.configuration.config import Plan
from agents.running.trained import Trained, restore
from analysis.probe.playing import Steps
from analysis.saliency.episodes import Differentiator, play
from analysis.saliency.gradients import Dependence, needs_decision
from analysis.saliency.shares import Moments, Shares, moments_of, shares_of

__all__ = ["Example", "Saliency", "add_arguments", "main", "saliency"]

EPISODES = 64
MOMENTS = 16
"""Moments of decision of each episode that are looked at, at most."""


@dataclasses.dataclass(frozen=True)
class Example:
    """One episode, looked at closely.

    Attributes:
        moments: its steps that decide, `[moments]`.
        found: how much each depends on each step, `[moments, time]`.
        frame: draws a step; None where the task cannot be drawn.
        looks: what the memory looks at, by name, `[time, ...]`; empty where it shows
            nothing.
    """

    moments: np.ndarray
    found: Dependence
    frame: Callable[[int], np.ndarray] | None
    looks: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Saliency:
    """What the decisions of a run's agents depend on.

    Attributes:
        run: the folder.
        trained: the policies.
        episodes: that each seed played.
        exploration: how: 0.0 is greedy, None as the policy samples.
        cut: episodes that were not over when their playing was.
        moments: of every seed.
        shares: by measure (a field of `Dependence`), of every seed.
        example: the first episode of the first seed.
    """

    run: Path
    trained: Trained
    episodes: int
    exploration: float | None
    cut: int
    moments: list[Moments]
    shares: dict[str, list[Shares]]
    example: Example


def saliency(
    run: str | Path,
    *,
    episodes: int = EPISODES,
    seed: int | None = None,
    exploration: float | str | None = "as evaluated",
) -> Saliency:
    """Play a run's newest policies, and differentiate their decisions.

    Args:
        run: the folder.
        episodes: that each seed plays.
        seed: which of its seeds; None for all.
        exploration: 0.0 to act greedily, None as the policy samples, a number for
            agents that try actions at random; by default as in the run's evaluations.

    Raises:
        ConfigError: no run or no checkpoint there, an exploration that the agent does
            not have, or nothing that can be differentiated.
    """
    if episodes < 2:
        raise ConfigError(
            f"episodes={episodes} must be at least 2, to tell what is unusual in one."
        )
    plan = load_plan(run)
    if exploration == "as evaluated":
        exploration = plan.config["evaluation"]["exploration"]
    how = convert(exploration, float | None, "exploration")
    trained = restore(run, plan, seed)
    params = [
        jax.tree.map(lambda x, i=i: x[i], trained.params)
        for i in range(len(trained.seeds))
    ]
    needs_decision(plan.agent.network(params[0]))
    try:
        played = play(plan, trained, episodes, how)
    except ExplorationError as error:
        raise ConfigError(str(error)) from None
    moments = [moments_of(x.playing, x.decision, MOMENTS) for x in played]
    if not any(found.count for found in moments):
        raise ConfigError(
            f"no episode of {run} has a step with a past, so there is nothing that a "
            "decision could depend on."
        )
    differentiate = Differentiator(plan.agent)
    parts = list(zip(played, moments, strict=True))
    found = [
        differentiate(own, steps, decided.steps)
        for own, (steps, decided) in zip(params, parts, strict=True)
    ]
    shares = {
        measure: [
            shares_of(getattr(one, measure), decided, steps.told["ages"])
            for one, (steps, decided) in zip(found, parts, strict=True)
        ]
        for measure in Dependence._fields
    }
    return Saliency(
        run=Path(run),
        trained=trained,
        episodes=episodes,
        exploration=how,
        cut=sum(int((~steps.ended.any(0)).sum()) for steps in played),
        moments=moments,
        shares=shares,
        example=_example(plan, params[0], *parts[0], found[0]),
    )


def _example(
    plan: Plan, params: Any, steps: Steps, moments: Moments, found: Dependence
) -> Example:
    """The first episode of a seed."""
    env, agent = plan.evaluation_env, plan.agent
    length = max(1, int(steps.playing[:, 0].sum()))
    inputs = jax.tree.map(lambda x: x[:length, :1], steps.told["inputs"])

    @jax.jit
    def look(params: Any, inputs: Inputs) -> Any:
        network = agent.network(params)
        return network.inspect(agent.initial_memory(params, 1), inputs)

    looks = look(params, inputs) if hasattr(agent.network(params), "inspect") else {}
    render = None if env.render is None else jax.jit(env.render)

    def frame(step: int) -> np.ndarray:
        assert render is not None
        state = jax.tree.map(lambda x: x[step], steps.told["state"])
        return np.asarray(render(state))

    own = moments.steps[:, 0] >= 0
    return Example(
        moments=moments.steps[own, 0],
        found=Dependence(*(x[own, 0, :length] for x in found)),
        frame=frame if render is not None else None,
        looks={name: np.asarray(x[:, 0]) for name, x in looks.items()},
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("run", help="folder of the run")
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, help="of each seed (%(default)s)"
    )
    parser.add_argument("--seed", type=int, help="one of the run's seeds; all of them")
    parser.add_argument(
        "--exploration",
        default="as evaluated",
        help="0.0 is greedy, null as the policy samples; as in the run's evaluations",
    )


def main(arguments: argparse.Namespace) -> None:
    """Play, differentiate, print a table and write pictures, numbers and events."""
    from analysis.saliency.report import tell, write

    word = arguments.exploration
    found = saliency(
        arguments.run,
        episodes=arguments.episodes,
        seed=arguments.seed,
        exploration=None if word == "null" else word,
    )
    console = Console(markup=False)
    tell(found, console)
    for path in write(found):
        console.print(f"wrote   {path}", highlight=False, soft_wrap=True)
