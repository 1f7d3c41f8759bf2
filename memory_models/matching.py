"""Equal budgets: `memory.match` sizes a model to so many floats or parameters.

Comparing memories at their default widths compares sizes as much as ideas. One option
of a model (its `sizing`) is searched for the value that comes nearest to the budget.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from memory_models.base import MemoryModel

BUDGETS = {"state": 256, "parameters": 200_000}
"""Floats in one stream's state, as in POPGym; and trained values."""

TOLERANCE = 0.1
"""How far from the budget a model may stay."""

LARGEST = 2**14


def state_floats(model: MemoryModel) -> int:
    """Floating values in one stream's state; flags and counters are not counted."""
    return _floats(eqx.filter_eval_shape(lambda m: m.initial_state(), model))


def _floats(tree: Any) -> int:
    """Like `parameter_count`, of abstract arrays too."""
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "dtype")]
    return sum(x.size for x in leaves if jnp.issubdtype(x.dtype, jnp.inexact))


MEASURES = {"state": state_floats, "parameters": _floats}


def fitted_option(
    name: str,
    budget: str,
    build: Callable[[str, int], MemoryModel],
    as_given: tuple[str, int],
    option: str | None,
    unit: int,
) -> tuple[str, int]:
    """The option that meets a budget, and its value.

    Args:
        name: of the memory, for messages.
        budget: 'state' or 'parameters'.
        build: builds the model with one option set to a value.
        as_given: an option and the value that it has anyway.
        option: what sets it; None where nothing does.
        unit: what its value must be a multiple of.

    Raises:
        ValueError: no such budget, or the model cannot meet it; the message has the
            nearest figure that it can have.
    """
    if budget not in BUDGETS:
        raise ValueError(
            f"memory.match={budget!r}: choose 'state' ({BUDGETS['state']} floats), "
            f"'parameters' ({BUDGETS['parameters']:,}) or null."
        )
    goal, what = BUDGETS[budget], {"state": "floats of state"}.get(budget, budget)
    if option is None:
        has = MEASURES[budget](eqx.filter_eval_shape(lambda: build(*as_given)))
        raise ValueError(
            f"memory {name!r} cannot be sized to {goal:,} {what}: no option of it sets "
            f"them alone; as configured it has {has:,}. Use memory.match=null."
        )

    def measured(size: int) -> int | None:
        """None where the model refuses the size."""
        try:
            model = eqx.filter_eval_shape(lambda: build(option, size))
        except ValueError:
            return None
        return MEASURES[budget](model)

    found = _nearest(measured, goal, unit)
    if not found:
        raise ValueError(f"memory {name!r} can be built with no {option} at all.")
    distance, size, has = found
    if distance > TOLERANCE * goal:
        raise ValueError(
            f"memory {name!r} cannot be sized to {goal:,} {what} within "
            f"{TOLERANCE:.0%}: the nearest it can have is {has:,}, with "
            f"{option}={size}. Use memory.match=null and set {option} yourself."
        )
    return option, size


def _nearest(
    measured: Callable[[int], int | None], goal: int, unit: int
) -> tuple[int, int, int] | None:
    """(distance, size, measure) of the nearest size, sizes growing with the measure."""
    best: tuple[int, int, int] | None = None

    def consider(count: int) -> int | None:
        nonlocal best
        has = measured(count * unit)
        if has is not None:
            candidate = (abs(has - goal), count * unit, has)
            best = min(best, candidate) if best else candidate
        return has

    # A size may be refused because it is too small, or, beyond one that was accepted,
    # because it is too large.
    smallest: int | None = None
    low, high = 0, 1
    while high * unit <= LARGEST:
        has = consider(high)
        if has is not None:
            smallest = smallest or high
        if smallest and (has is None or has >= goal):
            break
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        has = consider(middle)
        too_large = smallest is not None and middle > smallest
        if (has is None and not too_large) or (has is not None and has < goal):
            low = middle
        else:
            high = middle
    return best
