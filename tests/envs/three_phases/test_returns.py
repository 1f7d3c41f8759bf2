"""What the cards of the three-phase tasks say, from the rules in plain Python."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest

from envs.three_phases import KeyToDoor, VisualMatch, orchard, returns, rooms
from tests.envs.three_phases.reference import (
    COLOURS,
    DOOR,
    DOOR_ROOM,
    LOWER_ROOM,
    PAD_ROOM,
    PADS,
    STEPS,
    TREES,
    TWO_ROOMS,
    UPPER_ROOM,
    Reference,
)

NORTH, SOUTH, WEST, EAST = range(4)


class Table:
    """A policy written down window by window: no window may get two actions."""

    def __init__(self):
        self.actions = {}

    def __call__(self, slow, action):
        assert self.actions.setdefault(slow.window().tobytes(), action) == action
        return action


def round_trip(place):
    """Around rows 1 to 4 of the orchard, north along its west side."""
    row, column = place
    if row == 5:
        return NORTH
    if column == 1 and row > 1:
        return NORTH
    if row == 1 and column < 9:
        return EAST
    if column == 9 and row < 4:
        return SOUTH
    return WEST


def to_pad(place, pad):
    row, column = place
    if row > 3 or column == PADS[pad][1]:
        return NORTH
    return EAST if PADS[pad][1] > column else WEST


def to_key(slow):
    """Up to the middle of the gap, and to the key once it is in view."""
    row, column = slow.place
    if row > 2:
        return EAST if column < 5 else WEST if column > 5 else NORTH
    if column != slow.key[1]:
        return EAST if column < slow.key[1] else WEST
    return NORTH if row > slow.key[0] else SOUTH


def play(slow, choose):
    total, last = 0.0, False
    while not last:
        apples, final, last = slow.step(choose(slow))
        total += apples + final
    return total


def walled_starts(env):
    if not env.active:
        return [((2, 5), (1, 5)), ((2, 5), (3, 6))]
    return [((5, 5), cue) for cue in sorted(TWO_ROOMS)] + [((4, 3), (0, 2))]


@pytest.mark.parametrize("partial_obs", [True, False])
@pytest.mark.parametrize("active", [False, True])
def test_a_table_of_windows_reaches_memoryless(active, partial_obs):
    """The pad in the middle, or that of the colour if it is shown; every apple."""
    env = VisualMatch(active=active, partial_obs=partial_obs, apples=22, distractor=47)
    table, totals = Table(), []
    for start, cue in walled_starts(env):
        for target in range(3):
            pad = 1 if partial_obs else target

            def choose(slow, pad=pad):
                if slow.phase == 0:
                    return table(slow, NORTH)
                if slow.phase == 1:
                    return table(slow, round_trip(slow.place))
                # Once it has chosen, nothing matters any more.
                over = slow.chosen is not None
                return NORTH if over else table(slow, to_pad(slow.place, pad))

            slow = Reference(env, TREES, start, 1.0, cue=(cue, target, (0, 1, 2)))
            totals.append(play(slow, choose))
    assert np.mean(totals) == pytest.approx(env.card.memoryless.value)
    assert (env.card.memoryless.value < env.card.recall.value) == partial_obs


def test_a_table_of_windows_opens_the_door():
    env = KeyToDoor(explore=8, distractor=30, reward=2, apples=22)
    table = Table()

    def choose(slow):
        if slow.phase == 0:
            return NORTH if slow.had_key else table(slow, to_key(slow))
        return table(slow, round_trip(slow.place) if slow.phase == 1 else NORTH)

    for start, key in itertools.product(LOWER_ROOM, UPPER_ROOM):
        slow = Reference(env, TREES, start, 1.0, key=key)
        assert play(slow, choose) == env.card.memoryless.value == 20


def test_the_colour_can_always_be_seen():
    """By search over squares and walls seen: eight moves at the worst start."""
    cues = sorted(TWO_ROOMS)

    def seen(place):
        return sum(
            1 << i
            for i, cue in enumerate(cues)
            if max(abs(cue[0] - place[0]), abs(cue[1] - place[1])) <= 2
        )

    worst = 0
    for start in LOWER_ROOM:
        queue = collections.deque([(start, seen(start), 0)])
        known = {queue[0][:2]}
        while queue:
            place, mask, moves = queue.popleft()
            if mask == 2 ** len(cues) - 1:
                worst = max(worst, moves)
                break
            for down, right in STEPS.values():
                to = place[0] + down, place[1] + right
                node = to, mask | seen(to)
                if to not in TWO_ROOMS and node not in known:
                    known.add(node)
                    queue.append((*node, moves + 1))
    assert worst == 8  # so the last of nine windows shows it
    with pytest.raises(ValueError):
        VisualMatch(active=True, explore=8)
    assert VisualMatch(active=True, explore=9).card.recall.value is None


def test_shuffled_pads_can_always_be_found():
    env = VisualMatch(explore=1, distractor=0, reward=9, shuffle_pads=True)
    for pads in itertools.permutations(range(3)):
        for target in range(3):
            slow = Reference(env, [], (2, 5), 0, cue=((1, 5), target, pads))
            slow.step(NORTH)
            for action in (NORTH, WEST, NORTH):  # two pads are in view by now
                slow.step(action)
            views = [slow.shows(pad, slow.walls()) for pad in PADS if slow.near(pad)]
            assert views == [COLOURS[c] for c in pads[:2]]
            total = play(slow, lambda s: to_pad(s.place, pads.index(target)))  # noqa: B023
            assert total == env.final_reward


def test_nobody_eats_more_than_every_second_step():
    gaps = [
        abs(a[0] - b[0]) + abs(a[1] - b[1])
        for a, b in itertools.combinations([*TREES, (5, 5)], 2)
    ]
    assert all(gap % 2 == 0 for gap in gaps) and len(TREES) == 22


def forage(trees, steps, respawn):
    """`orchard.forage` restated: apples eaten by every step."""
    place, due, eaten = (5, 5), dict.fromkeys(trees, 0), [0]
    for step in range(steps):
        options = []
        for tree in trees:
            far = abs(tree[0] - place[0]) + abs(tree[1] - place[1])
            if far:
                options.append((max(far, due[tree] - step + 1), tree))
        row, column = min(options)[1]
        if column != place[1]:
            place = place[0], place[1] + (1 if column > place[1] else -1)
        else:
            place = place[0] + (1 if row > place[0] else -1), place[1]
        ate = due.get(place, step + 1) <= step
        if ate:
            due[place] = step + 2 + respawn
        eaten.append(eaten[-1] + ate)
    return eaten


@pytest.mark.parametrize("respawn", range(1, 21))
def test_the_oracle_eats_in_every_second_step(respawn):
    assert forage(TREES, 300, respawn) == [step // 2 for step in range(301)]


def test_the_oracle_among_ten_trees():
    """The number in the docstring, with a standard error of 0.1."""
    random = np.random.default_rng(0)
    trees = [random.permutation(TREES)[:10] for _ in range(400)]
    eaten = [forage([tuple(map(int, t)) for t in ten], 60, 20)[-1] for ten in trees]
    assert abs(np.mean(eaten) - 22.5) < 0.4


@pytest.mark.parametrize("respawn", [0, 1, 20])
def test_random_apples(respawn):
    """Over every sequence of seven actions."""
    env = KeyToDoor(distractor=8, apples=22, respawn=respawn)
    slow = Reference(env, TREES, (4, 3), 1.0, key=(1, 3))
    slow.enter(1)

    def follow(place, ripe, eaten, frame):
        total = 0.0
        for action in range(4) if frame < 7 else ():
            slow.place, slow.ripe, slow.eaten = place, set(ripe), dict(eaten)
            slow.frame = frame
            total += slow.step(action)[0] / 4
            total += follow(slow.place, slow.ripe, slow.eaten, frame + 1) / 4
        return total

    expected = follow((5, 5), slow.ripe, slow.eaten, 0)
    assert returns.random_apples(7, respawn) == pytest.approx(expected)


def reach(walls, starts, targets, steps):
    """Chance to come to any of the targets, by following all places in time."""
    places = {start: 1 / len(starts) for start in starts}
    for _ in range(steps):
        after = collections.Counter()
        for place, chance in places.items():
            for down, right in STEPS.values():
                to = place[0] + down, place[1] + right
                after[place if to in walls else to] += chance / 4
        places = {p: chance for p, chance in after.items() if p not in targets}
    return 1 - sum(places.values())


def test_random_reach():
    door = reach(DOOR_ROOM, [(3, 5)], [DOOR], 10)
    assert returns.random_reach(rooms.DOOR_ROOM, "d", 10) == pytest.approx(door)
    pads = reach(PAD_ROOM, [(5, 5)], PADS, 15)
    assert pads > reach(PAD_ROOM, [(5, 5)], PADS[1:2], 15)
    assert returns.random_reach(rooms.PADS, "123", 15) == pytest.approx(pads)
    keys = [reach(TWO_ROOMS, LOWER_ROOM, [key], 15) for key in UPPER_ROOM]
    assert returns.random_reach(rooms.KEY_ROOM, "k", 15) == pytest.approx(np.mean(keys))


def test_cards():
    assert len(orchard.TREES) == returns._ALL_TREES
    default = VisualMatch().card
    assert default.memoryless.how == default.recall.how == "unknown"
    assert "1.66667, plus 1 for each of at most 30 apples" in default.memoryless.note
    for change in ({"apples": 0}, {"apple_low": 0.0, "apple_high": 0.0}):
        card = dataclasses.replace(VisualMatch(), **change).card
        assert [card.memoryless.value, card.recall.value] == [5 / 3, 5]
    late = {"apples": 22, "respawn": 21}
    assert VisualMatch(distractor=23, **late).card.recall.value is None
    assert VisualMatch(distractor=22, **late).card.recall.value == 16
    assert KeyToDoor().card.memory == "none"
    assert VisualMatch(distractor=100_000).card.floor.how == "unknown"
    assert VisualMatch().card.horizon == (61, 75)
    assert VisualMatch(active=True).card.horizon == (61, 89)
