"""Comparisons that fail with a sentence: what is wrong, why it matters, what to do."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

ROUNDINGS = 4.0
"""So many times what rounding is seen to do, two programs of one maths may differ."""
MOST = 20.0
"""And by so many times the tolerance, whatever rounding does."""


class CheckError(ValueError):
    """A memory model breaks the contract; the message says how, why and what to do."""


def fail(wrong: str, why: str, advice: str) -> None:
    """Raise a CheckError of three sentences."""
    raise CheckError(f"{wrong} Why it matters: {why} What to do: {advice}")


def same(
    tolerance: float,
    one: Any,
    other: Any,
    what: str,
    why: str,
    advice: str,
    *,
    rounding: Callable[[], Any] | None = None,
) -> None:
    """Compare two pytrees; the tolerance grows with values above 1.

    Args:
        tolerance: allowed difference where values are about 1.
        one: numbers.
        other: as many.
        what: what is compared, for the message.
        why: it matters.
        advice: what to do.
        rounding: gives for each array how far rounding alone can be seen to move it,
            and is called where the tolerance is exceeded. ROUNDINGS times as much is
            allowed, within MOST times the tolerance.
    """
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    moves: list[float] = []
    for index, (a, b) in enumerate(leaves):
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind in "biu":
            difference, allowed = float((a != b).any()), 0.0
        else:
            difference = float(np.abs(a - b).max(initial=0.0))
            allowed = tolerance * max(1.0, float(np.abs(a).max(initial=0.0)))
            if not difference <= allowed and rounding is not None:
                moves = moves or jax.tree.leaves(rounding())
                allowed = max(allowed, min(ROUNDINGS * moves[index], MOST * allowed))
        if not difference <= allowed:
            fail(
                f"{what[0].upper()}{what[1:]} differ by {difference:.3g}, where "
                f"{allowed:.3g} is allowed (an array of shape {a.shape}).",
                why,
                advice,
            )


def zero(tree: Any, what: str, why: str, advice: str) -> None:
    """Require exact zeros."""
    for leaf in jax.tree.leaves(tree):
        largest = float(np.abs(np.asarray(leaf)).max(initial=0.0))
        if largest > 0.0 or np.isnan(largest):
            fail(f"The gradient {what} is {largest:.3g}, not zero.", why, advice)


def same_structure(before: Any, after: Any, event: str) -> None:
    """Compare what a state is made of, given two trees of shapes and dtypes."""
    same_tree = jax.tree.structure(before) == jax.tree.structure(after)
    kinds = [
        [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(tree)]
        for tree in (before, after)
    ]
    if not (same_tree and kinds[0] == kinds[1]):
        fail(
            f"The state changes in {event}: from {kinds[0]} in {before} to {kinds[1]} "
            f"in {after}.",
            "a state is carried by lax.scan, stored in rollouts and in checkpoints.",
            "return a state with the structure, shapes and dtypes of initial_state().",
        )
