"""One agent on several devices: environments are split, everything else is repeated.

Every device runs the whole update on its share of the environments: it collects,
starts episodes over and computes advantages without a word to the others, and draws
minibatches from its own sequences. Gradients are averaged before each optimiser step,
so parameters stay equal everywhere. The split is explicit (`jax.shard_map`): left to
the partitioner, the loops over ended rows (`envs.rows`) would wait for every device at
every step.

Environments keep their number and their keys (`VectorState.index`, `Agent.act`), so
how many devices there are changes a rollout by the rounding of the policy only.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from agents.convert import ConfigError

AXIS = "device"
"""Name of the axis over which environments are split."""


def mean_over(axis_name: str | None, tree: Any) -> Any:
    """Arrays averaged over the devices of a named axis; as they are without one."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def sum_over(axis_name: str | None, tree: Any) -> Any:
    """Arrays summed over the devices of a named axis; as they are without one."""
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


# Choosing -----------------------------------------------------------------------


def choose_devices(num_devices: int | None, agent: Any) -> Mesh | None:
    """The devices that a run uses, in every process equally many.

    Args:
        num_devices: devices per process; None takes one CPU, and of accelerators as
            many as divide the work equally.
        agent: whose environments are split.

    Returns:
        A mesh with the one axis `AXIS`; None for a single device, which needs none.

    Raises:
        ConfigError: more devices than there are, or unequal shares.
    """
    processes = jax.process_count()
    per_process: dict[int, list[Any]] = {}
    for device in sorted(jax.devices(), key=lambda device: device.id):
        per_process.setdefault(device.process_index, []).append(device)
    present = min(len(devices) for devices in per_process.values())
    works = [n for n in range(1, present + 1) if _refusal(agent, n * processes) is None]
    if num_devices is None:
        limit = 1 if jax.default_backend() == "cpu" else present
        num_devices = max([n for n in works if n <= limit], default=1)
    if num_devices not in works:
        raise ConfigError(_mistake(num_devices, present, works, agent))
    chosen = [d for p in sorted(per_process) for d in per_process[p][:num_devices]]
    return Mesh(np.array(chosen), (AXIS,)) if len(chosen) > 1 else None


def _mistake(num_devices: int, present: int, works: list[int], agent: Any) -> str:
    """What is wrong with `num_devices`, in one sentence."""
    processes = jax.process_count()
    total = num_devices * processes
    each = f" in each of {processes} processes" if processes > 1 else ""
    told = f"num_devices={num_devices}{each}"
    if num_devices > present:
        why = f", but JAX finds {present} {jax.default_backend()} device(s) here"
    elif agent.num_envs % total:
        why = f" does not split agent.num_envs={agent.num_envs} into equal shares"
    else:
        refusal = str(_refusal(agent, total)).rstrip(".")
        share = agent.num_envs // total
        why = f" gives each device {share} environments, but {refusal}"
    if works:
        nearest = min(works, key=lambda n: abs(n - num_devices))
        return f"{told}{why}; use num_devices={nearest}."
    return f"{told}{why}; make agent.num_envs a multiple of {processes}."


def _refusal(agent: Any, total: int) -> ValueError | None:
    """Why an agent cannot be split into `total` equal parts; None if it can."""
    if agent.num_envs % total:
        return ValueError("unequal shares")
    try:
        _share(agent, total)
    except ValueError as error:
        return error
    return None


def describe_devices(mesh: Mesh | None, agent: Any) -> str:
    """For the plan: which devices, and how many environments on each."""
    device, present = jax.devices()[0], len(jax.devices())
    used = 1 if mesh is None else mesh.size
    processes = jax.process_count()
    among = f" in {processes} processes" if processes > 1 else ""
    share = f", {agent.num_envs // used} environments each" if used > 1 else ""
    return (
        f"{device.device_kind} ({device.platform}), {used} of {present}{among}{share}"
    )


# Splitting ----------------------------------------------------------------------


def share_of(agent: Any, mesh: Mesh | None) -> Any:
    """The agent as each device runs it; the agent itself without a mesh."""
    return agent if mesh is None else _share(agent, mesh.size)


def _share(agent: Any, total: int) -> Any:
    if total == 1:
        return agent
    return agent.share(total, AXIS)


def split(
    function: Callable[..., Any], agent: Any, state: Any, mesh: Mesh | None
) -> Callable[..., Any]:
    """Run `(state, *rest) -> (state, metrics)` on every device's part of the state.

    Args:
        function: built from `share_of(agent, mesh)`, over a leading axis of seeds.
        agent: the whole agent.
        state: of the agent, leaves `[seeds, ...]`, for its structure.
        mesh: from `choose_devices`; None returns `function`.
    """
    if mesh is None:
        return function
    parts = layout(agent, state)

    def nothing(x: Any, spec: PartitionSpec) -> Array:
        """A device's part of an array without elements."""
        return jnp.zeros(NamedSharding(mesh, spec).shard_shape(x.shape), x.dtype)

    def on_devices(state: Any, *rest: Any) -> Any:
        # XLA of JAX 0.11 ends the process over an array without elements that a
        # shard_map takes and returns (log_std of a policy without one).
        filled, empty = eqx.partition(state, lambda x: x.size > 0)

        def inside(filled: Any, *rest: Any) -> Any:
            state = eqx.combine(filled, with_layout(nothing, agent, empty))
            state, metrics = function(state, *rest)
            return eqx.filter(state, lambda x: x.size > 0), metrics

        filled, metrics = jax.shard_map(
            inside,
            mesh=mesh,
            in_specs=(parts, *(PartitionSpec() for _ in rest)),
            out_specs=(parts, PartitionSpec()),
            check_vma=False,  # equal parameters everywhere are the agent's promise
        )(filled, *rest)
        return eqx.combine(filled, empty), metrics

    return on_devices


def layout(agent: Any, state: Any) -> Any:
    """For each field of a state: split along the streams, or repeated."""
    streams, whole = PartitionSpec(None, AXIS), PartitionSpec()
    fields = [streams if f in agent.stream_fields else whole for f in state._fields]
    return type(state)(*fields)


def with_layout(
    function: Callable[[Any, PartitionSpec], Any], agent: Any, state: Any
) -> Any:
    """`function(array, how it is laid out)` of every array of a state."""
    fields = [
        jax.tree.map(lambda x, spec=spec: function(x, spec), field)
        for field, spec in zip(state, layout(agent, state), strict=True)
    ]
    return type(state)(*fields)


# Moving -------------------------------------------------------------------------


def place(state: Any, agent: Any, mesh: Mesh | None) -> Any:
    """Put a whole state, `[seeds, ...]`, where it belongs.

    Every process must hold the same whole state: from `agent.init` with the same
    keys, or from a checkpoint.
    """
    if mesh is None:
        return state

    def put(x: Any, spec: PartitionSpec) -> Any:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(x), spec)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        host = np.asarray(x)
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(
            host.shape, sharding, lambda index: host[index]
        )

    return with_layout(put, agent, state)


def gather(tree: Any, mesh: Mesh | None) -> Any:
    """The whole of a tree on this process's first device: the inverse of `place`.

    Every process must call it, since each holds a part.
    """
    if mesh is None:
        return tree
    if not all(x.is_fully_replicated for x in jax.tree.leaves(tree)):
        everywhere = NamedSharding(mesh, PartitionSpec())
        tree = jax.jit(lambda tree: tree, out_shardings=everywhere)(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), tree)
