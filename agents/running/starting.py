"""The state that a run begins with: new, or with the parameters of another run."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from agents.convert import ConfigError
from agents.running.configuration.config import Plan
from agents.running.files.arrays import seeds_in
from agents.running.files.resume import saved_config
from agents.running.files.stored import Stored
from agents.running.updates import over_seeds


def begin(plan: Plan, keys: jax.Array) -> Any:
    """The states of all seeds before their first update.

    Args:
        plan: what is run; its `start_from` names a run to take parameters from.
        keys: of the seeds.

    Raises:
        ConfigError: those parameters do not fit.
    """
    agent, num_seeds = plan.agent, len(keys)
    if plan.config["start_from"] is None:
        return jax.jit(over_seeds(agent.init, num_seeds))(keys)
    params = starting_params(plan)

    def init(argument: tuple[jax.Array, Any]) -> Any:
        key, params = argument
        return agent.init(key, params)

    return jax.jit(over_seeds(init, num_seeds))((keys, params))


def starting_params(plan: Plan) -> Any:
    """The parameters, statistics included, that `start_from` names.

    Those of the run's newest checkpoint: its first seed's for the first seed here, and
    so on.

    Raises:
        ConfigError: no run, another number of seeds, or arrays that do not fit.
    """
    directory, wanted = plan.config["start_from"], plan.config["num_seeds"]
    saved_config(directory)
    stored = Stored(Path(directory))
    found = seeds_in(stored.notes())
    if found != wanted:
        raise ConfigError(
            f"start_from={directory} holds {found} seed(s) and this run trains "
            f"{wanted}, but each seed starts from its own; set num_seeds={found}."
        )
    keys = jnp.stack([jax.random.key(index) for index in range(wanted)])
    init = over_seeds(plan.agent.init, wanted)
    return stored.restore_params(
        jax.eval_shape(init, keys).params,
        f"start_from={directory} needs the same memory, network and spaces",
    )
