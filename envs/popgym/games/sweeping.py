"""What MineSweeper pays, at random and at best, computed from its rules."""

import functools
import itertools

import numpy as np

MOST_CELLS, MOST_LAYOUTS = 16, 120
"""Limits up to which the best play is computed: a tenth of a second."""


def rewards(clear: int) -> tuple[float, float, float]:
    """For a clear cell, for one viewed before, for a mine."""
    return 1 / clear, -0.5 / (clear - 2), -0.5 - 1 / clear


@functools.cache
def random_return(cells: int, mines: int) -> float:
    """Expected return of uniformly random clicks, by how many cells are viewed."""
    clear = cells - mines
    good, again, lost = rewards(clear)
    viewed = np.zeros(clear + 1)
    viewed[0] = 1.0
    number, total = np.arange(clear), 0.0
    for _ in range(clear):
        playing = viewed[:-1]
        new = playing * (clear - number) / cells
        total += playing.sum() * mines / cells * lost + new.sum() * good
        total += (playing * number).sum() / cells * again
        viewed[:-1] = playing * number / cells
        viewed[1:] += new
    return float(total)


@functools.cache
def best_return(size: int, mines: int) -> float:
    """Return of the best player that remembers all clicks, by dynamic programming.

    A position is the set of viewed cells and the layouts of mines that agree with what
    they showed. A cell that is clear in all of them can be clicked at once: there are
    as many clicks as clear cells, so doing it now costs no click, pays no less and may
    tell something. A click to waste can wait until nothing else is worth its risk:
    what comes later then pays the same, and who is hit before saves the waste. So
    either all clicks that are left are wasted, or the best guess is made.
    """
    cells = size * size
    good, again, lost = rewards(cells - mines)
    near = [
        sum(1 << cell for cell in range(cells) if _distance(cell, click, size) <= 1)
        for click in range(cells)
    ]

    def reveal(layouts: tuple[int, ...], clicks: list[int]) -> list[tuple[int, ...]]:
        """The layouts in which `clicks` are clear, by what they show."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for layout in layouts:
            if not any(layout >> click & 1 for click in clicks):
                shown = tuple([(layout & near[click]).bit_count() for click in clicks])
                groups.setdefault(shown, []).append(layout)
        return [tuple(group) for group in groups.values()]

    @functools.cache
    def total(viewed: int, layouts: tuple[int, ...]) -> float:
        """The best value of a position, summed over its layouts."""
        if len(layouts) == 1:
            return good * (cells - mines - viewed.bit_count())
        possible = functools.reduce(int.__or__, layouts)
        certain = [c for c in range(cells) if not (viewed | possible) >> c & 1]
        risky = [[c] for c in range(cells) if (possible & ~viewed) >> c & 1]
        left = cells - mines - viewed.bit_count()
        options = [again * left * len(layouts)] if viewed else []
        for clicks in [certain] if certain else risky if left else []:
            groups = reveal(layouts, clicks)
            survived = sum(map(len, groups))
            after = viewed | sum(1 << click for click in clicks)
            options.append(
                good * len(clicks) * survived
                + lost * (len(layouts) - survived)
                + sum(total(after, group) for group in groups)
            )
        return max(options)

    chosen = itertools.combinations(range(cells), mines)
    everything = tuple(sum(1 << cell for cell in layout) for layout in chosen)
    return total(0, everything) / len(everything)


def _distance(cell: int, other: int, size: int) -> int:
    """Moves of a king from one cell to the other."""
    (row, column), (row2, column2) = divmod(cell, size), divmod(other, size)
    return max(abs(row - row2), abs(column - column2))
