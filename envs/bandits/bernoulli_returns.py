"""What Bayes-optimal prediction of a switching Bernoulli source returns.

Predicting step by step pays the mean of |E[2 x - 1 | past]| each time. The sum over
all pasts has 2^(length - 1) terms, but most need not be told apart: two pasts that end
in the same bits w and call for the same prediction, whatever came before w, can be
counted as one, and only where what came before matters is w made longer by one bit.
"""

import functools

import numpy as np

_NEGLIGIBLE = 1e-8
_ROOM = 2**18  # numbers in the arrays of the search


def nodes(length: int, prior: str) -> tuple[np.ndarray, np.ndarray]:
    """Biases and weights that stand for the prior, exactly, over `length` bits.

    The probability of bits of one coin is a polynomial in its bias, of a degree equal
    to their number, and Gauss' quadrature integrates polynomials of degree 2 n - 1
    with n nodes. So no experiment of `length` bits can tell these n coins from the
    prior.
    """
    count = length // 2 + 1
    if prior == "uniform":
        points, weights = np.polynomial.legendre.leggauss(count)
        return (points + 1) / 2, weights / 2
    angles = np.pi * (2 * np.arange(count) + 1) / (2 * count)
    return (np.cos(angles) + 1) / 2, np.full(count, 1 / count)


@functools.cache
def recall_bounds(length: int, hazard: float, prior: str) -> tuple[float, float]:
    """Bounds of the return of the best predictor that remembers everything.

    A row of `ends` is a sequence w of latest bits: for each bias before w, E[(2 x - 1)
    1{w}] where x is the bit to come. A past before w enters as the distribution over
    biases that it leaves. If a row has one sign throughout, that past does not matter.
    Otherwise the most that it can be worth is what knowing the bias itself would be;
    where this is negligible, or there is no more room, the past is ignored, and the
    most that it can be worth goes into the upper bound.
    """
    bias, weight = nodes(length, prior)

    def one_step_earlier(rows: np.ndarray) -> np.ndarray:
        return (1 - hazard) * rows + hazard * (rows @ weight)[:, None]

    room = max(1, _ROOM // len(bias))
    # Zeros and ones are alike: only pasts that end in a one, counted twice.
    ends = one_step_earlier(bias * one_step_earlier(2 * bias[None] - 1))
    total = settled = ignored = 0.0
    for _ in range(1, length):  # bits seen before a prediction
        worth = np.abs(ends @ weight)
        total += 2 * (settled + worth.sum())
        gain = np.abs(ends) @ weight - worth
        longer = gain > _NEGLIGIBLE
        if longer.sum() > room:
            longer = gain > np.partition(gain, -room)[-room]
        settled += worth[~longer].sum()
        ignored += gain[~longer].sum()
        ends = ends[longer]
        ends = one_step_earlier(np.concatenate([ends * bias, ends * (1 - bias)]))
    low = float(total) / length
    return low, low + 2 * max(0.0, float(ignored)) * (length - 1) / length
