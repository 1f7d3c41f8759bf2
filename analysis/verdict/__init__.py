"""Short-term or long-term memory, declarative or procedural: what a run has tested.

    python -m analysis verdict runs/tmaze/ffm-ppo/20261121-120000
    python -m analysis verdict RUN --test --episodes 1000

After Cherepanov et al. 2024, "Unraveling the Complexity of Memory in RL Agents"
(arXiv:2412.06531): what a success shows depends on the agent's context K and on how far
back the task's cues lie, xi. Proposes the pair of experiments that tells the two kinds
apart; `--test` plays the trained agents beyond what they were trained to bridge.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from rich.console import Console

from agents.convert import ConfigError
from agents.load import load_plan
from agents.running.files.records import write_whole
from agents.running.output.results import finite
from agents.running.trained import restore
from analysis.board import Board
from analysis.retention import check_episodes, play_at
from analysis.retention.horizons import find_dial
from analysis.runs import read_run
from analysis.verdict.kinds import classify, horizons_of, memory_of, reach_of
from analysis.verdict.proposals import propose
from analysis.verdict.told import Verdict
from envs import HostTask

__all__ = ["Verdict", "add_arguments", "main", "play_beyond", "verdict"]


def verdict(run: str | Path) -> Verdict:
    """What kind of memory a run has tested, and what it has shown.

    Args:
        run: the folder.

    Raises:
        ConfigError: no run there, or a task whose horizon nobody knows.
    """
    plan, result = load_plan(run), read_run(run).result
    env = plan.evaluation_env
    if isinstance(env, HostTask):
        raise ConfigError(
            f"{env.id} is a numpy environment, whose horizon nobody knows, so whether "
            "its cues lie in the agent's context cannot be told."
        )
    reach = reach_of(memory_of(plan.agent))
    proposals, impossible = propose(
        plan, reach, classify(reach.context, horizons_of(env.card))
    )
    seeds = [] if result is None else result["seeds"]
    return Verdict(
        run=Path(run),
        task=plan.env_name,
        memory=plan.memory_name,
        card=env.card,
        trained_on=horizons_of(plan.env.card),
        reach=reach,
        gradient_steps=plan.agent.gradient_steps_back,
        seeds={entry["seed"]: entry["verdict"] for entry in seeds},
        proposals=tuple(proposals),
        impossible=impossible,
    )


def play_beyond(
    found: Verdict, episodes: int | None = None, seconds: float = 600.0
) -> Verdict:
    """A verdict with the trained agents played where no cue lies in their context.

    Where none did in training, as with every recurrent memory, they are played beyond
    what they learned to bridge: at twice the horizon, and further than gradients went.

    Args:
        found: of the run.
        episodes: per seed and horizon; None takes the run's own number.
        seconds: after which no more is played.

    Raises:
        ConfigError: no checkpoint, no parameter that moves the cue, or fewer than two
            episodes.
    """
    check_episodes(episodes)
    plan = load_plan(found.run)
    dial = find_dial(plan.env)
    horizons = {dial.horizon, 2 * dial.horizon}
    if found.reach.context > dial.horizon:
        horizons = {dial.horizon, found.reach.context}
    elif found.gradient_steps is not None:
        horizons |= {max(found.gradient_steps, dial.horizon)}
    trained = restore(found.run, plan)
    played = play_at(found.run, trained, dial, sorted(horizons), episodes, seconds)
    return dataclasses.replace(found, tested=played)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("run", help="folder of the run")
    parser.add_argument(
        "--test", action="store_true", help="play the agents where cues lie beyond"
    )
    parser.add_argument("--episodes", type=int, help="per seed and horizon, of --test")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="time of --test (%(default)g)"
    )


def main(arguments: argparse.Namespace) -> None:
    """Tell the verdict, and write it."""
    found = verdict(arguments.run)
    if arguments.test:
        found = play_beyond(found, arguments.episodes, arguments.seconds)
    console = Console(markup=False)
    for line in found.sentences():
        console.print(f"- {line}", highlight=False, soft_wrap=True)
    console.print(f"written to {write(found)}", highlight=False, soft_wrap=True)


def write(found: Verdict) -> Path:
    """Write `verdict.json` into the run's folder `analysis`, and events beside it.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = found.run / "analysis"
    text = json.dumps(finite(found.record()), indent=2, allow_nan=False) + "\n"
    try:
        folder.mkdir(exist_ok=True)
        write_whole(folder / "verdict.json", text)
        board = Board(folder / "verdict")
        board.text("verdict", "\n".join(f"- {line}" for line in found.sentences()))
        board.close()
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    return folder
