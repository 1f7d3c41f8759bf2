"""Rare row-wise work at the price of the rows that need it.

Resets, bootstrap values and segment writes concern few rows of a batch at any step.
`update_rows` gathers the rows where a predicate holds, a fixed number per round, and
loops until none is left; no round runs when the predicate holds nowhere. `lax.cond`
would not do: under a vmap over seeds it becomes a select and every row pays.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def update_rows(
    function: Callable[[Any], Any],
    where: Bool[Array, " rows"],
    operands: Any,
    default: Any,
    *,
    rows_per_round: int,
) -> Any:
    """Return `default` with the rows where `where` holds replaced by `function`.

    Args:
        function: maps a pytree of rows `[k, ...]` to a pytree of rows `[k, ...]` with
            the structure and dtypes of `default`. Each result row must depend on its
            own operand row only; then the result does not depend on `rows_per_round`.
        where: the rows to replace.
        operands: pytree of arrays `[rows, ...]` from which `function`'s rows come.
        default: pytree of arrays `[rows, ...]`.
        rows_per_round: how many rows one round of the loop treats.

    Returns:
        A pytree like `default`.
    """
    total = where.shape[0]
    count = min(rows_per_round, total)

    def body(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        pending, result = carry
        # Surplus slots point one past the end: read clamped, written nowhere.
        index = jnp.nonzero(pending, size=count, fill_value=total)[0]
        rows = jax.tree.map(lambda x: x.at[index].get(mode="clip"), operands)
        update = function(rows)
        result = jax.tree.map(
            lambda old, new: old.at[index].set(new, mode="drop"), result, update
        )
        return pending.at[index].set(False, mode="drop"), result

    return jax.lax.while_loop(lambda carry: carry[0].any(), body, (where, default))[1]
