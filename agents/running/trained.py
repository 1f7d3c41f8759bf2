"""The newest parameters of a run, of every seed or of one."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.base import Params
from agents.convert import ConfigError
from agents.running.configuration.config import Plan
from agents.running.files.arrays import seeds_in
from agents.running.files.stored import Stored
from agents.running.updates import over_seeds


class Trained(NamedTuple):
    """What a run has learned so far.

    Attributes:
        plan: of the run, or with other settings of evaluations.
        updates: after which the parameters were saved.
        seeds: whose parameters these are.
        keys: of the seeds, `[seeds]`.
        params: leaves `[seeds, ...]`.
        frozen: the seeds among them that stopped being finite; theirs are the last good
            ones.
    """

    plan: Plan
    updates: int
    seeds: list[int]
    keys: jax.Array
    params: Params
    frozen: tuple[int, ...] = ()

    @property
    def step(self) -> int:
        """Environment steps per seed after which the parameters were saved."""
        return self.updates * self.plan.agent.steps_per_update


def restore(run: str | Path, plan: Plan, seed: Any = None) -> Trained:
    """Read the newest checkpoint of a run.

    Args:
        run: the folder.
        plan: of the run.
        seed: which of its seeds; None for all.

    Raises:
        ConfigError: no checkpoint there, or no such seed in it.
    """
    stored = Stored(Path(run))
    notes = stored.notes()
    first, count = plan.config["seed"], seeds_in(notes)
    seeds = list(range(first, first + count))
    if seed is not None and seed not in seeds:
        raise ConfigError(f"{run} holds the seeds {first} to {seeds[-1]}, not {seed}.")
    keys = jnp.stack([jax.random.key(number) for number in seeds])
    like = jax.eval_shape(over_seeds(plan.agent.init, count), keys).params
    params = stored.restore_params(like)
    if seed is not None:
        index = seeds.index(seed)
        params = jax.tree.map(lambda x: x[index : index + 1], params)
        keys, seeds = keys[index : index + 1], [seed]
    frozen = tuple(x for x in seeds if str(x - first) in notes["frozen"])
    return Trained(plan, notes["updates"], seeds, keys, params, frozen)
