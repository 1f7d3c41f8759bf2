"""What cards say of robot tasks: played, and kept in a table."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import TASKS, measured, returns
from envs.robot.groups.batteries_checker import BatteriesChecker
from envs.robot.groups.gather_and_recall import GatherAndRecall
from envs.robot.groups.intercept import Intercept
from envs.robot.groups.remember import Remember
from envs.robot.groups.rotate import Rotate
from envs.robot.groups.shell_game import ShellGame
from envs.robot.groups.shell_game_moves import MovingMugs
from envs.robot.groups.take_it_back import TakeItBack
from envs.robot.groups.timed_transfer import TimedTransfer
from envs.robot.groups.trace_shape import TraceShape
from envs.robot.task import LONG
from tests.envs.robot.playing import compiled, start, step


def tasks(committed):
    return [
        target(**{**parameters, "committed": committed})
        for target, parameters in TASKS.values()
    ]


def test_the_table_knows_every_task_and_no_other():
    names = {returns.name(t) for both in (True, False) for t in tasks(both)}
    assert names == set(measured.SHARES) and len(names) == 2 * len(TASKS)


def test_the_script_solves_and_chance_does_not():
    for task in tasks(True):
        floor, oracle, _ = returns.shares(task)
        assert oracle >= 0.99, task
        assert floor <= task.card.memoryless.value + 0.01, task


def test_a_sweep_reaches_more_than_a_guess_by_the_originals_rules():
    for task in tasks(False):
        _, oracle, sweep = returns.shares(task)
        card, ours = task.card, dataclasses.replace(task, committed=True).card
        assert oracle >= 0.99 and card.outside_memory
        if isinstance(task, Intercept):  # needs no memory by either rules
            assert ours.outside_memory and ours.memory == card.memory == "none"
            continue
        assert ours.outside_memory == isinstance(task, Rotate)
        if isinstance(task, MovingMugs):  # there is time for one mug
            assert card.memoryless.value == max(sweep, 1 / 3) < 0.4
        elif isinstance(task, Remember | ShellGame | Rotate | TakeItBack):
            assert card.memoryless.value == sweep > 1.5 * ours.memoryless.value
            assert sweep == 1 or task.max_steps <= LONG
        elif isinstance(task, TimedTransfer | TraceShape):
            assert card.memoryless.value == sweep > 10 * ours.memoryless.value
        elif isinstance(task, BatteriesChecker):  # at random, with replacement
            assert card.memoryless.value == sweep > 2 * ours.memoryless.value
        elif isinstance(task, GatherAndRecall):  # one: pressed while it flashes
            assert card.memoryless.value == max(sweep, 1 / 3)
            assert (sweep > 0.8) == (task.cubes == 1) and sweep > 0.25
        else:  # nothing to sweep: a wrong touch or press cannot be undone there, too
            assert card.memoryless.value == ours.memoryless.value and not sweep


def test_success_by_a_loop():
    """The played share, against episodes played one by one."""
    task = Remember(cue=(1, 1), empty=(1, 1), max_steps=18)
    keys = jax.random.split(jax.random.key(0), 8)
    won = 0
    for key in keys:
        state = compiled(task)[0](jax.random.split(key)[0])[1]
        ended = False
        while not ended:
            action = compiled(task)[2](key, state)
            _, state, _, ended, _, info = step(task, state, action)
        won += bool(info["success"])
    share = returns.success(task, returns._by_script(task), 8)
    assert share == won / 8 and start(task)[1].time == 0


def test_a_sweep_is_of_no_use_where_the_first_touch_counts():
    """A third, as a guess; by the original's rules it finds the thing."""
    shares = []
    for committed in (True, False):
        task = Remember(cue=(1, 1), empty=(1, 1), max_steps=45, committed=committed)
        shares.append(returns.success(task, returns._by_sweep(task), 400))
    assert shares[0] == pytest.approx(1 / 3, abs=0.12) and shares[1] == 1


def test_a_sweep_does_not_leave_before_it_was_judged():
    """By rules that let it wait at the first thing while nothing counts."""
    long = {"cue": (60, 60), "empty": (2, 2), "max_steps": 120}
    task = Remember(shown="others", committed=False, **long)
    assert returns.success(task, returns._by_sweep(task), 100) == 1


def test_the_table_is_what_is_played():
    task = envs.make("RememberColor3-v0")
    assert returns.play(task)[:2] == returns.shares(task)[:2]


def test_intervals():
    none = returns._told(0.0, 1000)
    assert none.half_width == pytest.approx(0.003) and none.episodes == 1000
    half = returns._told(0.5, 400)
    assert half.half_width == pytest.approx(1.96 * np.sqrt(0.25 / 400))


def test_sweeps_keep_their_kinds_in_double_precision(x64):
    """Steps, oracles and the rest are held to this by the table of guarantees."""
    key, kept = jax.random.key(0), jax.ShapeDtypeStruct((), jnp.int32)
    for target, id in {target: id for id, (target, _) in TASKS.items()}.items():
        task = envs.make(id, committed=False)
        state = jax.eval_shape(task.reset, key)[1]
        after, action = jax.eval_shape(task.sweep, key, state, kept)
        told = after.dtype, action.shape, action.dtype
        assert told == (jnp.int32, (5,), jnp.float32), target
