"""What the card of MiniGrid-Memory says: how long a player needs, and chance."""

import functools

import numpy as np

from envs.grids.egocentric import STEPS


def mean_steps(ends: range, *, fetch: bool) -> float:
    """Fewest steps to the side of the match, over all corridors and starts.

    There are `end + 1 - x` squares to the junction, a turn and one more step. The cue
    is in sight from its own column, with a turn to the left up to three squares beyond,
    and looking back up to six; and from the junction, where one turns anyway.
    """
    total = 0.0
    for end in ends:
        steps = []
        for x in range(1, end + 1):
            back = 2 * min(x - 1, 1) if x <= 4 else 4 + 2 * max(0, x - 7)
            if end <= 6:
                back = min(back, 2)
            steps.append(end + 3 - x + back * fetch)
        total += sum(steps) / len(steps)
    return total / len(ends)


@functools.cache
def random_return(size: int, ends: range) -> float:
    """Expected return of uniformly random actions, by following them in time."""
    return float(np.mean([_random_return(size, end) for end in ends]))


def _random_return(size: int, end: int) -> float:
    squares = [(x, y) for x in (1, 2, 3) for y in (-1, 0, 1) if (x, y) != (1, -1)]
    squares += [(x, 0) for x in range(4, end + 2)]
    goals = [(end + 1, -1), (end + 1, 1)]
    number = {square: i for i, square in enumerate(squares + goals)}
    ahead = np.array(
        [
            [number.get((x + dx, y + dy), i) for (x, y), i in number.items()]
            for dx, dy in STEPS.T
        ]
    )
    chance = np.zeros(ahead.shape)  # direction, square
    chance[0, [number[x, 0] for x in range(1, end + 1)]] = 1 / end
    total, steps = 0.0, 5 * size**2
    for time in range(1, steps + 1):
        after = chance * 4 / 7 + (np.roll(chance, 1, 0) + np.roll(chance, -1, 0)) / 7
        for direction in range(4):
            np.add.at(after[direction], ahead[direction], chance[direction] / 7)
        ended = after[:, -2:].sum()
        after[:, -2:] = 0
        chance = after
        total += ended / 2 * (1 - 0.9 * time / steps)
    return total
