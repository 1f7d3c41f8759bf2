"""Wrappers that make any task partial: keys dropped, flicker, noise, delay.

Each is a task around a task. State, rewards, ends, oracle and pictures are the inner
task's, so random play and the oracle return what they did; what the best policies with
and without memory return changes, and is unknown in general.
"""

from envs.base import Environment
from envs.partial.blank import Delayed, Flicker
from envs.partial.less import Noisy, WithoutKeys
from envs.partial.wrapper import Partial, PartialState

__all__ = [
    "Delayed",
    "Flicker",
    "Noisy",
    "Partial",
    "PartialState",
    "WithoutKeys",
    "make_partial",
]


def make_partial(
    env: Environment,
    *,
    drop: tuple[str, ...] = (),
    noise: float = 0.0,
    flicker: float = 0.0,
    delay: int = 0,
) -> Environment:
    """`env` with less on show; whatever is left at its default changes nothing.

    Args:
        env: any task.
        drop: keys of a Dict observation to leave out.
        noise: standard deviation of normal noise on floating numbers.
        flicker: probability that an observation is blank.
        delay: steps by which observations are late.

    Raises:
        ValueError: the task has no such key, nothing to add noise to, or a number is
            out of range.
    """
    if drop:
        env = WithoutKeys(env, drop)
    if noise:
        env = Noisy(env, noise)
    if flicker:
        env = Flicker(env, flicker)
    if delay:
        env = Delayed(env, delay)
    return env
