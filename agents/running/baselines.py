"""The loop of a run whose agent Stable-Baselines3 trains: one seed after the other.

What it leaves is what every run leaves: event files with the same tags, references,
verdict and `result.json`; of each seed `model.zip` in place of a checkpoint.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from rich.console import Console
from rich.progress import Progress

from agents import evaluate
from agents.evaluate import Episodes, Score
from agents.running.configuration.config import Plan
from agents.running.files.records import peak_bytes
from agents.running.jobs.signals import StopRequest
from agents.running.output.logs import Logs, purge
from agents.running.output.report import progress_bar
from agents.running.output.results import Result
from agents.running.trainer import RunError
from agents.running.watcher import Watcher
from agents.sb3.baseline import Baseline
from agents.sb3.playing import play

MODEL_FILE = "model.zip"
"""In the folder of each seed: what `load` of Stable-Baselines3 reads."""

NOT_FINITE = ("invalid values", "contains either `inf`, `nan`")
"""What torch says of a distribution without numbers: as it is made or, where a package
that was imported has switched checks of arguments off, as an action is drawn."""

EVALUATION = 1
"""Use of a seed by environments that nothing learns from."""


def complete(plan: Plan, directory: Path, kept_in: Path) -> None:
    """None: a run that is complete is not told again, it is made anew."""


def train(
    plan: Plan,
    directory: Path,
    console: Console,
    mesh: Mesh | None = None,
    watcher: Watcher | None = None,
) -> Result:
    """Train and evaluate every seed of a plan.

    Args:
        plan: what to run.
        directory: of the run.
        console: where to print.
        mesh: None; there is one device.
        watcher: not told of evaluations: seeds are trained one after the other.

    Raises:
        RunError: the run's files cannot be written.
    """
    config = plan.config
    seeds = [config["seed"] + i for i in range(config["num_seeds"])]
    runs = [SeedRun(plan, directory, seed) for seed in seeds]
    began = time.perf_counter()
    try:
        purge(directory, {}, seeds)  # a run that was here before begins anew
        with StopRequest() as stop, progress_bar(console) as progress:
            for run in runs:
                if stop.received is None:
                    run.train(stop, progress)
        seconds = time.perf_counter() - began
        result = _result(plan, directory, runs, stop, seconds)
    except OSError as error:
        raise RunError(
            f"the run's files cannot be written: {error.strerror or error} "
            f"({error.filename or directory}); agents of Stable-Baselines3 keep no "
            "checkpoints."
        ) from error
    return result


def _result(
    plan: Plan,
    directory: Path,
    runs: Sequence["SeedRun"],
    stop: StopRequest,
    seconds: float,
) -> Result:
    """What the seeds came to; scores only where every seed has one."""
    stopped = stop.received if any(not run.ended for run in runs) else None
    scored = all(run.score is not None for run in runs)
    return Result(
        plan=plan,
        directory=directory,
        seeds=[run.seed for run in runs],
        scores=[run.score for run in runs if run.score] if scored else [],
        evaluated_at=min(run.evaluated_at for run in runs),
        frozen={i: run.frozen for i, run in enumerate(runs) if run.frozen},
        params=None,
        seed_steps=[run.step for run in runs],
        seconds=seconds,
        compile_seconds=0.0,
        train_seconds=seconds,
        steps=sum(run.step for run in runs),
        stopped=stopped,
    )


class SeedRun:
    """One seed: its model, its logs, its evaluations.

    Attributes:
        seed: its number.
        step: environment steps so far.
        score: of the last evaluation, None before the first.
        evaluated_at: the step of that, -1 before.
        frozen: where it stopped being finite, None where it did not.
        ended: whether there is nothing left to learn.
    """

    def __init__(self, plan: Plan, directory: Path, seed: int):
        """Prepare; nothing is built yet."""
        self.plan, self.directory, self.seed = plan, directory, seed
        self.agent: Baseline = plan.agent
        self.total = plan.num_updates * self.agent.steps_per_update
        self.step, self.evaluated_at = 0, -1
        self.score: Score | None = None
        self.frozen: str | None = None
        self.ended = False

    def train(self, stop: StopRequest, progress: Progress) -> None:
        """Learn until the end, or until asked to stop; save the model."""
        self._stop, self._progress, self._updates = stop, progress, 0
        self._task = progress.add_task("", total=self.total, completed=0, note="")
        self._logs = Logs(self.directory, [self.seed], self.plan.config)
        began = time.perf_counter()
        try:
            self._logs.write_references(self.plan.evaluation_env.card, self.total)
            model = self._learn()
            model.save(self.directory / f"seed_{self.seed}" / MODEL_FILE)
            if self.ended:
                seconds = time.perf_counter() - began
                result = _result(self.plan, self.directory, [self], stop, seconds)
                self._logs.write_result(result, self.step)
        finally:
            self._logs.finish(self.ended and self.frozen is None, frozen=())

    def _learn(self) -> Any:
        """The model, with what it learned."""
        from stable_baselines3.common.logger import Logger

        from agents.sb3.callback import UpdateCallback

        agent = self.agent
        env = agent.vec_env(agent.env, agent.num_envs, self.seed)
        model = agent.model(env, self.seed)
        # Its own would make a folder of the temporary directory for every seed.
        model.set_logger(Logger(folder=None, output_formats=[]))
        self._at_boundary(model)
        callback = UpdateCallback(
            self._updated, lambda: self._stop.received is not None
        )
        finite = True
        try:
            model.learn(self.total, callback=callback, log_interval=None)
        except (ValueError, RuntimeError) as error:
            finite = not any(told in str(error) for told in NOT_FINITE)
            if finite:
                raise
        if not finite or not _is_finite(model):
            self.frozen = f"update {self._updates + 1:,} (step {self.step:,})"
        # The last evaluation is of the last step, unless it was told to stop there.
        self.ended = self.frozen is not None or self.evaluated_at == self.total
        return model

    def _updated(self, model: Any, episodes: dict[str, float]) -> bool:
        """After every update: log, evaluate; whether to go on."""
        if not _is_finite(model):
            return False
        self._updates += 1
        self.step = self._updates * self.agent.steps_per_update
        metrics = {**episodes, **self.agent.learned(model)}
        model.logger.name_to_value.clear()
        model.logger.name_to_count.clear()
        self._logs.add({tag: np.asarray([[value]]) for tag, value in metrics.items()})
        if self._whole():
            seconds = time.perf_counter() - self._began
            count = self._updates - self._logged
            rate = count * self.agent.steps_per_update / max(seconds, 1e-9)
            shared = {
                "time/steps_per_second": rate,
                "memory/peak_bytes": float(peak_bytes()),
            }
            self._logs.write(shared, self.step, frozen=())
            note = f"{rate:,.0f} steps/s"
            if self.score is not None:
                note += f", return {self.score.mean:.2f}"
            self._progress.update(self._task, completed=self.step, note=note)
            self._at_boundary(model)
        return True

    def _whole(self) -> bool:
        interval = self.plan.config["log_interval"]
        return self._updates % interval == 0 or self.step >= self.total

    def _at_boundary(self, model: Any) -> None:
        """Evaluate where that is due, and measure speed anew."""
        interval, before = self.plan.config["evaluation"]["interval"], self.evaluated_at
        due = before < 0 or self.step >= self.total
        if interval is not None and before >= 0:
            due = due or self.step // interval > before // interval
        if due and self._stop.received is None:
            self._evaluate(model)
        self._logged, self._began = self._updates, time.perf_counter()

    def _evaluate(self, model: Any) -> None:
        settings, env = self.plan.config["evaluation"], self.plan.evaluation_env
        streams = self.agent.vec_env(env, settings["episodes"], (self.seed, EVALUATION))
        played = play(
            model,
            streams,
            step_limit=env.card.max_episode_steps or settings["step_limit"],
            deterministic=settings["exploration"] == 0.0,
            stopping=lambda: self._stop.received is not None,
        )
        if played is None:
            return
        self.score = evaluate.score(Episodes(**played))
        self.evaluated_at = self.step
        self._logs.write_scores([self.score], self.step, frozen=())


def _is_finite(model: Any) -> bool:
    """Whether every parameter is."""
    return all(bool(p.isfinite().all()) for p in model.policy.parameters())
