"""`check_memory`: does a memory model keep the contract?"""

from collections.abc import Iterator

import jax
import numpy as np

from memory_models.base import MemoryModel
from memory_models.checking.comparison import CheckError
from memory_models.checking.episodes import episodes
from memory_models.checking.probe import make_probe
from memory_models.checking.properties import PROPERTIES

__all__ = ["CheckError", "check_memory", "start_patterns"]


def check_memory(
    model: MemoryModel,
    *,
    input_size: int | None = None,
    half: int = 7,
    seed: int = 0,
    fast: bool = False,
) -> None:
    """Check that a model keeps the contract of docs/memory_models.md.

    Args:
        model: any memory model, built.
        input_size: width of its features; None tells it from the parameters.
        half: sequences of this length and of twice it are used; make it an odd
            number above a model's segment length, if it has one.
        seed: for values and starts.
        fast: leave it at the gross mistakes, which a second or two shows: gradients,
            batches and mixtures of steps and calls are not looked at.

    Raises:
        CheckError: a guarantee is broken; the message says which and what to do.
    """
    with jax.default_matmul_precision("highest"):  # accelerators round more by default
        probe = make_probe(model, input_size=input_size, half=half, seed=seed)
        episodes(probe, seed)
        if fast:
            return
        for number, starts in enumerate(start_patterns(probe.time, seed)):
            for check in PROPERTIES.values():
                check(probe, starts, seed + 10 * number)


def start_patterns(time: int, seed: int) -> Iterator[np.ndarray]:
    """No start, at the first step, consecutive ones, all, and random ones."""
    generator = np.random.default_rng(seed)
    none, first, consecutive = np.zeros((3, time), bool)
    first[0] = True
    consecutive[time // 3 : time // 3 + 3] = True
    yield none
    yield first
    yield consecutive
    yield np.ones(time, bool)
    yield generator.random(time) < 0.3
