"""What is told to a tracker: one seed of a run, point by point."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Row(NamedTuple):
    """What a seed wrote at one step.

    Attributes:
        step: environment steps.
        time: seconds since 1970, of what was written last.
        values: by tag.
    """

    step: int
    time: float
    values: dict[str, float]


class Series(NamedTuple):
    """One seed of a run.

    Attributes:
        id: the same whenever and wherever the run is read; begins with `group_id`.
        group_id: of the run.
        group: its name, `<task>/<memory>-<agent>/<time>`.
        name: of the seed.
        config: the run's settings with dotted names, and the seed.
        rows: in the order of their steps.
        ended: as in `result.json`; None while it trains.
    """

    id: str
    group_id: str
    group: str
    name: str
    config: dict[str, Any]
    rows: list[Row]
    ended: str | None


class Sent:
    """Which points a tracker has, by series."""

    def __init__(self) -> None:
        """None."""
        self._points: dict[str, set[tuple[int, str]]] = {}

    def note(self, series: str, step: int, tag: str) -> None:
        """The tracker has this point already."""
        self._points.setdefault(series, set()).add((step, tag))

    def news(self, series: Series) -> Iterator[Row]:
        """Rows with the points that are new, which count as sent from here on."""
        known = self._points.setdefault(series.id, set())
        for row in series.rows:
            new = {k: v for k, v in row.values.items() if (row.step, k) not in known}
            known.update((row.step, tag) for tag in new)
            if new:
                yield row._replace(values=new)
