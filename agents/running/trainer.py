"""The loop of a run: updates, logs, evaluations, checkpoints, until told to stop.

Calls into compiled code last a few seconds at most, so that signals are served. How
many updates a call makes depends on the machine; the steps at which anything is
logged, evaluated or saved do not.
"""

import contextlib
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from agents import devices
from agents.base import FINITE
from agents.convert import ConfigError
from agents.running.configuration.config import Plan
from agents.running.diagnosis import first_bad_tensor
from agents.running.evaluator import Evaluator, Pace
from agents.running.files.checkpoint import CheckpointError, Checkpoints
from agents.running.files.records import CONFIG_FILE, peak_bytes, write_records
from agents.running.files.stored import Checkpoint
from agents.running.host_updates import LOST, make_updates
from agents.running.jobs import processes
from agents.running.jobs.signals import StopRequest
from agents.running.output.films import Filmer
from agents.running.output.logs import Logs, event_sizes, purge
from agents.running.output.report import progress_bar
from agents.running.output.results import Result, is_written
from agents.running.output.standing import Standing
from agents.running.starting import begin
from agents.running.updates import over_seeds
from agents.running.watcher import Watcher
from envs import HostError, HostTask


class RunError(Exception):
    """A run could not go on; the message is one sentence for the user."""


