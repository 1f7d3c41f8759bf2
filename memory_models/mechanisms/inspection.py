"""What a model looked at and kept: attention weights, choices and gates, to look at.

A mechanism records them where it makes its outputs, of the same arrays:

    weights = masked_softmax(scores, visible)
    record("attention", lambda: cut.dense(weights))

Nothing is computed for it unless somebody looks (`MemoryModel.inspect`). That is
decided while a program is traced, so a program that trains or acts has no trace of it.

A loop has a trace of its own, out of which nothing can be handed but its results:
`scan` returns what its body records among them; `unrecorded` is for loops that do not.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Number = Float[Array, "..."] | tuple[Float[Array, "..."], Float[Array, "..."]]


class _Page(NamedTuple):
    records: dict[str, Array]
    prefix: str


_page: ContextVar[_Page | None] = ContextVar("page", default=None)


@contextlib.contextmanager
def _turned_to(page: _Page | None) -> Iterator[None]:
    token = _page.set(page)
    try:
        yield
    finally:
        _page.reset(token)


def is_looking() -> bool:
    """Whether somebody looks at what is traced now."""
    return _page.get() is not None


def record(name: str, make: Callable[[], Array]) -> None:
    """Show an array `[time, ...]` to whoever looks.

    Args:
        name: of the array; a second one of the same name is `<name>_2`.
        make: called only if somebody looks.
    """
    page = _page.get()
    if page is None:
        return
    name = name if not page.prefix else f"{page.prefix}/{name}"
    free, number = name, 1
    while free in page.records:
        number += 1
        free = f"{name}_{number}"
    page.records[free] = make()


def record_decay(make: Callable[[], Number], starts: Bool[Array, " time"]) -> None:
    """Show `decay`, what each step leaves of the state before it: 0 at a start.

    Args:
        make: gives factors `[time, ...]`, or `[1, ...]` where all steps have the same;
            complex ones as (real, imaginary).
        starts: true where a step is the first of an episode.
    """

    def left() -> Array:
        factor = make()
        if isinstance(factor, tuple):
            factor = jnp.sqrt(jnp.square(factor[0]) + jnp.square(factor[1]))
        flags = starts.reshape(-1, *[1] * (factor.ndim - 1))
        return jnp.where(flags, 0.0, factor)

    record("decay", left)


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Names inside begin with `<name>/`."""
    page = _page.get()
    if page is None:
        yield
        return
    prefix = name if not page.prefix else f"{page.prefix}/{name}"
    with _turned_to(page._replace(prefix=prefix)):
        yield


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Nobody looks at what is traced inside."""
    with _turned_to(None):
        yield


def with_records(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, returning its result and a dict of what it records."""

    def looked_at(*arguments: Any) -> tuple[Any, dict[str, Array]]:
        records: dict[str, Array] = {}
        with _turned_to(_Page(records, "")):
            result = function(*arguments)
        return result, records

    return looked_at


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    elements: Any,
    *,
    unroll: int = 1,
    joined: Callable[[Array], Array] = lambda x: x,
) -> tuple[Any, Any]:
    """`jax.lax.scan`, whose body may record one step of what is then `[time, ...]`.

    Args:
        body: as that of `jax.lax.scan`.
        carry: likewise.
        elements: likewise.
        unroll: likewise.
        joined: makes `[time, ...]` of the records of all rounds, where a round is not
            a step.
    """
    if not is_looking():
        return jax.lax.scan(body, carry, elements, unroll=unroll)

    def one(carry: Any, element: Any) -> tuple[Any, Any]:
        (carry, output), records = with_records(body)(carry, element)
        return carry, (output, records)

    carry, (outputs, records) = jax.lax.scan(one, carry, elements, unroll=unroll)
    for name, rounds in records.items():
        record(name, lambda rounds=rounds: joined(rounds))
    return carry, outputs
