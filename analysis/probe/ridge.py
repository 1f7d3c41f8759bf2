"""Linear readouts with a penalty, chosen and judged on episodes of their own."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PENALTIES = 10.0 ** np.arange(-6, 3)
"""Penalties to choose from, in units of one standardised number's mean square."""


class Split(NamedTuple):
    """Numbers of the episodes to fit on, to choose the penalty on, and to judge on."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def split_episodes(episodes: int, seed: int = 0) -> Split:
    """Three fifths to fit on, a fifth to choose on, a fifth to judge on, at random."""
    order = np.random.default_rng(seed).permutation(episodes)
    first, second = episodes * 3 // 5, episodes * 4 // 5
    return Split(order[:first], order[first:second], order[second:])


class Scaling(NamedTuple):
    """How numbers are standardised: by mean and deviation of the rows fitted on.

    Numbers that hardly vary there, less than rounding would make them, are left out:
    their scale is 0.
    """

    mean: Float[np.ndarray, " numbers"]
    scale: Float[np.ndarray, " numbers"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "rows numbers"]) -> "Scaling":
        """The scaling that standardises some rows."""
        x = np.asarray(x, np.float64)
        mean, deviation = x.mean(0), x.std(0)
        real = deviation > 1e-6 * np.abs(mean) + 1e-12
        return cls(mean, np.where(real, 1 / np.where(real, deviation, 1), 0))

    def __call__(self, x: Float[np.ndarray, "rows numbers"]) -> np.ndarray:
        """Standardised rows, in double precision."""
        return (x - self.mean[None]) * self.scale[None]


def ridge(
    x: Float[np.ndarray, "rows numbers"],
    y: Float[np.ndarray, "rows outputs"],
    penalties: Float[np.ndarray, " penalties"],
) -> Float[np.ndarray, "penalties numbers outputs"]:
    """Weights that minimise `|y - x w|^2 / rows + penalty |w|^2`, for each penalty.

    One eigendecomposition of `x' x / rows = V s V'` serves all of them (Hoerl & Kennard
    1970): `w = V (V' x' y / rows) / (s + penalty)`. There is no intercept: the caller
    centres.
    """
    rows = len(x)
    values, vectors = np.linalg.eigh(x.T @ x / rows)
    turned = vectors.T @ (x.T @ y / rows)
    shrunk = np.maximum(values, 0)[None, :] + penalties[:, None]
    return vectors[None] @ (turned[None] / shrunk[:, :, None])


class Readout(NamedTuple):
    """A linear readout.

    Attributes:
        scaling: of what it reads.
        weights: `[numbers, outputs]`.
        offset: of the outputs, `[outputs]`.
        penalty: that was chosen.
    """

    scaling: Scaling
    weights: Float[np.ndarray, "numbers outputs"]
    offset: Float[np.ndarray, " outputs"]
    penalty: float

    def __call__(self, x: Float[np.ndarray, "rows numbers"]) -> np.ndarray:
        """What it reads in some rows, `[rows, outputs]`."""
        return self.scaling(x) @ self.weights + self.offset[None]


def fit(
    x: Float[np.ndarray, "rows numbers"],
    y: Float[np.ndarray, "rows outputs"],
    other_x: Float[np.ndarray, "others numbers"],
    other_y: Float[np.ndarray, "others outputs"],
    penalties: Float[np.ndarray, " penalties"] = PENALTIES,
) -> Readout:
    """Fit on some rows the readout whose penalty reads others best.

    Args:
        x: to read.
        y: what to read in it.
        other_x: to read when penalties are compared, by their squared error.
        other_y: what to read in it.
        penalties: to choose from.
    """
    scaling, offset = Scaling.of(x), y.mean(0, dtype=np.float64)
    weights = ridge(scaling(x), y - offset[None], penalties)
    wanted = (other_y - offset[None])[None]
    errors = np.square(scaling(other_x)[None] @ weights - wanted).mean((1, 2))
    best = int(errors.argmin())
    return Readout(scaling, weights[best], offset, float(penalties[best]))