class Trainer:
    """Runs a plan in a directory, from its newest checkpoint if it has one."""

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        console: Console,
        mesh: Mesh | None = None,
        *,
        whole: Plan | None = None,
        kept_in: Path | None = None,
        watcher: Watcher | None = None,
    ):
        """Prepare; nothing is compiled or written yet.

        Args:
            plan: what to run.
            directory: of the run.
            console: where to print.
            mesh: the devices, from `choose_devices`.
            whole: what the run's folder describes, where `plan` is a part of it.
            kept_in: where checkpoints are kept, if not in `directory`.
            watcher: who is told of evaluations, and may end it early.
        """
        self.plan, self.directory, self.console = plan, directory, console
        self.whole, self.kept_in = whole or plan, kept_in or directory
        self.mesh = mesh
        config = plan.config
        self.agent = plan.agent
        self.num_seeds = config["num_seeds"]
        self.seeds = [config["seed"] + i for i in range(self.num_seeds)]
        self.keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.log_interval = min(config["log_interval"], plan.num_updates)
        self.evaluator = Evaluator(plan, self.keys)
        self.filmer = Filmer(plan)
        self.standing = Standing()
        self.saved_evaluation = -1
        self.stop = StopRequest()
        self.watcher, self.cut = watcher, False

    def run(self) -> Result:
        """Train, evaluate, save.

        Returns:
            What it came to; where a signal stopped it, with `stopped`, and saved.

        Raises:
            RunError: the run's files cannot be written, or are gone.
            ConfigError: the checkpoint does not fit, or there is nothing left to do.
        """
        succeeded = False
        try:
            keep = self.plan.config["checkpoint"]["keep"]
            with (
                self.stop,
                contextlib.closing(
                    Checkpoints(self.kept_in, keep=keep)
                ) as self.checkpoints,
                contextlib.ExitStack() as self.opened,
            ):
                self.opened.callback(self.evaluator.close)
                state, pending = self._enter()
                state = devices.place(state, self.agent, self.mesh)
                self.logs = Logs(self.directory, self.seeds, self.whole.config)
                try:
                    self.logs.pending = pending
                    last_step = self.plan.num_updates * self.agent.steps_per_update
                    card = self.plan.evaluation_env.card
                    self.logs.write_references(card, last_step)
                    result = self._train(state)
                    succeeded = result.stopped is None and not result.cut
                    if succeeded:
                        self.logs.write_result(result, self.step)
                finally:
                    self.logs.finish(succeeded, frozen=self.standing.frozen)
        except HostError as error:
            told = f"{error}; it stops at step {self.step:,}, and {self._remains()}."
            raise RunError(told) from error
        except OSError as error:
            self._fail_if_deleted()
            raise RunError(
                f"the run's files cannot be written: {error.strerror or error} "
                f"({error.filename or self.directory}); {self._remains()}."
            ) from error
        return result

    @property
    def step(self) -> int:
        """Environment steps so far, per seed."""
        return self.standing.updates * self.agent.steps_per_update

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to learn."""
        frozen = len(self.standing.frozen) == self.num_seeds
        return self.standing.updates >= self.plan.num_updates or frozen

    # Stages ---------------------------------------------------------------------

    def _enter(self) -> tuple[Any, dict[str, np.ndarray]]:
        """The state to begin with, and metrics that wait to be logged."""
        init = jax.jit(over_seeds(self.agent.init, self.num_seeds))
        lost, latest = self.checkpoints.lost(), self.checkpoints.latest()
        if latest is None and lost is None:
            purge(self.directory, {}, self.seeds)
            return begin(self.plan, self.keys), {}
        checkpoint = self.checkpoints.restore(jax.eval_shape(init, self.keys))
        notes = checkpoint.notes
        self.standing = Standing.of(notes, self.agent.steps_per_update)
        self.saved_evaluation = self.standing.evaluated_at
        self._check_there_is_more()
        if processes.is_first():
            write_records(self.whole, self.directory)
        purge(self.directory, notes["event_sizes"], self.seeds)
        self._print(f"resumed at step {self.step:,}")
        if isinstance(self.agent.env, HostTask):
            self._print(f"note    {LOST}")
        if lost is not None:
            self._print(f"note    a newer checkpoint, of update {lost}, is gone")
        return checkpoint.state, checkpoint.pending

    def _check_there_is_more(self) -> None:
        """Refuse a run that ended, but for one whose result was not written."""
        standing = self.standing
        if standing.scores and not is_written(self.whole, self.directory):
            return
        if len(standing.frozen) == self.num_seeds:
            raise ConfigError(
                f"{self.directory} cannot go on: every seed stopped being finite."
            )
        complete = standing.evaluated_at == self.step
        if standing.updates + complete > self.plan.num_updates:
            raise ConfigError(
                f"{self.directory} is complete with {self.step:,} steps; set a larger "
                "total_steps to go on, or a larger num_seeds to add seeds."
            )

    def _train(self, state: Any) -> Result:
        first_step, compile_seconds = self.step, 0.0
        self.began, self.seconds_before = time.perf_counter(), self.standing.seconds
        signal = None
        if self.plan.config["start_from"] is not None and not self.standing.updates:
            self._save(state, must=True)  # from now on without the run it started from
        if not self.finished and self._stopping() is None:
            update, compile_seconds = make_updates(
                *(self.agent, self.seeds, self.log_interval, state, self.mesh),
                *(self.standing.updates, self.opened),
            )
            self.logs.write_shared({"time/compile_seconds": compile_seconds}, self.step)
            self._print(f"compile {compile_seconds:.1f} s")
            self.began = time.perf_counter()
            state, signal = self._loop(update, state)
        else:
            signal = self._at_boundary(state)
        if signal is None:
            self._save(state, must=True)
        return Result(
            plan=self.plan,
            directory=self.directory,
            seeds=self.seeds,
            scores=self.standing.scores,
            evaluated_at=self.standing.evaluated_at,
            frozen=self.standing.frozen,
            params=devices.gather(state.params, self.mesh),
            seed_steps=self.standing.seed_steps(
                self.num_seeds, self.agent.steps_per_update
            ),
            seconds=self._seconds(),
            compile_seconds=compile_seconds,
            train_seconds=time.perf_counter() - self.began,
            steps=(self.step - first_step) * self.num_seeds,
            stopped=signal,
            cut=self.cut,
        )

    def _loop(self, update: Any, state: Any) -> tuple[Any, int | None]:
        """Updates until the end, or until a signal: its number."""
        pace, num_updates = Pace(), self.plan.num_updates
        total = num_updates * self.agent.steps_per_update
        with progress_bar(self.console) as progress:
            task = progress.add_task("", total=total, completed=self.step, note="")
            speed = ""
            while True:
                signal = self._at_boundary(state)
                if signal is not None or self.finished or self.cut:
                    progress.update(task, note=speed + self._told_return())
                    return state, signal
                boundary = self.log_interval - self.standing.updates % self.log_interval
                boundary = min(boundary, num_updates - self.standing.updates)
                count = processes.agree(pace.units(boundary), None)[0]
                state, seconds = self._call(update, state, count)
                pace.took(count, seconds)
                rate = count * self.agent.steps_per_update * self.num_seeds / seconds
                speed = f"{rate:,.0f} steps/s"
                note = speed + self._told_return()
                progress.update(task, completed=self.step, note=note)

    def _call(self, update: Any, state: Any, count: int) -> tuple[Any, float]:
        """`count` updates; what they logged waits until its interval is complete."""
        began = time.perf_counter()
        state, metrics = update(state, jnp.asarray(count, jnp.int32))
        metrics = jax.tree.map(lambda x: np.asarray(x)[:, :count], metrics)
        seconds = time.perf_counter() - began
        self._freeze(metrics.pop(FINITE), state, getattr(update, "collected", ()))
        self.standing.updates += count
        self.logs.add(metrics)
        finished = self.standing.updates == self.plan.num_updates
        if finished or self.standing.updates % self.log_interval == 0:
            rate = count * self.agent.steps_per_update * self.num_seeds / seconds
            shared = {
                "time/steps_per_second": rate,
                "memory/peak_bytes": float(peak_bytes()),
            }
            self.logs.write(shared, self.step, frozen=self.standing.frozen)
        return state, seconds

    def _at_boundary(self, state: Any) -> int | None:
        """Evaluate and save where due; where asked to stop, save, and say by what."""
        standing, finished = self.standing, self.finished
        whole = finished or standing.updates % self.log_interval == 0
        if whole:
            self._fail_if_deleted(state)
        interval = self.plan.config["evaluation"]["interval"]
        if whole and self._due(interval, standing.evaluated_at, finished):
            scores = None
            if self._stopping() is None:
                params = devices.gather(state.params, self.mesh)
                scores = self.evaluator(params, self.stop)
            if scores is not None:
                standing.scores = scores
                self.logs.write_scores(scores, self.step, frozen=standing.frozen)
                standing.evaluated_at = self.step
                self._film(params)
                self.cut = self._is_cut() and not finished
        if (signal := self._stopping()) is not None:
            self._save(state, must=True)
            name = self.directory
            self._print(f"stopped at step {self.step:,}; go on with resume={name}")
            return signal
        interval = self.plan.config["checkpoint"]["interval"]
        saved_at = max(standing.saved_at, 0)
        if whole and not finished and self._due(interval, saved_at, finished):
            self._save(state)
        return None

    def _film(self, params: Any) -> None:
        """Film the first seed, where that is asked for and it is finite."""
        if 0 in self.standing.frozen or not processes.is_first():
            return
        film = self.filmer(jax.tree.map(lambda x: x[0], params))
        if film is not None:
            self.logs.write_film(film, self.step)

    def _is_cut(self) -> bool:
        """Tell who watches of an evaluation; whether that is the end of it."""
        if self.watcher is None:
            return False
        scores, frozen = self.standing.scores, self.standing.frozen
        kept = [score for i, score in enumerate(scores) if i not in frozen]
        ends = not self.watcher.evaluated(self.step, kept)
        return processes.agree(0, 1 if ends else None)[1] is not None

    def _stopping(self) -> int | None:
        """The signal that told this process, or any other of the run, to stop."""
        return processes.agree(0, self.stop.received)[1]

    def _due(self, interval: int | None, before: int, finished: bool) -> bool:
        """Whether a multiple of `interval` lies between step `before` and now."""
        if before < 0 or (finished and before < self.step):
            return True
        return interval is not None and self.step // interval > before // interval

    # Seeds that stop being finite -----------------------------------------------

    def _freeze(self, finite: np.ndarray, state: Any, collected: Any) -> None:
        """Note and name the seeds that a call left at their last good state."""
        for index in np.flatnonzero((finite == 0).any(axis=1)):
            if index in self.standing.frozen:
                continue
            number = self.standing.updates + int(np.argmax(finite[index] == 0)) + 1
            whole = devices.gather(state, self.mesh)
            one = jax.tree.map(lambda x, i=index: x[i], whole)
            where = f"update {number:,} (step {number * self.agent.steps_per_update:,})"
            where += f": first {first_bad_tensor(self.agent, one, *collected)}"
            self.standing.frozen[int(index)] = where
            self.standing.frozen_after[int(index)] = number - 1
            self._print(
                f"seed {self.seeds[index]} stopped being finite in {where}. It stays "
                "at its last good state; a smaller agent.learning_rate may help."
            )

    def _told_return(self) -> str:
        """The mean return to show beside the progress, and what it is of.

        Evaluations that happen at the start and the end only say nothing about the
        time between; there it is the return of training episodes.
        """
        kept = [i for i in range(self.num_seeds) if i not in self.standing.frozen]
        evaluated = self.standing.scores and (
            self.plan.config["evaluation"]["interval"] is not None
            or self.standing.evaluated_at == self.step
        )
        if not kept:
            return ""
        if evaluated:
            mean = np.mean([self.standing.scores[i].mean for i in kept])
            return f", return {mean:.2f}"
        returns = self.logs.last.get("train/return")
        if returns is None or np.isnan(returns[kept]).all():
            return ""  # nothing logged yet, or no episode ended
        return f", training return {np.nanmean(returns[kept]):.2f}"

    # Saving ---------------------------------------------------------------------

    def _save(self, state: Any, *, must: bool = False) -> None:
        """Save; where it fails and nothing is at stake yet, say so and go on."""
        standing = self.standing
        now = (self.step, standing.evaluated_at)
        if (standing.saved_at, self.saved_evaluation) == now:
            return  # nothing happened since
        self.logs.flush()
        whole = devices.gather(state, self.mesh)
        if not processes.is_first():
            return
        self.standing.seconds = self._seconds()
        sizes = event_sizes(self.directory, self.seeds)
        notes = {**self.standing.notes(), "event_sizes": sizes}
        checkpoint = Checkpoint(whole, self.logs.pending, notes)
        try:
            saved = self.checkpoints.save(self.standing.updates, checkpoint)
        except CheckpointError as error:
            told = f"step {self.step:,} could not be saved: {error}; {self._remains()}"
            if must:
                raise RunError(f"{told}.") from error
            self._print(f"{told}; training goes on")
            return
        standing.saved_at = self.step
        self.saved_evaluation = standing.evaluated_at
        self._print(
            f"saved   step {self.step:,}: {saved.bytes / 1e6:.1f} MB in "
            f"{saved.seconds:.2f} s"
        )

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.began

    def _remains(self) -> str:
        if self.standing.saved_at < 0:
            return "there is no checkpoint yet"
        return f"the checkpoint of step {self.standing.saved_at:,} is whole"

    def _fail_if_deleted(self, state: Any = None) -> None:
        """Stop where the run's folder, or its newest checkpoint, has been deleted.

        Raises:
            RunError: with what was saved anew of `state`.
        """
        if not processes.is_first():
            return
        if not (self.directory / CONFIG_FILE).is_file():
            raise RunError(
                f"{self.directory} was deleted or moved while it trained; it stops at "
                f"step {self.step:,}, and nothing later than what is there is kept."
            )
        saved_updates = self.standing.saved_at // self.agent.steps_per_update
        if self.standing.saved_at < 0 or saved_updates in self.checkpoints.updates():
            return
        told = f"the checkpoint of step {self.standing.saved_at:,} was deleted while "
        told += f"{self.directory} trained"
        self.standing.saved_at = -1
        if state is None:
            raise RunError(f"{told}; there is no other.")
        self._save(state, must=True)
        raise RunError(
            f"{told}; step {self.step:,} is saved in its place, go on with "
            f"resume={self.directory}."
        )

    # Printing -------------------------------------------------------------------

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)
