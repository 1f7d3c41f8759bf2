"""Clocks of tasks that show, hide and then ask, with lengths drawn per episode."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

Range = tuple[int, int]
"""Fewest and most steps, both included."""
CUE, EMPTY, ACT = range(3)
PHASES = ("cue", "empty", "act")


class Clock(NamedTuple):
    """When phases end.

    Attributes:
        hides: the first time at which nothing is shown any more.
        asks: the first time at which choices count.
    """

    hides: Int[Array, ""]
    asks: Int[Array, ""]

    def phase(self, time: Int[Array, ""]) -> Int[Array, ""]:
        """`CUE`, `EMPTY` or `ACT`."""
        hidden = (time >= self.hides).astype(jnp.int32)
        return hidden + self.acting(time).astype(jnp.int32)

    def acting(self, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether choices count."""
        return time >= self.asks

    def unseen(self, time: Int[Array, ""]) -> Int[Array, ""]:
        """Steps since the cue was last on show."""
        return jnp.maximum(time - self.hides + 1, 0)


def wind(key: PRNGKeyArray, cue: Range, empty: Range) -> Clock:
    """A clock with lengths drawn from these ranges."""
    least = jnp.array([cue[0], empty[0]], jnp.int32)
    most = jnp.array([cue[1], empty[1]], jnp.int32)
    steps = jax.random.randint(key, (2,), least, most + 1, jnp.int32)
    return Clock(hides=steps[0], asks=steps[0] + steps[1])


def check_range(task: str, name: str, given: Range) -> None:
    """Refuse what is not two numbers from 1 on, in order.

    Raises:
        ValueError: as it says.
    """
    if not 1 <= given[0] <= given[1]:
        raise ValueError(
            f"{task} needs {name} to be the fewest and the most, from 1 on; not "
            f"{given}."
        )


def check_ranges(task: str, limit: int, **ranges: Range) -> None:
    """Refuse phases that are empty or leave no time to act.

    Raises:
        ValueError: a range that is none, or more steps than `limit` allows.
    """
    for name, given in ranges.items():
        check_range(task, name, given)
    total = sum(most for _, most in ranges.values())
    if total >= limit:
        raise ValueError(
            f"{task} shows and hides for up to {total} steps, which leaves none of "
            f"max_steps={limit} to act; raise max_steps."
        )
