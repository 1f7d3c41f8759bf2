"""The compiled training program: several updates per call, for several seeds.

A seed whose update produces a number that is not finite stays at its last good state:
the update is computed and then not taken. As updates are pure functions of the state,
it stays there for good, and the other seeds go on.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool

from agents import devices
from agents.base import FINITE, all_finite
from agents.running.output.tensorboard import MAY_BE_MISSING


def compile_updates(
    agent: Any, num_seeds: int, capacity: int, state: Any, mesh: Mesh | None = None
) -> tuple[Callable[..., Any], float]:
    """Compile `make_update_loop` for a state whose buffers it may reuse.

    Args:
        agent: the whole agent.
        num_seeds: leading axis of the state.
        capacity: most updates per call.
        state: placed on the devices of `mesh`.
        mesh: from `devices.choose_devices`.

    Returns:
        `(state, count) -> (state, metrics)`, and the seconds that compiling took.
    """
    share = devices.share_of(agent, mesh)
    loop = over_seeds(make_update_loop(share, capacity), num_seeds)
    loop = devices.split(loop, agent, state, mesh)
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
    without compiling again. Metrics beyond `count` are nan. The entry `FINITE` says
    which updates were taken.
    """

    @functools.partial(jax.jit, inline=True)  # traced once for its two uses below
    def update(state: Any) -> tuple[Any, dict[str, Array]]:
        return where_finite(agent, state, *agent.update(state))

    def loop(state: Any, count: jax.Array) -> Any:
        shapes = jax.eval_shape(update, state)[1]
        log = jax.tree.map(
            lambda x: jnp.full((capacity, *x.shape), jnp.nan, x.dtype), shapes
        )

        def body(index: Any, carry: Any) -> Any:
            state, log = carry
            state, metrics = update(state)
            log = jax.tree.map(lambda old, new: old.at[index].set(new), log, metrics)
            return state, log

        return jax.lax.fori_loop(0, count, body, (state, log))

    return loop


def where_finite(
    agent: Any, state: Any, new_state: Any, metrics: dict[str, Array]
) -> tuple[Any, dict[str, Array]]:
    """The new state if it is finite, else the old one; and metrics that say which."""
    finite = is_finite(new_state, metrics)
    kept = {
        name: jax.tree.map(
            lambda new, old: jnp.where(finite, new, old),
            getattr(new_state, name),
            getattr(state, name),
        )
        for name in state._fields
        if name not in agent.written_once
    }
    return new_state._replace(**kept), {**metrics, FINITE: finite.astype(jnp.float32)}


def is_finite(state: Any, metrics: dict[str, Array]) -> Bool[Array, ""]:
    """Whether parameters, optimiser state and metrics are finite after an update.

    The environments' own states may hold what they like; whatever of it reaches the
    agent reaches its loss, or is kept for later, and then the agent itself reports
    `FINITE`.
    """
    learned = (state.params, getattr(state, "optimizer_state", None))
    required = [x for tag, x in metrics.items() if tag not in MAY_BE_MISSING]
    kept = jnp.asarray(metrics.get(FINITE, 1.0)) >= 1
    return kept & all_finite((learned, required))
