"""Comparisons that fail with a sentence: what is wrong, why it matters, what to do."""

from typing import Any, NoReturn

import jax
import numpy as np


class CheckError(ValueError):
    """A memory model breaks the contract; the message says how, why and what to do.

    Attributes:
        wrong: the first sentence, what is wrong.
        rest: the others.
        method: of the model's class, where it is known to be at fault.
    """

    def __init__(self, wrong: str, rest: str, method: str | None = None):
        super().__init__(f"{wrong} {rest}")
        self.wrong, self.rest, self.method = wrong, rest, method


def fail(wrong: str, why: str, advice: str, method: str | None = None) -> NoReturn:
    """Raise a CheckError of three sentences, about a method where it is known."""
    rest = f"Why it matters: {why} What to do: {advice}"
    raise CheckError(wrong, rest, method)


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


def same_structure(
    before: Any, after: Any, event: str, method: str = "__call__"
) -> None:
    """Compare what a state is made of, given two trees of shapes and dtypes."""
    kinds = [kinds_of(tree) for tree in (before, after)]
    if kinds[0] != kinds[1]:
        names = list(dict.fromkeys([*kinds[0], *kinds[1]]))
        name = next(n for n in names if kinds[0].get(n) != kinds[1].get(n))
        was, found = (kind.get(name, "nothing") for kind in kinds)
        fail(
            f"The state{name} changes in {event}, from {was} to {found}.",
            "a state is carried by lax.scan, stored in rollouts and in checkpoints.",
            "return a state with the structure, shapes and dtypes of initial_state().",
            method,
        )


def kinds_of(tree: Any) -> dict[str, str]:
    """Shape and dtype of every leaf by its place, `['time'] -> int32[]`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in leaves
    }
