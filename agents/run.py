"""One run: from a plan to event files and a verdict."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from agents import evaluate
from agents.config import Plan, build
from agents.convert import ConfigError
from agents.plan import describe_plan
from agents.records import flat, make_run_directory, peak_bytes
from agents.sizes import check_sizes
from agents.tensorboard import Writer, write_references


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        directory: where it was written.
        scores: the final evaluation of each seed.
        verdicts: of each seed.
        params: final parameters, leaves `[seeds, ...]`.
        compile_seconds: of the training program.
        train_seconds: from the first update to the last.
    """

    directory: Path
    scores: list[evaluate.Score]
    verdicts: list[str]
    params: Any
    compile_seconds: float
    train_seconds: float


def run(config: Mapping[str, Any], console: Console | None = None) -> Result:
    """Train and evaluate what a configuration describes.

    Args:
        config: the composed configuration, plain Python values.
        console: where to print; standard output by default.

    Returns:
        The result, after everything is written.

    Raises:
        agents.config.ConfigError: a mistake in the configuration.
    """
    console = console or Console()
    select_device(str(config.get("device", "auto")))
    plan = build(config)
    sizes = check_sizes(plan)
    console.print(describe_plan(plan, sizes), highlight=False, soft_wrap=True)
    directory = make_run_directory(plan)
    console.print(f"run     {directory}", highlight=False, soft_wrap=True)
    return Trainer(plan, directory, console).run()


def select_device(name: str) -> None:
    """Make JAX use a device; 'auto' leaves the choice to JAX.

    Raises:
        ConfigError: there is none here, or JAX already runs on another.
    """
    if name not in ("cpu", "gpu", "tpu"):
        return
    jax.config.update("jax_platforms", {"gpu": "cuda"}.get(name, name))
    try:
        used = jax.default_backend()
    except (RuntimeError, AssertionError):  # JAX asserts where no plugin is installed
        raise ConfigError(
            f"device={name}, but JAX finds none here; install the JAX of that device, "
            "or use device=auto."
        ) from None
    if used != name:
        raise ConfigError(
            f"device={name}, but this process already runs on {used}; start another."
        )


def compile_updates(
    agent: Any, num_seeds: int, capacity: int, state: Any
) -> tuple[Callable[..., Any], float]:
    """Compile `make_update_loop` for a state whose buffers it may reuse.

    Returns:
        `(state, count) -> (state, metrics)`, and the seconds that compiling took.
    """
    loop = over_seeds(make_update_loop(agent, capacity), num_seeds)
    began = time.perf_counter()
    lowered = jax.jit(loop, donate_argnums=0).lower(state, jnp.asarray(1, jnp.int32))
    return lowered.compile(), time.perf_counter() - began


def over_seeds(function: Callable[..., Any], num_seeds: int) -> Callable[..., Any]:
    """`function` mapped over a leading axis of seeds in its first argument.

    A single seed is squeezed instead of mapped: the same result without the cost that
    batching adds to a program.
    """
    if num_seeds > 1:
        return lambda first, *rest: jax.vmap(
            function, in_axes=(0, *(None for _ in rest))
        )(first, *rest)

    def single(first: Any, *rest: Any) -> Any:
        result = function(jax.tree.map(lambda x: x[0], first), *rest)
        return jax.tree.map(lambda x: x[None], result)

    return single


def make_update_loop(agent: Any, capacity: int) -> Callable[..., Any]:
    """A function `(state, count) -> (state, metrics [capacity])` of `count` updates.

    The count is data, not part of the program, so any count up to `capacity` runs
    without compiling again. Metrics beyond `count` are nan.
    """

    def loop(state: Any, count: jax.Array) -> Any:
        shapes = jax.eval_shape(agent.update, state)[1]
        log = jax.tree.map(
            lambda x: jnp.full((capacity, *x.shape), jnp.nan, x.dtype), shapes
        )

        def body(index: Any, carry: Any) -> Any:
            state, log = carry
            state, metrics = agent.update(state)
            log = jax.tree.map(lambda old, new: old.at[index].set(new), log, metrics)
            return state, log

        return jax.lax.fori_loop(0, count, body, (state, log))

    return loop


