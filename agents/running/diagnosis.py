"""Where a number stopped being finite: the first bad tensor of an update, by name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.running.files.arrays import leaves


def first_bad_tensor(agent: Any, state: Any, *collected: Any) -> str:
    """Name the first tensor of the next update that is not finite.

    Args:
        agent: the agent; its `stages` lists what an update computes, in order.
        state: of one seed, from before the update.
        *collected: streams and rollout, where they came from the host.

    Returns:
        Its name, with the step of the rollout or the minibatch.
    """
    for stage, tree in jax.jit(agent.stages)(state, *collected).items():
        bad = _first(leaves(tree), ordered=stage in _UNITS)
        if bad is not None:
            name, position = bad
            unit = f" at {_UNITS[stage]} {position}" if stage in _UNITS else ""
            return f"{stage}.{name}{unit}"
    return "nothing that can be found by computing it again"


_UNITS = {"rollout": "step", "learning": "minibatch"}


def _first(named: dict[str, Any], *, ordered: bool) -> tuple[str, int] | None:
    """The leaf that is not finite first, and where along its first axis.

    Where axes are not `ordered` the first leaf by name is as good as any.
    """
    found: list[tuple[int, str]] = []
    for name, leaf in named.items():
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        bad = np.argwhere(~np.isfinite(np.asarray(leaf)))
        if bad.size:
            found.append((int(bad[0][0]) if ordered else len(found), name))
    if not found:
        return None
    position, name = min(found, key=lambda entry: entry[0])
    return name, position
