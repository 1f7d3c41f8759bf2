"""The loop of a run: updates, logs, evaluations, checkpoints, until told to stop.

Calls into compiled code last a few seconds at most, so that signals are served. How
many updates a call makes depends on the machine; the steps at which anything is
logged, evaluated or saved do not.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from agents import devices, evaluate
from agents.convert import ConfigError
from agents.running import processes
from agents.running.checkpoint import CheckpointError, Checkpoints
from agents.running.config import Plan
from agents.running.diagnosis import first_bad_tensor
from agents.running.evaluator import Evaluator, Pace
from agents.running.logs import Logs, event_sizes, purge
from agents.running.records import peak_bytes, write_records
from agents.running.report import Result, progress_bar
from agents.running.signals import Stopped, StopRequest
from agents.running.stored import Checkpoint
from agents.running.updates import FINITE, compile_updates, over_seeds


class RunError(Exception):
    """A run could not go on; the message is one sentence for the user."""


@dataclasses.dataclass
class Standing:
    """Where a run stands; what a checkpoint notes beside the arrays.

    Attributes:
        updates: made so far.
        evaluated_at: step of the last evaluation, -1 before the first.
        saved_at: step of the last checkpoint, -1 before the first.
        frozen: by index of the seed, where it stopped being finite.
    """

    updates: int = 0
    evaluated_at: int = -1
    saved_at: int = -1
    frozen: dict[int, str] = dataclasses.field(default_factory=dict)


class Trainer:
    """Runs a plan in a directory, from its newest checkpoint if it has one."""

    def __init__(
        self, plan: Plan, directory: Path, console: Console, mesh: Mesh | None = None
    ):
        """Prepare; nothing is compiled or written yet."""
        self.plan, self.directory, self.console = plan, directory, console
        self.mesh = mesh
        config = plan.config
        self.agent = plan.agent
        self.num_seeds = config["num_seeds"]
        self.seeds = [config["seed"] + i for i in range(self.num_seeds)]
        self.keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.log_interval = min(config["log_interval"], plan.num_updates)
        self.checkpoints = Checkpoints(directory, keep=config["checkpoint"]["keep"])
        self.evaluator = Evaluator(plan, self.keys)
        self.standing = Standing()
        self.scores: list[evaluate.Score] = []
        self.stop = StopRequest()

    def run(self) -> Result:
        """Train, evaluate, save.

        Raises:
            Stopped: a signal asked for it; the run is saved and can be resumed.
            RunError: the run's files cannot be written.
            ConfigError: the checkpoint does not fit, or there is nothing left to do.
        """
        state, pending = self._enter()
        state = devices.place(state, self.agent, self.mesh)
        succeeded = False
        try:
            self.logs = Logs(self.directory, self.seeds, self.plan.config)
            try:
                self.logs.pending = pending
                last_step = self.plan.num_updates * self.agent.steps_per_update
                card = self.plan.evaluation_env.card
                self.logs.write_references(card, last_step)
                with self.stop:
                    result = self._train(state)
                succeeded = True
            finally:
                self.logs.finish(succeeded, frozen=self.standing.frozen)
        except OSError as error:
            raise RunError(
                f"the run's files cannot be written: {error.strerror} "
                f"({error.filename or self.directory}); {self._remains()}."
            ) from error
        finally:
            self.checkpoints.close()
        return result

    @property
    def step(self) -> int:
        """Environment steps so far, per seed."""
        return self.standing.updates * self.agent.steps_per_update

    # Stages ---------------------------------------------------------------------

    def _enter(self) -> tuple[Any, dict[str, np.ndarray]]:
        """The state to begin with, and metrics that wait to be logged."""
        init = jax.jit(over_seeds(self.agent.init, self.num_seeds))
        if self.checkpoints.latest() is None:
            purge(self.directory, {})
            return init(self.keys), {}
        checkpoint = self.checkpoints.restore(jax.eval_shape(init, self.keys))
        notes = checkpoint.notes
        self.standing = Standing(
            updates=notes["updates"],
            evaluated_at=notes["evaluated_at"],
            frozen={int(index): where for index, where in notes["frozen"].items()},
        )
        self.standing.saved_at = self.step
        if self._all_frozen():
            raise ConfigError(
                f"{self.directory} cannot go on: every seed stopped being finite."
            )
        complete = self.standing.evaluated_at == self.step
        if self.standing.updates + complete > self.plan.num_updates:
            raise ConfigError(
                f"{self.directory} is complete with {self.step:,} steps; set a larger "
                "total_steps to go on."
            )
        if processes.is_first():
            write_records(self.plan, self.directory)
        purge(self.directory, notes["event_sizes"])
        self._print(f"resumed at step {self.step:,}")
        return checkpoint.state, checkpoint.pending

    def _train(self, state: Any) -> Result:
        update, compile_seconds = compile_updates(
            self.agent, self.num_seeds, self.log_interval, state, self.mesh
        )
        self.logs.write_shared({"time/compile_seconds": compile_seconds}, self.step)
        self._print(f"compile {compile_seconds:.1f} s")
        first_step = self.step
        began, pace, num_updates = time.perf_counter(), Pace(), self.plan.num_updates
        total = num_updates * self.agent.steps_per_update
        with progress_bar(self.console) as progress:
            task = progress.add_task("", total=total, completed=self.step, note="")
            while True:
                self._at_boundary(state)
                if self.standing.updates == num_updates or self._all_frozen():
                    break
                boundary = self.log_interval - self.standing.updates % self.log_interval
                boundary = min(boundary, num_updates - self.standing.updates)
                count = processes.agree(pace.units(boundary), None)[0]
                state, seconds = self._call(update, state, count)
                pace.took(count, seconds)
                rate = count * self.agent.steps_per_update * self.num_seeds / seconds
                note = f"{rate:,.0f} steps/s{self._mean_return()}"
                progress.update(task, completed=self.step, note=note)
        self._save(state, must=True)
        return Result(
            directory=self.directory,
            card=self.plan.evaluation_env.card,
            seeds=self.seeds,
            scores=self.scores,
            frozen=self.standing.frozen,
            params=devices.gather(state.params, self.mesh),
            compile_seconds=compile_seconds,
            train_seconds=time.perf_counter() - began,
            steps=(self.step - first_step) * self.num_seeds,
        )

    def _call(self, update: Any, state: Any, count: int) -> tuple[Any, float]:
        """`count` updates; what they logged waits until its interval is complete."""
        began = time.perf_counter()
        state, metrics = update(state, jnp.asarray(count, jnp.int32))
        metrics = jax.tree.map(lambda x: np.asarray(x)[:, :count], metrics)
        seconds = time.perf_counter() - began
        self._freeze(metrics.pop(FINITE), state)
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

    def _at_boundary(self, state: Any) -> None:
        """Evaluate and save where due; stop where asked."""
        finished = self.standing.updates == self.plan.num_updates or self._all_frozen()
        whole = finished or self.standing.updates % self.log_interval == 0
        interval = self.plan.config["evaluation"]["interval"]
        if whole and self._due(interval, self.standing.evaluated_at, finished):
            scores = None
            if self._stopping() is None:
                params = devices.gather(state.params, self.mesh)
                scores = self.evaluator(params, self.stop)
            if scores is not None:
                self.scores = scores
                self.logs.write_scores(scores, self.step, frozen=self.standing.frozen)
                self.standing.evaluated_at = self.step
        if (signal := self._stopping()) is not None:
            self._save(state, must=True)
            name = self.directory
            self._print(f"stopped at step {self.step:,}; go on with resume={name}")
            raise Stopped(signal)
        interval = self.plan.config["checkpoint"]["interval"]
        saved_at = max(self.standing.saved_at, 0)
        if whole and not finished and self._due(interval, saved_at, finished):
            self._save(state)

    def _stopping(self) -> int | None:
        """The signal that told this process, or any other of the run, to stop."""
        return processes.agree(0, self.stop.received)[1]

    def _due(self, interval: int | None, before: int, finished: bool) -> bool:
        """Whether a multiple of `interval` lies between step `before` and now."""
        if before < 0 or (finished and before < self.step):
            return True
        return interval is not None and self.step // interval > before // interval

    # Seeds that stop being finite -----------------------------------------------

    def _freeze(self, finite: np.ndarray, state: Any) -> None:
        """Note and name the seeds that a call left at their last good state."""
        for index in np.flatnonzero((finite == 0).any(axis=1)):
            if index in self.standing.frozen:
                continue
            number = self.standing.updates + int(np.argmax(finite[index] == 0)) + 1
            one = jax.tree.map(
                lambda x, i=index: x[i], devices.gather(state, self.mesh)
            )
            step = number * self.agent.steps_per_update
            where = f"update {number:,} (step {step:,}): first "
            where += first_bad_tensor(self.agent, one)
            self.standing.frozen[int(index)] = where
            self._print(
                f"seed {self.seeds[index]} stopped being finite in {where}. It stays "
                "at its last good state; a smaller agent.learning_rate may help."
            )

    def _all_frozen(self) -> bool:
        return len(self.standing.frozen) == self.num_seeds

    def _mean_return(self) -> str:
        means = [
            score.mean
            for index, score in enumerate(self.scores)
            if index not in self.standing.frozen
        ]
        return f", return {np.mean(means):.2f}" if means else ""

    # Saving ---------------------------------------------------------------------

    def _save(self, state: Any, *, must: bool = False) -> None:
        """Save; where it fails and nothing is at stake yet, say so and go on."""
        self.logs.flush()
        whole = devices.gather(state, self.mesh)
        if not processes.is_first():
            return
        notes = {
            "updates": self.standing.updates,
            "evaluated_at": self.standing.evaluated_at,
            "frozen": {str(i): where for i, where in self.standing.frozen.items()},
            "event_sizes": event_sizes(self.directory),
        }
        checkpoint = Checkpoint(whole, self.logs.pending, notes)
        try:
            saved = self.checkpoints.save(self.standing.updates, checkpoint)
        except CheckpointError as error:
            told = f"step {self.step:,} could not be saved: {error}; {self._remains()}"
            if must:
                raise RunError(f"{told}.") from error
            self._print(f"{told}; training goes on")
            return
        self.standing.saved_at = self.step
        self._print(
            f"saved   step {self.step:,}: {saved.bytes / 1e6:.1f} MB in "
            f"{saved.seconds:.2f} s"
        )

    def _remains(self) -> str:
        if self.standing.saved_at < 0:
            return "there is no checkpoint yet"
        return f"the checkpoint of step {self.standing.saved_at:,} is whole"

    # Printing -------------------------------------------------------------------

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)
