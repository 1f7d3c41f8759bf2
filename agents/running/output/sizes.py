"""Whether a run fits: memory and 32-bit counters, before anything is allocated.

Shapes come from tracing the agent's own functions (`jax.eval_shape`), so the figures
follow the code. They leave out what the compiler adds (workspace, copies between loops)
and the process itself: what is refused here could not run.
"""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from agents.convert import ConfigError
from agents.experience.normalize import split_trainable
from agents.running.configuration.config import Plan
from agents.running.files.records import available_bytes

INT32_MAX = 2**31 - 1
"""Indices, times and counters are int32."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Bytes that a run needs, over all its seeds.

    Attributes:
        parameters: weights, statistics and the optimiser's state.
        environments: states and inputs of the streams.
        memories: memory states of the streams.
        rollout: transitions, and the memory state that enters each sequence.
        learning: the rollout cut into sequences, one minibatch, gradients, and what
            they are computed from.
        evaluation: the streams of an evaluation; there is no rollout at that time.
        devices: accelerators that share streams, rollout and learning equally.
    """

    parameters: int
    environments: int
    memories: int
    rollout: int
    learning: int
    evaluation: int
    devices: int = 1

    @property
    def needed(self) -> int:
        """Bytes needed at once, on each device."""
        streams = self.environments + self.memories
        training = (streams + self.rollout + self.learning) // self.devices
        return self.parameters + max(training, streams + self.evaluation)


def check_sizes(plan: Plan, mesh: Mesh | None = None) -> Sizes:
    """The sizes of a run that fits.

    Args:
        plan: of the run.
        mesh: the devices that share it, from `choose_devices`.

    Raises:
        ConfigError: it does not, with the figure and what to lower.
    """
    agent, config = plan.agent, plan.config
    _check_counts(
        {
            **{
                f"agent.{name}={getattr(agent, name)}": getattr(agent, name)
                for name in ("num_envs", "rollout_length")
                if hasattr(agent, name)  # agents of one's own may collect otherwise
            },
            "the longest episode of this task": max(
                env.card.max_episode_steps or 0
                for env in (plan.env, plan.evaluation_env)
            ),
        },
        "lower it",
    )
    episodes = config["evaluation"]["episodes"]
    sizes = measure(agent, config["num_seeds"], episodes, plan.evaluation_env)
    if mesh is not None and jax.default_backend() != "cpu":  # CPUs share their memory
        sizes = dataclasses.replace(sizes, devices=mesh.size)
    available = available_bytes()
    if available is not None and sizes.needed > available:
        raise ConfigError(
            f"this run needs about {show_bytes(sizes.needed)} of memory"
            f"{_each(sizes)}, and {show_bytes(available)} are available; "
            f"{_largest(sizes, plan)}."
        )
    _check_counts(
        {"agent.num_envs x agent.rollout_length": agent.steps_per_update},
        "lower one of them",
    )
    steps = plan.num_updates * math.prod(
        getattr(agent, name, 1) for name in ("num_epochs", "num_minibatches")
    )
    _check_counts(
        {f"total_steps={config['total_steps']}, counted in gradient steps,": steps},
        "lower it, or raise agent.num_envs or agent.rollout_length",
    )
    return sizes


def _check_counts(counts: dict[str, int], remedy: str) -> None:
    for name, count in counts.items():
        if count > INT32_MAX:
            raise ConfigError(
                f"{name} is {count:,}, more than the {INT32_MAX:,} that 32-bit "
                f"counters reach; {remedy}."
            )


def _largest(sizes: Sizes, plan: Plan) -> str:
    """The largest part of the sizes, and what to lower."""
    agent, config = plan.agent, plan.config
    streams = f"agent.num_envs={agent.num_envs}"
    steps = f"agent.rollout_length={getattr(agent, 'rollout_length', None)}"
    memory = f"memory.output_size={config['memory']['output_size']}"
    episodes = f"evaluation.episodes={config['evaluation']['episodes']}"
    remedies = {
        "parameters": [memory],
        "environments": [streams, "what sizes the task"],
        "memories": [streams, memory],
        "rollout": [streams, steps, memory],
        "learning": [streams, steps, memory],
        "evaluation": [episodes, memory, "what sizes the task"],
    }
    parts = {name: getattr(sizes, name) for name in remedies}
    name = max(parts, key=lambda name: parts[name])
    lower = remedies[name]
    if config["num_seeds"] > 1:
        lower = [*lower, f"num_seeds={config['num_seeds']}"]
    told = " or ".join(lower)
    if name == "learning":
        told += f", or raise agent.num_minibatches={agent.num_minibatches}"
    return f"most of it, {show_bytes(parts[name])}, is for {name}: lower {told}"


