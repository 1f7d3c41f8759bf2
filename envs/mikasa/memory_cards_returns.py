"""What players of memory cards return: without memory, and with all of it."""

import functools
import itertools
import math
from collections import Counter

from envs.base import Return, computed, unknown

_FIVE_PAIRS = -4.90090753728508
"""`best(5)`, which takes most of a minute; a slow test computes it."""


def memoryless(pairs: int) -> Return:
    """The best stationary policy, up to what its first guess can add.

    A policy without memory guesses, for a set S of cards left and the card shown,
    from a fixed distribution. Let s(S) be its chance to hit in one step, given where
    the pairs are; a stage (a set S) then takes 1 / s steps on average. The pairs that
    it finds, in their order, are a path, and over all tables

        E[s_1 s_2 ... s_j] <= the same for uniform guesses, 1 / (c_1 c_2 ... c_j),

    with c_i = 2 (pairs - i) + 1: the chance of a path, times that product, does not
    depend on the table. So the means l_i of log 1 / (c_i s_i) have partial sums of at
    least 0, the mean number of steps is sum c_i E[1 / (c_i s_i)] >= sum c_i (1 + l_i),
    and as c_i falls with i that is at least sum c_i: uniform guesses among the cards
    left are the best.

    Unless the first observation, which is known as such, gets a guess of its own, one
    that is avoided later. Given that it failed, which has the chance f = 1 - 1 / c_1,
    a table is at most 1 / f times as likely as it was, so the partial sums are at
    least log f, and the steps from then on at least sum c_i + c_1 log f.
    """
    first = 2 * pairs - 1
    fails = 1 - 1 / first
    uniform = pairs * (pairs - 1)
    bound = fails * (1 + uniform + first * math.log(fails))
    bound += (1 - fails) * (pairs - 1) * (pairs - 2)
    return computed(
        -bound,
        f"no stationary policy returns more; a guess among the cards left {-uniform}",
    )


def recall(pairs: int) -> Return:
    """The Bayes-optimal player, where it can be computed."""
    if pairs <= 4:
        return computed(best(pairs), "dynamic programming over all that can be known")
    if pairs == 5:
        return computed(_FIVE_PAIRS, "dynamic programming over all that can be known")
    return unknown(
        "which places have been tried in vain for which cards takes more states than "
        f"can be enumerated; at least {forgetting(pairs):.2f}, the return of who "
        "remembers cards but not failures"
    )


@functools.cache
def forgetting(pairs: int) -> float:
    """Return of remembering all cards seen, and guessing among the others at random.

    A random guess among `unseen` cards hits with probability 1 / unseen whatever has
    failed before, so how many have been seen, their mates not, is all that counts.
    """
    value = {}
    for left in range(0, 2 * pairs + 1, 2):
        for seen in range(left // 2, -1, -1):
            unseen = left - seen
            if left == 0:
                value[seen, unseen] = 0.0
                continue
            total, again = 0.0, 0.0
            if seen:  # its mate is shown, or it is shown itself
                gone = value[seen - 1, unseen - 1]
                total += seen / left * gone
                total += seen / left * (gone / unseen - (1 - 1 / unseen))
                again = seen / left * (1 - 1 / unseen)
            if unseen > seen:  # one of a pair of which nothing is known
                hit = 1 / (unseen - 1)
                fresh = hit * value[seen, unseen - 2]
                if hit < 1:
                    fresh += (1 - hit) * (value[seen + 1, unseen - 1] - 1)
                total += (unseen - seen) / left * fresh
            value[seen, unseen] = total / (1 - again)
    return value[0, 2 * pairs]


# All that can be known: for each card seen (a row) whose mate is not, and each card
# not seen (a column), whether the one can be the mate of the other. A column is the
# set of its rows as a number; which row is which and the order of columns do not
# matter. A known pair is taken off when it is next shown. To leave it, or to name a
# card that is known to be wrong, gains nothing: the cards shown from among the others
# are the same either way.
Columns = tuple[int, ...]


@functools.cache
def _orders(rows: int) -> list[list[int]]:
    """For every order of the rows: what each column becomes."""
    return [
        [sum(1 << to for row, to in enumerate(order) if x >> row & 1) for x in sets]
        for order in itertools.permutations(range(rows))
        for sets in [range(1 << rows)]
    ]


@functools.cache
def _sorted_out(rows: int, columns: Columns) -> Columns:
    """One name for all that differ in the order of rows and columns."""
    return min(tuple(sorted(new[x] for x in columns)) for new in _orders(rows))


@functools.cache
def _ways(rows: int, columns: Columns) -> int:
    """In how many ways all rows can find mates; what is left pairs up anyhow."""
    if rows == 0:
        return 1
    last = rows - 1
    return sum(
        count * _ways(last, _without(columns, column, last))
        for column, count in Counter(columns).items()
        if column >> last & 1
    )


def _without(columns: Columns, column: int, row: int | None = None) -> Columns:
    """The table without one column and, if given, one row."""
    rest = list(columns)
    rest.remove(column)
    if row is not None:
        rest = [x & ((1 << row) - 1) | x >> (row + 1) << row for x in rest]
    return tuple(sorted(rest))


@functools.cache
def _guess(rows: int, columns: Columns, row: int) -> float:
    """Return from here on if the card of `row` is shown."""
    values = []
    for column in set(columns):
        after = _without(columns, column, row) if column >> row & 1 else ()
        hit = _ways(rows - 1, after) if column >> row & 1 else 0
        if not hit:
            continue
        miss = _ways(rows, columns) - hit
        value = hit * _known(rows - 1, _sorted_out(rows - 1, after))
        if miss:
            tried = (*_without(columns, column), column & ~(1 << row))
            value += miss * (_known(rows, _sorted_out(rows, tried)) - 1)
        values.append(value / (hit + miss))
    return max(values)


@functools.cache
def _known(rows: int, columns: Columns) -> float:
    """Return from here on, before a card is shown."""
    if not columns:
        return 0.0
    total = sum(_guess(rows, columns, row) for row in range(rows))
    ways = _ways(rows, columns)
    for column, count in Counter(columns).items():
        fresh = ways
        for row in range(rows):
            after = _without(columns, column, row)
            mate = _ways(rows - 1, after) if column >> row & 1 else 0
            if mate:
                value = _known(rows - 1, _sorted_out(rows - 1, after))
                total += count * mate / ways * value
                fresh -= mate
        if fresh:
            more = tuple(sorted(x | 1 << rows for x in _without(columns, column)))
            total += count * fresh / ways * _guess(rows + 1, more, rows)
    return total / (rows + len(columns))


def best(pairs: int) -> float:
    """The return of the best player who remembers everything."""
    return _known(0, (0,) * (2 * pairs))
