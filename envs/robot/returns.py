"""What chance, a scripted policy and a sweep reach: shares of episodes that succeed.

    python -m envs.robot.returns

plays every registered task and writes `measured.py`. Of other settings the same is
played when a card is first asked for.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from envs.base import Card, Return, exact, simulated
from envs.robot import measured
from envs.spaces import sample

PAPER = (
    'after Cherepanov et al. 2025, "Memory, Benchmark & Robots: A Benchmark for '
    'Solving Complex Tasks with Reinforcement Learning" (MIKASA-Robo 1.0.0)'
)
EPISODES = 4_096
"""By chance; a tenth as many, but 1,000 at least, by the others."""
Policy = Callable[[PRNGKeyArray, Any, Any], tuple[Any, Array]]
"""Key, state of the task and what the policy keeps, to what it keeps and the action."""


def card(
    task: Any,
    *,
    note: str,
    ways: int = 1,
    blind: Return | None = None,
    outside_memory: bool = False,
    **told: Any,
) -> Card:
    """The card of a task in which one of `ways` answers is right, all as likely.

    By the original's rules it is no memory that succeeds, but a sweep, or the place of
    the gripper; the memoryless share is then what a sweep reaches.

    Args:
        task: whose card it is.
        note: what the blind guess is, or why it is no better.
        ways: how many answers there are.
        blind: the share of the best blind guess, where answers cannot be counted.
        outside_memory: whether the gripper's place can keep the answer all the same.
        told: the rest of the card.
    """
    floor, oracle, sweep = shares(task)
    memoryless = exact(1 / ways) if blind is None else blind
    guess = memoryless.value or 0.0
    memoryless = memoryless._replace(note=note)
    if not task.committed:
        best = max(sweep, guess)
        note = "by trying everything in turn; more if the gripper's place keeps the cue"
        memoryless = _told(best, _fewer(EPISODES), note)
    seen = "the scripted policy needs only what has been seen"
    return Card(
        paper=PAPER,
        truncates=False,
        floor=_told(floor, EPISODES),
        memoryless=memoryless,
        recall=_told(oracle, _fewer(EPISODES), seen),
        oracle=_told(oracle, _fewer(EPISODES)),
        max_episode_steps=task.max_steps,
        outside_memory=outside_memory or not task.committed,
        measure="success",
        **told,
    )


def _fewer(episodes: int) -> int:
    return max(1_000, episodes // 10)


def _told(share: float, episodes: int, note: str = "") -> Return:
    """A share with its interval; of 0 or 1 by the rule of three."""
    half = max(1.96 * math.sqrt(share * (1 - share) / episodes), 3 / episodes)
    return simulated(share, episodes, half, note)


def shares(task: Any) -> tuple[float, float, float]:
    """What chance, the scripted policy and a sweep reach."""
    known = measured.SHARES.get(name(task) or "")
    return known if known is not None else play(task)


def name(task: Any) -> str | None:
    """The id of a registered task, or `<id> original`; None for other settings."""
    return _names().get(dataclasses.replace(task, **_ALIKE))


_ALIKE = {"reward_mode": "sparse", "observation": "vector"}
"""What does not decide success."""


@functools.cache
def _names() -> dict[Any, str]:
    from envs.robot import TASKS

    return {
        target(**{**parameters, **_ALIKE, "committed": committed}): id + rules
        for id, (target, parameters) in TASKS.items()
        for committed, rules in ((True, ""), (False, " original"))
    }


@functools.cache
def play(task: Any) -> tuple[float, float, float]:
    """`shares`, played."""
    with jax.ensure_compile_time_eval():
        floor = success(task, _by_chance(task), EPISODES)
        oracle = success(task, _by_script(task), _fewer(EPISODES))
        sweep = 0.0
        if not task.committed:
            sweep = success(task, _by_sweep(task), _fewer(EPISODES))
    return floor, oracle, sweep


def success(task: Any, policy: Policy, episodes: int) -> float:
    """The share of episodes in which a policy succeeds."""

    def episode(key: PRNGKeyArray) -> Array:
        start_key, key = jax.random.split(key)

        def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
            state, kept, ended, succeeded = carry
            kept, action = policy(key, state, kept)
            _, state, _, terminated, truncated, info = task.step(key, state, action)
            succeeded |= info["success"] & ~ended
            return (state, kept, ended | terminated | truncated, succeeded), None

        no = jnp.zeros((), bool)
        first = task.reset(start_key)[1], jnp.zeros((), jnp.int32), no, no
        return jax.lax.scan(step, first, jax.random.split(key, task.max_steps))[0][3]

    keys = jax.random.split(jax.random.key(0), episodes)
    return float(np.mean(jax.jit(jax.vmap(episode))(keys)))


def _by_chance(task: Any) -> Policy:
    return lambda key, state, kept: (kept, sample(task.action_space, key))


def _by_script(task: Any) -> Policy:
    return lambda key, state, kept: (kept, task.oracle(key, state))


def _by_sweep(task: Any) -> Policy:
    return task.sweep


def main() -> None:
    """Play every registered task and write the table."""
    lines = []
    for task, name in _names().items():
        shares = tuple(round(share, 4) for share in play(task))
        lines.append(f'    "{name}": {shares},\n')
        print(lines[-1], end="", flush=True)
    path = Path(measured.__file__)
    before, found, _ = path.read_text().partition(_OPENS)
    path.write_text(before + found + "".join(lines) + "}\n")


_OPENS = "SHARES: dict[str, tuple[float, float, float]] = {\n"

if __name__ == "__main__":
    main()
