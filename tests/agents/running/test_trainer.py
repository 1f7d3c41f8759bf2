"""When things are due, how much a call does, and which seeds a run has."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from agents.running.config import build
from agents.running.evaluator import Evaluator, Pace
from agents.running.overrides import compose_config
from agents.running.trainer import Trainer

WORDS = ["experiment=smoke", "env.length=5", "evaluation.env.length=3"]


@pytest.fixture
def trainer(tmp_path):
    plan = build(compose_config([*WORDS, "seed=5", "num_seeds=2"]))
    made = Trainer(plan, tmp_path, Console(file=io.StringIO()))
    yield made
    made.checkpoints.close()


def test_seeds_count_from_the_first(trainer):
    assert trainer.seeds == [5, 6]
    for key, seed in zip(trainer.keys, (5, 6), strict=True):
        expected = jax.random.key_data(jax.random.key(seed))
        np.testing.assert_array_equal(jax.random.key_data(key), expected)


def test_what_is_due(trainer):
    per_update = trainer.agent.steps_per_update
    trainer.standing.updates = 10
    now = trainer.step
    assert now == 10 * per_update
    cases = [
        # interval, before, finished -> due
        (None, -1, False, True),
        (None, 0, False, False),
        (None, 0, True, True),
        (None, now, True, False),
        (4 * per_update, 8 * per_update, False, False),
        (4 * per_update, 7 * per_update, False, True),
        (5 * per_update, 9 * per_update, False, True),
        (5 * per_update, now, False, False),
    ]
    for interval, before, finished, expected in cases:
        assert trainer._due(interval, before, finished) == expected, (interval, before)


def test_the_pace_of_calls():
    pace = Pace(first=4, seconds=3.0)
    assert pace.units(100) == 4 and pace.units(2) == 2
    pace.took(4, 6.0)
    assert pace.units(100) == 2
    pace.took(2, 0.001)  # at most eightfold
    assert pace.units(100) == 16
    pace.took(16, 4.0)
    assert pace.units(100) == 12
    pace.took(1, 1000.0)
    assert pace.units(100) == 1


def test_the_limit_is_the_longest_episode_of_the_task_played(trainer):
    plan = trainer.plan
    limit = Evaluator(plan, jnp.stack([jax.random.key(0)])).limit
    assert limit == plan.evaluation_env.card.max_episode_steps
    assert limit < plan.env.card.max_episode_steps
