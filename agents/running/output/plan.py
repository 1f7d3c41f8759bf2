"""The plan: what a run is about to do, told before it starts."""

from typing import Any

import equinox as eqx
import jax
from jax.sharding import Mesh

from agents.devices import describe_devices
from agents.running.configuration.config import Plan
from agents.running.output.sizes import Sizes, describe_sizes
from envs import HostTask
from envs.base import Card, Environment, Return
from memory_models import MemoryModel, state_bytes


def describe_plan(plan: Plan, sizes: Sizes, mesh: Mesh | None = None) -> str:
    """Task and what it demands, model and sizes, devices, exact steps, a warning.

    Args:
        plan: what is about to run.
        sizes: the memory that it needs.
        mesh: the devices it uses, from `choose_devices`.
    """
    env, agent, card = plan.env, plan.agent, plan.env.card
    network = eqx.filter_eval_shape(agent.build_network, jax.random.key(0))
    parameters = ", ".join(f"{name}={value}" for name, value in env.settings().items())
    per_update = agent.steps_per_update
    lines = [
        f"task    {plan.env_name} ({parameters})",
        *_demands(env),
        *_evaluated(plan),
        f"memory  {_memory(plan, network)}",
        f"agent   {plan.agent_name}: {agent.describe()}",
        f"device  {describe_devices(mesh, agent)}; {describe_sizes(sizes)}",
        f"steps   {plan.num_updates:,} updates x {per_update:,} = "
        f"{plan.num_updates * per_update:,} per seed"
        f" ({plan.config['total_steps']:,} asked for), "
        f"{plan.config['num_seeds']} seed(s) from {plan.config['seed']}",
    ]
    note, memories = None, memories_of(network)
    steps = agent.gradient_steps_back
    for demanding in (card, plan.evaluation_env.card) if memories else ():
        note = note or warning(demanding, memories[0].card, plan.memory_name, steps)
    if note:
        lines.append(f"note    {note}")
    return "\n".join(lines)


def memories_of(network: Any) -> list[MemoryModel]:
    """The memories in a network, of which a critic may have one of its own."""
    leaves = jax.tree.leaves(network, is_leaf=lambda x: isinstance(x, MemoryModel))
    return [leaf for leaf in leaves if isinstance(leaf, MemoryModel)]


def _memory(plan: Plan, network: Any) -> str:
    """What the memory weighs; a custom agent may do without it."""
    total = learned(network)
    memories = memories_of(network)
    if not memories:
        return f"{plan.memory_name}: not used by this agent, of {total:,} parameters"
    memory = memories[0]
    copies = " (one each for actor and critic)" if len(memories) == 2 else ""
    return (
        f"{plan.memory_name}: {count(memory):,} of {total:,} parameters, "
        f"{state_bytes(memory):,} bytes of state per stream{copies}; "
        f"{reach(memory.card.context)}"
    )


def warning(
    card: Card, memory_card: Any, memory_name: str, gradient_steps: int | None
) -> str | None:
    """One line if the cue lies further back than the memory or the gradient reaches.

    Args:
        card: the task's.
        memory_card: the model's.
        memory_name: as chosen on the command line.
        gradient_steps: length of the sequences that gradients flow over; None for no
            end.
    """
    horizon = card.horizon[1]
    parts = []
    if memory_card.context is not None and memory_card.context < horizon:
        setting = memory_card.context_option
        remedy = f"raise memory.{setting}" if setting else "choose another memory"
        parts.append(
            f"memory={memory_name} reaches {memory_card.context} steps back ({remedy})"
        )
    if gradient_steps is not None and gradient_steps - 1 < horizon:
        parts.append(
            f"gradients reach {gradient_steps - 1} steps back (raise "
            "agent.sequence_length and agent.rollout_length)"
        )
    if not parts:
        return None
    return f"the cue can lie {horizon} steps back, but {' and '.join(parts)}."


def learned(network: Any) -> int:
    """Numbers that a network learns: its statistics are not."""
    return count(network) - count(getattr(network, "statistics", None))


def count(shapes: Any) -> int:
    """How many numbers the arrays of a pytree of shapes hold."""
    leaves = jax.tree.leaves(shapes)
    return sum(x.size for x in leaves if isinstance(x, jax.ShapeDtypeStruct))


def _evaluated(plan: Plan) -> list[str]:
    """How evaluations differ from training, if they do."""
    given = plan.config["evaluation"].get("env")
    if not given:
        return []
    words = ", ".join(f"{name}={value}" for name, value in given.items())
    return [f"        evaluated with {words}: {_returns(plan.evaluation_env.card)}"]


def _demands(env: Environment) -> list[str]:
    """What a task demands of memory, and the returns that frame a result on it."""
    if isinstance(env, HostTask) and not env.known:
        return ["        card unknown: no verdict"]
    return [f"        {_demand(env.card)}", f"        {_returns(env.card)}"]


def _demand(card: Card) -> str:
    if card.memory == "none":
        return "demands no memory"
    low, high = card.horizon
    steps = f"{high}" if low == high else f"{low} to {high}"
    return f"demands {card.memory} memory over {steps} steps"


def _returns(card: Card) -> str:
    def show(name: str) -> str:
        known: Return = getattr(card, name)
        if known.value is None:
            return f"{name} unknown"
        return f"{name} {known.value:.2f} ({known.how})"

    names = ("floor", "memoryless", "recall", "oracle")
    told = ", ".join(show(name) for name in names)
    return f"success: {told}" if card.measure == "success" else told


def reach(context: int | None) -> str:
    """How far back a memory sees, in words."""
    if context is None:
        return "reaches back without limit"
    return f"reaches {context} steps back"
