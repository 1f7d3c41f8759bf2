"""Whether a run fits: memory and 32-bit counters, before anything is allocated.

Shapes come from tracing the agent's own functions (`jax.eval_shape`), so the figures
follow the code. They leave out what the compiler adds (workspace, copies between loops)
and the process itself: what is refused here could not run.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from agents.convert import ConfigError
from agents.footprint import Part, bytes_of
from agents.running.configuration.config import Plan
from agents.running.files.records import available_bytes

INT32_MAX = 2**31 - 1
"""Indices, times and counters are int32."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Bytes that a run needs, over all its seeds.

    Attributes:
        parts: what the agent needs, as its `footprint` tells it.
        evaluation: the streams of an evaluation; nothing is trained at that time.
        devices: accelerators that share all but what is kept on each.
    """

    parts: Mapping[str, Part]
    evaluation: int
    devices: int = 1

    @property
    def needed(self) -> int:
        """Bytes needed at once, on each device."""
        kept, training = self._total("kept"), self._total("training")
        always = self._total("streams") + self._total("experience")
        each = (always + training) // self.devices
        return kept + max(each, always // self.devices + self.evaluation)

    def _total(self, kind: str) -> int:
        return sum(part.bytes for part in self.parts.values() if part.kind == kind)


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
            **{f"{n}={setting(plan, n)}": setting(plan, n) for n in agent.counted},
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
    told = " x ".join(agent.counted)
    _check_counts({told: agent.steps_per_update}, "lower one of them")
    _check_counts(
        {
            f"total_steps={config['total_steps']}, counted in gradient steps,": (
                plan.num_updates * agent.optimizer_steps
            )
        },
        f"lower it, or raise {' or '.join(agent.counted)}",
    )
    return sizes


def setting(plan: Plan, name: str) -> Any:
    """The value of `agent.<name>` or `memory.<name>` in a plan."""
    group, _, key = name.partition(".")
    return getattr(plan.agent, key) if group == "agent" else plan.config[group][key]


def _check_counts(counts: dict[str, int], remedy: str) -> None:
    for name, count in counts.items():
        if count > INT32_MAX:
            raise ConfigError(
                f"{name} is {count:,}, more than the {INT32_MAX:,} that 32-bit "
                f"counters reach; {remedy}."
            )


def _largest(sizes: Sizes, plan: Plan) -> str:
    """The largest part of the sizes, and what to lower."""
    config = plan.config
    episodes = ("evaluation.episodes", "memory.output_size", "what sizes the task")
    evaluation = Part(sizes.evaluation, "streams", episodes)
    parts = {**sizes.parts, "evaluation": evaluation}
    name = max(parts, key=lambda name: parts[name].bytes)

    def told(setting_name: str) -> str:
        if "." not in setting_name:
            return setting_name
        return f"{setting_name}={setting(plan, setting_name)}"

    lower = [told(x) for x in parts[name].lower]
    if config["num_seeds"] > 1:
        lower.append(f"num_seeds={config['num_seeds']}")
    remedy = f"lower {' or '.join(lower)}"
    if parts[name].higher:
        remedy += f", or raise {' or '.join(map(told, parts[name].higher))}"
    return f"most of it, {show_bytes(parts[name].bytes)}, is for {name}: {remedy}"


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
        parts = agent.footprint()
        starts = [
            bytes_of(jax.eval_shape(env.reset, key))
            for env in (agent.env, evaluation_env or agent.env)
        ]
    except (OverflowError, MemoryError) as error:
        raise ConfigError(
            "some number of this configuration is too large to compute with: "
            f"{str(error).splitlines()[0].rstrip('.')}."
        ) from error
    streams = sum(part.bytes for part in parts.values() if part.kind == "streams")
    evaluation = episodes * streams // agent.num_envs
    evaluation += episodes * (starts[1] - starts[0])
    return Sizes(
        parts={
            name: part._replace(bytes=num_seeds * part.bytes)
            for name, part in parts.items()
        },
        evaluation=num_seeds * evaluation,
    )


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
