"""Seeds added to a run: trained as a group of their own, then joined to the others.

The folder's configuration says how many seeds are wanted, and the newest checkpoint how
many there are. So whatever ends this process, `resume=` finds out what is missing.
"""

import dataclasses
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from rich.console import Console

from agents.convert import ConfigError
from agents.running.configuration.config import Plan
from agents.running.evaluator import Evaluator
from agents.running.files.arrays import seeds_in
from agents.running.files.checkpoint import CheckpointError, Checkpoints
from agents.running.files.records import write_records
from agents.running.files.stored import Checkpoint, Stored
from agents.running.jobs import processes
from agents.running.jobs.signals import StopRequest
from agents.running.output.logs import event_sizes
from agents.running.output.results import Result
from agents.running.output.standing import Standing
from agents.running.trainer import RunError, Trainer
from agents.running.updates import over_seeds
from agents.running.watcher import Watcher

ADDED = "added_seeds"
"""Folder of a run with the checkpoints of seeds that are not joined to the others."""


def train(
    plan: Plan,
    directory: Path,
    console: Console,
    mesh: Mesh | None,
    watcher: Watcher | None = None,
) -> Result:
    """Train whatever seeds of a plan are not trained yet.

    Who watches is told of all seeds at once; seeds that are added are not watched.

    Raises:
        ConfigError: there is nothing left to do, or something does not fit.
        RunError: the run's files cannot be written.
    """
    stored, wanted = Stored(directory), plan.config["num_seeds"]
    held = wanted if stored.latest() is None else seeds_in(stored.notes())
    if held == wanted:
        if processes.is_first():
            shutil.rmtree(directory / ADDED, ignore_errors=True)  # joined already
        return Trainer(plan, directory, console, mesh, watcher=watcher).run()
    if held > wanted:
        raise ConfigError(
            f"{directory} holds {held} seeds, more than num_seeds={wanted} in its "
            "config.yaml; put that back."
        )
    first_plan, added_plan = part(plan, 0, held), part(plan, held, wanted - held)
    first = complete(first_plan, directory, directory)
    if first is None:
        first = Trainer(first_plan, directory, console, mesh, whole=plan).run()
    if first.stopped is not None:
        return first
    seeds = f"{first.seeds[-1] + 1} to {first.seeds[-1] + wanted - held}"
    console.print(f"added   seeds {seeds}", highlight=False, soft_wrap=True)
    kept_in = directory / ADDED
    added = complete(added_plan, directory, kept_in)
    if added is None:
        if processes.is_first():
            write_records(plan, directory)
        added = Trainer(
            added_plan, directory, console, mesh, whole=plan, kept_in=kept_in
        ).run()
    result = joined_result(plan, first, added)
    if added.stopped is None:
        join(plan, directory, result)
    return result


def complete(plan: Plan, directory: Path, kept_in: Path) -> Result | None:
    """The result of seeds that are trained, None where something is left to do.

    Args:
        plan: of those seeds.
        directory: of the run.
        kept_in: where their checkpoints are.
    """
    stored, per_update = Stored(kept_in), plan.agent.steps_per_update
    if stored.latest() is None:
        return None
    standing = Standing.of(stored.notes(), per_update)
    count = plan.config["num_seeds"]
    finished = standing.updates >= plan.num_updates or len(standing.frozen) == count
    if not finished or standing.evaluated_at < standing.saved_at:
        return None
    seeds = [plan.config["seed"] + index for index in range(count)]
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    init = over_seeds(plan.agent.init, count)
    params = stored.restore_params(jax.eval_shape(init, keys).params)
    return Result(
        plan=plan,
        directory=directory,
        seeds=seeds,
        scores=standing.scores or Evaluator(plan, keys)(params, StopRequest()) or [],
        evaluated_at=standing.evaluated_at,
        frozen=standing.frozen,
        params=params,
        seed_steps=standing.seed_steps(count, per_update),
        seconds=standing.seconds,
        compile_seconds=0.0,
        train_seconds=0.0,
        steps=0,
    )


def part(plan: Plan, first: int, count: int) -> Plan:
    """The plan of `count` of its seeds, from number `first`."""
    seed = plan.config["seed"] + first
    config = {**plan.config, "seed": seed, "num_seeds": count}
    return dataclasses.replace(plan, config=config)


def join(plan: Plan, directory: Path, result: Result) -> None:
    """Make one checkpoint of both groups, in place of the first one's newest.

    Raises:
        RunError: it could not be saved; both groups are as they were.
    """
    if not processes.is_first():
        return
    groups = []
    for folder in (directory, directory / ADDED):
        stored = Stored(folder)
        count = seeds_in(stored.notes())
        keys = jnp.stack([jax.random.key(index) for index in range(count)])
        groups.append(
            stored.restore(jax.eval_shape(over_seeds(plan.agent.init, count), keys))
        )
    offset = len(result.seeds) - seeds_in(groups[1].notes)
    standings = [Standing.of(x.notes, plan.agent.steps_per_update) for x in groups]
    standing = Standing(
        updates=max(x.updates for x in standings),
        evaluated_at=max(x.evaluated_at for x in standings),
        scores=result.scores,
        frozen=result.frozen,
        frozen_after=standings[0].frozen_after
        | {i + offset: n for i, n in standings[1].frozen_after.items()},
        seconds=result.seconds,
    )
    state = jax.tree.map(
        lambda *x: jnp.concatenate(x), groups[0].state, groups[1].state
    )
    notes = {**standing.notes(), "event_sizes": event_sizes(directory, result.seeds)}
    checkpoints = Checkpoints(directory, keep=plan.config["checkpoint"]["keep"])
    try:
        checkpoints.save(standing.updates, Checkpoint(state, {}, notes))
    except CheckpointError as error:
        raise RunError(
            f"the seeds of {directory} could not be joined: {error}; all of them are "
            "saved, go on with resume= once that is mended."
        ) from error
    finally:
        checkpoints.close()
    shutil.rmtree(directory / ADDED, ignore_errors=True)


def joined_result(plan: Plan, first: Result, added: Result) -> Result:
    """The results of two groups as one."""
    count = len(first.seeds)
    return dataclasses.replace(
        added,
        plan=plan,
        seeds=first.seeds + added.seeds,
        scores=first.scores + added.scores,
        frozen=first.frozen | {i + count: where for i, where in added.frozen.items()},
        params=jax.tree.map(lambda *x: jnp.concatenate(x), first.params, added.params),
        seed_steps=first.seed_steps + added.seed_steps,
        seconds=first.seconds + added.seconds,
    )