class Trainer:
    """Runs a plan: compiles once, then alternates updates, logging and evaluation."""

    def __init__(self, plan: Plan, directory: Path, console: Console):
        """Prepare; nothing is compiled or written yet."""
        self.plan, self.directory, self.console = plan, directory, console
        config = plan.config
        self.agent = plan.agent
        self.num_seeds = config["num_seeds"]
        self.seeds = [config["seed"] + i for i in range(self.num_seeds)]
        self.keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.log_interval = min(config["log_interval"], plan.num_updates)
        self.last_score = float("nan")
        self.diverged: dict[int, int] = {}

    def run(self) -> Result:
        """Train, evaluate, write."""
        writers = [Writer(self.directory / f"seed_{seed}") for seed in self.seeds]
        settings = flat(self.plan.config)
        for seed, writer in zip(self.seeds, writers, strict=True):
            writer.hparams({**settings, "seed": seed}, ["evaluation/return"])
        last_step = self.plan.num_updates * self.agent.steps_per_update
        write_references(self.directory, self.plan.env.card, last_step)
        succeeded = False
        try:
            result = self._train(writers)
            succeeded = True
        finally:
            for writer in writers:
                writer.finish(succeeded)
        self._report(result)
        return result

    # Stages ---------------------------------------------------------------------

    def _train(self, writers: list[Writer]) -> Result:
        num_updates, per_update = self.plan.num_updates, self.agent.steps_per_update
        interval = self.plan.config["evaluation"]["interval"]
        state = jax.jit(over_seeds(self.agent.init, self.num_seeds))(self.keys)
        update, compile_seconds = compile_updates(
            self.agent, self.num_seeds, self.log_interval, state
        )
        evaluation = self._compile_evaluation()
        for writer in writers:
            writer.scalars({"time/compile_seconds": compile_seconds}, 0)
        self.console.print(f"compile {compile_seconds:.1f} s", highlight=False)
        scores = self._evaluate(evaluation, state, writers, 0)
        updates, next_evaluation, began = 0, interval or 0, time.perf_counter()
        with self._progress() as progress:
            task = progress.add_task("", total=num_updates * per_update, note="")
            while updates < num_updates:
                count = min(self.log_interval, num_updates - updates)
                call_began = time.perf_counter()
                state, metrics = update(state, jnp.asarray(count, jnp.int32))
                metrics = jax.tree.map(np.asarray, jax.device_get(metrics))
                seconds = time.perf_counter() - call_began
                updates += count
                step = updates * per_update
                self._log(metrics, count, seconds, writers, step)
                finished = updates == num_updates
                if finished or (interval and step >= next_evaluation):
                    scores = self._evaluate(evaluation, state, writers, step)
                    next_evaluation = (interval or 0) * (step // (interval or 1) + 1)
                rate = count * per_update * self.num_seeds / seconds
                note = f"{rate:,.0f} steps/s, return {self.last_score:.2f}"
                progress.update(task, completed=step, note=note)
        return Result(
            directory=self.directory,
            scores=scores,
            verdicts=[
                self._verdict(index, score) for index, score in enumerate(scores)
            ],
            params=state.params,
            compile_seconds=compile_seconds,
            train_seconds=time.perf_counter() - began,
        )

    def _compile_evaluation(self) -> Callable[..., Any]:
        settings = self.plan.config["evaluation"]
        limit = self.plan.env.card.max_episode_steps or settings["step_limit"]

        def one_seed(argument: tuple[Any, Any]) -> Any:
            params, key = argument
            return evaluate.play_episodes(
                self.agent,
                params,
                key=evaluate.evaluation_key(key),
                episodes=settings["episodes"],
                exploration=settings["exploration"],
                step_limit=limit,
            )

        return jax.jit(over_seeds(one_seed, self.num_seeds))

    def _evaluate(
        self,
        evaluation: Callable[..., Any],
        state: Any,
        writers: list[Writer],
        step: int,
    ) -> list[evaluate.Score]:
        played = jax.device_get(evaluation((state.params, self.keys)))
        scores = []
        for index, writer in enumerate(writers):
            result = evaluate.score(
                jax.tree.map(lambda x, i=index: np.asarray(x)[i], played)
            )
            scores.append(result)
            values = {
                "evaluation/return": result.mean,
                "evaluation/return_lower": result.lower,
                "evaluation/return_upper": result.upper,
                "evaluation/episode_length": result.length,
            }
            if result.success is not None:
                values["evaluation/success"] = result.success
            writer.scalars(values, step)
            writer.flush()
        self.last_score = float(np.mean([score.mean for score in scores]))
        return scores

    def _log(
        self,
        metrics: dict[str, np.ndarray],
        count: int,
        seconds: float,
        writers: list[Writer],
        step: int,
    ) -> None:
        """One point per tag and seed: the mean over the updates of this call."""
        shared = {
            "time/steps_per_second": count
            * self.agent.steps_per_update
            * self.num_seeds
            / seconds,
            "memory/peak_bytes": float(peak_bytes()),
        }
        for index, writer in enumerate(writers):
            finite = np.isfinite(metrics["loss/total"][index][:count])
            if not finite.all() and index not in self.diverged:
                self.diverged[index] = step
                self.console.print(
                    f"seed {self.seeds[index]} diverged: its loss is not finite by "
                    f"step {step:,}; a smaller agent.learning_rate may help"
                )
            means = {tag: _mean(x[index][:count]) for tag, x in metrics.items()}
            writer.scalars({**means, **shared}, step)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("train  "),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:>11,.0f} steps"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
        )

    def _report(self, result: Result) -> None:
        card = self.plan.env.card
        steps = self.plan.num_updates * self.agent.steps_per_update * self.num_seeds
        self.console.print(
            f"trained {result.train_seconds:.1f} s, "
            f"{steps / result.train_seconds:,.0f} steps/s with evaluations",
            highlight=False,
        )
        for index, seed in enumerate(self.seeds):
            line = evaluate.describe(result.scores[index], card, result.verdicts[index])
            prefix = f"seed {seed}: " if self.num_seeds > 1 else ""
            self.console.print(prefix + line, highlight=False, soft_wrap=True)

    def _verdict(self, index: int, score: evaluate.Score) -> str:
        if index in self.diverged:
            return f"no verdict (training diverged by step {self.diverged[index]:,})"
        return evaluate.verdict(score, self.plan.env.card)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
