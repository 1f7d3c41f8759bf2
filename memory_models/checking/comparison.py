"""Comparisons that fail with a sentence: what is wrong, why it matters, what to do."""

from typing import Any

import jax
import numpy as np


class CheckError(ValueError):
    """A memory model breaks the contract; the message says how, why and what to do."""


def fail(wrong: str, why: str, advice: str) -> None:
    """Raise a CheckError of three sentences."""
    raise CheckError(f"{wrong} Why it matters: {why} What to do: {advice}")


def same(
    tolerance: float, one: Any, other: Any, what: str, why: str, advice: str
) -> None:
    """Compare two pytrees; the tolerance grows with values above 1."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind in "biu":
            difference, allowed = float((a != b).any()), 0.0
        else:
            difference = float(np.abs(a - b).max(initial=0.0))
            allowed = tolerance * max(1.0, float(np.abs(a).max(initial=0.0)))
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
