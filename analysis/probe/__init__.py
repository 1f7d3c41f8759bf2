"""What the memory's state of a trained agent holds, for how long, and who needs it.

    python -m analysis probe runs/tmaze/ffm-ppo/20261130-142704
    python -m analysis probe RUN --episodes 2000 --seed 0
    python -m analysis probe RUN --twin runs/twin/gru-ppo/... runs/twin/none-ppo/...

Plays episodes with the newest policy and reads the task's hidden variables from the
memory's state by linear readouts, beside what the current observation and an untrained
memory give; tells what shape the states make; lets the memory alone read noise; and
swaps the memories of two streams. Tables go to the terminal, and picture, JSON and
TensorBoard's events into the run's folder `analysis`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from agents.convert import ConfigError
from agents.load import load_plan
from agents.running.trained import Trained, restore
from analysis.interval import limits_of, over_seeds
from analysis.probe import decoding, swapping
from analysis.probe.disturbing import Disturbed, Disturber
from analysis.probe.recording import Recorder, needs_state
from analysis.probe.report import Report, tell, write
from analysis.probe.seeds import Recorded, geometry_of, record
from analysis.probe.twins import compare_twin
from analysis.runs import read_run

__all__ = ["Report", "add_arguments", "main", "probe_run", "tell", "write"]

EPISODES = 500
FEWEST = 100
"""Episodes that a probe needs: a fifth of them is what readouts are judged on."""

LONGEST = 2000
"""Steps after which an episode is given up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("run", help="folder of the run")
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, help=f"of each seed ({EPISODES})"
    )
    parser.add_argument("--seed", type=int, help="one of the run's seeds; all of them")
    parser.add_argument(
        "--twin",
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs on the task's fully observable twin: same memory, and memory=none",
    )


def main(arguments: argparse.Namespace) -> None:
    """Probe a run, print tables and write the files.

    Raises:
        ConfigError: it cannot be probed.
    """
    console = Console(markup=False)
    report = probe_run(
        arguments.run,
        episodes=arguments.episodes,
        seed=arguments.seed,
        twins=arguments.twin,
    )
    tell(report, console)
    folder = Path(arguments.run) / "analysis"
    try:
        files = write(report, folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    for path in files:
        console.print(f"wrote   {path}", highlight=False, soft_wrap=True)


def probe_run(
    run: str | Path,
    *,
    episodes: int = EPISODES,
    seed: int | None = None,
    twins: Sequence[str] = (),
) -> Report:
    """What the memory of a run's newest policies holds.

    Args:
        run: the folder.
        episodes: to play with each seed.
        seed: which of the run's seeds; None for all.
        twins: folders of runs on the task's fully observable twin.

    Raises:
        ConfigError: no such run, or one that cannot be probed.
    """
    if episodes < FEWEST:
        raise ConfigError(
            f"--episodes {episodes} are too few to fit readouts and to judge them on "
            f"others; give at least {FEWEST}."
        )
    plan = load_plan(run)
    env, settings = plan.evaluation_env, plan.config["evaluation"]
    needs_state(plan, run)
    twin = compare_twin(env, plan.config, read_run(run), twins)
    trained = restore(run, plan, seed)
    longest = env.card.max_episode_steps or settings["step_limit"]
    sizes = {"episodes": episodes, "limit": min(longest, LONGEST)}
    recorder = Recorder(plan, **sizes)
    disturber, swapper = Disturber(plan, **sizes), swapping.Swapper(plan, **sizes)
    found, disturbed, swaps = [], [], []
    for index, key in enumerate(trained.keys):
        params = jax.tree.map(lambda x, i=index: x[i], trained.params)
        recorded, spread = record(recorder, params, seed_key=key, number=index)
        found.append(recorded)
        disturbed.append(disturber(params, spread, seed_key=key))
        swaps.append(swapper(params, seed_key=key))
    report = Report(
        described=_described(trained, episodes),
        lags=decoding.together([x.lags for x in found]),
        unseen=decoding.all_unseen([x.unseen for x in found]),
        geometry=geometry_of(found, recorder.numbers, FEWEST // 10),
        disturbed=_together(disturbed, env.card.measure, episodes),
        measure=env.card.measure,
        references={x: getattr(env.card, x).value for x in ("memoryless", "recall")},
        swaps=swapping.together(swaps),
        twin=twin,
        notes=[],
    )
    return report._replace(notes=_notes(report, trained, recorder, found))


def _described(trained: Trained, episodes: int) -> str:
    plan = trained.plan
    greedy = plan.config["evaluation"]["exploration"] == 0
    seeds = f"seed {trained.seeds[0]}"
    if len(trained.seeds) > 1:
        seeds += f" to {trained.seeds[-1]}"
    return (
        f"{plan.env_name}: the state of {plan.memory_name} after {trained.step:,} "
        f"steps, {seeds}, {episodes:,} episodes each, "
        f"{'greedily' if greedy else 'as the policy samples'}"
    )


def _together(
    found: list[list[Disturbed]], measure: str, episodes: int
) -> list[Disturbed]:
    """The same strengths of several seeds, of so many episodes each, as one."""
    trials = len(found) * episodes if measure == "success" else 0
    return [
        Disturbed(
            same[0].strength,
            float(np.mean([x.share for x in same])),
            over_seeds([x.score for x in same], *limits_of(measure), trials),
        )
        for same in zip(*found, strict=True)
    ]


def _notes(
    report: Report, trained: Trained, recorder: Recorder, found: list[Recorded]
) -> list[str]:
    """What could not be said, and how intervals are made."""
    env, notes = trained.plan.evaluation_env, []
    of = "seeds (Student's t)" if len(found) > 1 else "episodes"
    notes.append(f"intervals are of 95 %, over {of}.")
    if env.hidden is None:
        notes.append(
            f"{trained.plan.env_name} names no hidden variables, so nothing is read "
            "from the state and no memories are swapped."
        )
    elif not report.lags:
        notes.append(
            f"at no lag enough episodes could be compared, which takes "
            f"{decoding.FEWEST} in each part; play more with --episodes."
        )
    notes += [str(x) for x in report.unseen if x.steps]
    if env.hidden is not None and not report.swaps:
        notes.append(
            "no memories were swapped: no hidden variable is a single discrete value "
            "that differs between streams at the time."
        )
    notes += [
        f"{x.variable}: memories were swapped in {x.seeds} of {len(found)} seeds; in "
        "the others no two streams could exchange them."
        for x in report.swaps
        if x.seeds < len(found)
    ]
    if report.geometry.kept < report.geometry.numbers:
        notes.append(
            f"the {report.geometry.numbers:,} numbers of the state were projected at "
            f"random to {report.geometry.kept}; rank and readouts are of these."
        )
    if any(x.cut for x in found):
        notes.append(
            f"of each episode the first {recorder.limit:,} steps were written down."
        )
    return notes