def measure(
    agent: Any, num_seeds: int, episodes: int, evaluation_env: Any = None
) -> Sizes:
    """The sizes of a run, by tracing; nothing is allocated.

    Args:
        agent: the agent.
        num_seeds: seeds trained at once.
        episodes: of an evaluation, per seed.
        evaluation_env: the task that evaluations play; by default the agent's.

    Raises:
        ConfigError: a number too large for tracing itself.
    """
    try:
        key = jax.eval_shape(jax.random.key, 0)
        state = jax.eval_shape(agent.init, key)
        starts = [
            _bytes(jax.eval_shape(env.reset, key))
            for env in (agent.env, evaluation_env or agent.env)
        ]
        if not all(hasattr(agent, stage) for stage in _STAGES):
            return _state_alone(agent, state, num_seeds, episodes, starts)
        streams = state.streams
        rollout = jax.eval_shape(agent.rollout, state.params, streams, key)[1]
        batch = jax.eval_shape(agent.advantages, state.params, streams, rollout)
        learning = _learning(agent, state.params, batch, rollout.memory_states)
    except (OverflowError, MemoryError) as error:
        raise ConfigError(
            "some number of this configuration is too large to compute with: "
            f"{str(error).splitlines()[0].rstrip('.')}."
        ) from error
    memories = _bytes(streams.memory_state)
    environments = _bytes(streams) - memories
    evaluation = episodes * (environments + memories) // agent.num_envs
    evaluation += episodes * (starts[1] - starts[0])
    return Sizes(
        parameters=num_seeds * _bytes((state.params, state.optimizer_state)),
        environments=num_seeds * environments,
        memories=num_seeds * memories,
        rollout=num_seeds * _bytes(rollout),
        learning=num_seeds * learning,
        evaluation=num_seeds * evaluation,
    )


_STAGES = ("rollout", "advantages", "loss")
"""Methods of an agent that learns from rollouts, whose sizes can be told apart."""


def _state_alone(
    agent: Any, state: Any, num_seeds: int, episodes: int, starts: list[int]
) -> Sizes:
    """What is known of any agent: the state, and its streams while evaluating."""
    streams = sum(_bytes(getattr(state, name)) for name in agent.stream_fields)
    evaluation = episodes * streams // agent.num_envs
    return Sizes(
        parameters=num_seeds * (_bytes(state) - streams),
        environments=num_seeds * streams,
        memories=0,
        rollout=0,
        learning=0,
        evaluation=num_seeds * (evaluation + episodes * (starts[1] - starts[0])),
    )


def _learning(agent: Any, params: Any, batch: Any, memory_states: Any) -> int:
    """Bytes of the learner's copy, one minibatch, and its gradient with its inputs."""
    sequences = batch.target.shape[1]
    size = sequences // agent.num_minibatches

    def minibatch(batch: Any, entering: Any) -> Any:
        chosen = jax.tree.map(lambda x: x[:, :size], batch)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:size], entering)
        return chosen, flat

    chosen, entering = jax.eval_shape(minibatch, batch, memory_states)

    def kept(params: Any, chosen: Any, entering: Any) -> Any:
        """What the forward pass keeps: the leaves of its transpose."""
        weights, rest = split_trainable(params)

        def loss(weights: Any) -> Any:
            return agent.loss(eqx.combine(weights, rest), entering, chosen)[0]

        return jax.vjp(loss, weights)[1]

    residuals = jax.eval_shape(kept, params, chosen, entering)
    return _bytes((batch, chosen, entering, params, residuals))


def _bytes(tree: Any) -> int:
    total = 0
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.eval_shape(jax.random.key_data, leaf)
        total += math.prod(leaf.shape) * leaf.dtype.itemsize
    return total


def describe_sizes(sizes: Sizes) -> str:
    """For the plan: the figure."""
    return f"memory needed about {show_bytes(sizes.needed)}{_each(sizes)}"


def _each(sizes: Sizes) -> str:
    return " on each device" if sizes.devices > 1 else ""


def show_bytes(count: int) -> str:
    """Bytes for the eye: '12 MB', '3.4 TB'; at least 1 MB."""
    for exponent, unit in ((5, "PB"), (4, "TB"), (3, "GB")):
        if count >= 1000**exponent:
            return f"{count / 1000**exponent:,.1f} {unit}"
    return f"{max(1, round(count / 1000**2))} MB"
