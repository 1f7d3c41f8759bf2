"""What can be had from a bandit of two arms whose good arm changes its place."""

import functools

import numpy as np

from envs.base import Return, computed

_CHOICES = 11  # probabilities tried for each input of a stationary policy
_BELIEFS = 1001


@functools.cache
def memoryless(length: int, hazard: float, good: float, bad: float) -> Return:
    """The best stationary policy of the previous arm and its payout.

    Such a policy is four probabilities of pulling the second arm next, one for each
    pair of arm and payout; the start is a guess. All of a grid of them are followed
    in time at once, as probabilities of the good arm and the arm pulled.
    """
    one = np.linspace(0, 1, _CHOICES)
    second = np.stack(np.meshgrid(one, one, one, one, indexing="ij"))
    second = second.reshape(2, 2, -1)  # arm, payout, policy
    pays = np.array([[good, bad], [bad, good]])  # good arm, arm
    chance = np.zeros((2, 2, second.shape[-1]))
    chance[:, 0] = 1 / 2
    total = np.zeros(second.shape[-1])
    for _ in range(length):
        total += np.einsum("gap,ga->p", chance, 2 * pays - 1)
        paid, unpaid = chance * pays[..., None], chance * (1 - pays[..., None])
        to_second = (paid * second[:, 1] + unpaid * second[:, 0]).sum(1)
        chance = np.stack([chance.sum(1) - to_second, to_second], axis=1)
        chance = (1 - hazard) * chance + hazard * chance[::-1]
    best = total.argmax()
    stays = np.array_equal(second[:, 1, best], [0, 1])
    leaves = np.array_equal(second[:, 0, best], [1, 0])
    rule = "stay if it paid, else leave" if stays and leaves else "a mixed one"
    return computed(
        float(total[best]) / length,
        f"{rule}: the best of {_CHOICES}^4 stationary policies of arm and payout",
    )


@functools.cache
def recall(
    length: int, hazard: float, good: float, bad: float, *, at_least: Return
) -> Return:
    """The Bayes-optimal player, by dynamic programming over its belief.

    It is `at_least`, what is returned without memory, itself where the grid cannot
    tell the two apart.

    The belief is the probability b that the first arm is the good one. The value of
    the rest is convex in b: read between the points of a grid along straight lines,
    it is too high. A plan, the same whichever arm is good, is worth a straight line in
    b: taking the plan of the nearest point of the grid, it is too low.
    """
    belief = np.linspace(0, 1, _BELIEFS)
    high = np.zeros(_BELIEFS)
    plans = np.zeros((_BELIEFS, 2))  # worth of the best plan at b, by the good arm
    moves = np.array([[1 - hazard, hazard], [hazard, 1 - hazard]])
    both = np.stack([belief, 1 - belief], axis=1)
    for _ in range(length):
        highs, plans_after = [], []
        for pays in (np.array([good, bad]), np.array([bad, good])):  # by the arm pulled
            upper, lines = 0.0, 0.0
            for reward, likelihood in ((1, pays), (-1, 1 - pays)):
                weight = both @ likelihood
                after = (both * likelihood / weight[:, None]) @ moves[:, 0]
                upper = upper + weight * (reward + np.interp(after, belief, high))
                nearest = np.rint(after * (_BELIEFS - 1)).astype(int)
                lines = lines + likelihood * (reward + plans[nearest] @ moves)
            highs.append(upper)
            plans_after.append(lines)
        high = np.maximum(*highs)
        first, second = plans_after
        better = ((first - second) * both).sum(1) >= 0
        plans = np.where(better[:, None], first, second)
    middle = _BELIEFS // 2
    upper = float(high[middle]) / length
    lower = float(plans[middle].mean()) / length
    if at_least.value is not None and at_least.value > lower - 1e-9:
        return at_least
    return computed(
        (upper + lower) / 2,
        f"Bayes-optimal, between {lower:.6f} and {upper:.6f}: dynamic programming over "
        "the belief",
    )
