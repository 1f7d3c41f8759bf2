"""Returns of Concentration: of flips at random, and of a perfect memory.

Both follow how many cards of each kind lie face down. Kinds are alike, so a state is
the sorted tuple of what there is of each.
"""

import functools
import itertools
import math

import numpy as np

from envs.base import Return, computed, unknown
from envs.popgym import cards

_MOST_STATES = 10_000
_RECALL = {
    (1, "colours"): 0.8332581,
    (2, "colours"): 0.8333256,
    (1, "ranks"): 0.7323619,
}
"""1 - least_failures/n; a slow test recomputes them."""


def floor(decks: int, kind: str) -> Return:
    """What uniformly random flips return, where there are not too many states."""
    kinds = cards.KINDS[kind]
    pairs = cards.DECK * decks // kinds // 2
    if math.comb(kinds + pairs, kinds) > _MOST_STATES:
        return unknown("not computed: too many ways for cards to lie face down")
    return computed(random_return(decks, kind), "every flip of any card at all")


def recall(decks: int, kind: str) -> Return:
    """What a perfect memory returns; see `least_failures`."""
    value = _RECALL.get((decks, kind))
    if value is None:
        return unknown("not computed for this number of decks")
    return computed(value, "the fewest failures that a perfect memory can expect")


@functools.cache
def random_return(decks: int, kind: str) -> float:
    """Expected return of uniformly random flips, by dynamic programming in time."""
    total, kinds = cards.DECK * decks, cards.KINDS[kind]
    limit = 2 * total
    most = total // kinds // 2
    states = list(itertools.combinations_with_replacement(range(most + 1), kinds))
    index = {state: i for i, state in enumerate(states)}
    # The state after a pair of each kind is found; the first has none left at all.
    after = np.array(
        [
            [
                index[tuple(sorted((*s[:k], max(s[k] - 1, 0), *s[k + 1 :])))]
                for k in range(kinds)
            ]
            for s in states
        ]
    )
    left = 2 * np.array(states)
    up = (total - left.sum(1)) / total
    match = np.maximum(left - 1, 0) / total
    none = np.zeros(len(states))  # expected return, with no card in play
    one = np.zeros(left.shape)  # with one of each kind in play
    for _ in range(limit):
        none, one = (
            up * (none - 1 / limit) + (left / total * one).sum(1),
            match * (none[after] + 2 / total)
            + (1 - match) * (none[:, None] - 2 / limit),
        )
        none[0] = 0.0
    return float(none[-1])


Kinds = tuple[tuple[int, int], ...]
"""For each kind, cards never seen and cards seen, all face down; sorted."""


@functools.cache
def least_failures(state: Kinds) -> float:
    """Fewest failed attempts that a player who remembers every card can expect.

    A failure costs 2/limit = 1/n and all pairs together pay 1, so what the player
    returns is 1 - failures/n. Each attempt starts with a card never seen, goes on with
    a seen one like it, if there is one, or with another card never seen; if that
    fails, two more cards are seen. Seen pairs are kept to the end: each may yet help
    two cards never seen. So cards seen beyond those never seen of the same kind are
    worth nothing until then, and are left out of the state.

    The test compares with all other attempts: a seen pair at once, a seen card first,
    a second flip that cannot succeed, a card that is up. None does better.

    The time limit does not bind: each failure shows two cards never seen, so at most
    n/2 attempts fail and n/2 succeed, and there is time for n. Nor is it better to run
    into it: with p pairs left at most p attempts fail, at 1/n each, and each pair
    pays 2/n.
    """
    unseen = sum(new for new, _ in state)
    expected = 0.0
    for kind in set(state):
        if kind[0]:
            chance = kind[0] * state.count(kind) / unseen
            expected += chance * _second_flip(state, kind, unseen)
    return expected


def _second_flip(state: Kinds, kind: tuple[int, int], unseen: int) -> float:
    """Failures expected once a card of `kind`, never seen before, is in play."""
    new, seen = kind
    best = math.inf
    if seen:
        best = least_failures(_put(state, (kind, (new - 1, seen - 1))))
    if unseen == 1:
        return best
    expected = 0.0
    if new >= 2:
        matched = least_failures(_put(state, (kind, (new - 2, seen))))
        expected += (new - 1) / (unseen - 1) * matched
    others = list(state)
    others.remove(kind)
    for other in set(others):
        if other[0]:
            chance = other[0] * others.count(other) / (unseen - 1)
            shown = (other, (other[0] - 1, other[1] + 1))
            failed = _put(state, (kind, (new - 1, seen + 1)), shown)
            expected += chance * (1 + least_failures(failed))
    return min(best, expected)


def _put(state: Kinds, *changes: tuple[tuple[int, int], tuple[int, int]]) -> Kinds:
    """`state` with one kind replaced per change."""
    kinds = list(state)
    for old, new in changes:
        kinds.remove(old)
        kinds.append(new)
    return tuple(sorted((new, min(seen, new)) for new, seen in kinds))
