"""When things are due, how much a call does, and which seeds a run has."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from agents.running.configuration.config import build
from agents.running.evaluator import Evaluator, Pace
from agents.running.jobs.signals import Stopped
from agents.running.overrides import compose_config
from agents.running.trainer import Trainer
from agents.running.updates import over_seeds

WORDS = ["experiment=smoke", "env.length=5", "evaluation.env.length=3"]


@pytest.fixture
def trainer(tmp_path):
    plan = build(compose_config([*WORDS, "seed=5", "num_seeds=2"]))
    return Trainer(plan, tmp_path, Console(file=io.StringIO()))


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


def test_what_waited_to_be_logged_is_gone_on_with(trainer):
    """A run may stop in the middle of an interval of its logs."""
    waited = {"loss/total": np.asarray([[1.0, 2.0], [3.0, 4.0]])}
    found = []

    def train(state):
        found.append(trainer.logs.pending)
        raise Stopped(15)

    trainer._enter, trainer._train = lambda: (None, waited), train
    with pytest.raises(Stopped):
        trainer.run()
    assert found[0] is waited


def test_evaluations_start_the_task_that_they_play():
    words = ["experiment=smoke", "env=repeat_first_easy", "evaluation.env.decks=3"]
    plan = build(compose_config(words))
    keys = jnp.stack([jax.random.key(0)])
    evaluator = Evaluator(plan, keys)
    params = jax.eval_shape(over_seeds(plan.agent.init, 1), keys).params
    playing = jax.eval_shape(evaluator._start, (params, evaluator.keys))
    found = [leaf.shape[2:] for leaf in jax.tree.leaves(playing.env_state)]
    shapes = [
        [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(env.reset, keys[0])[1])]
        for env in (plan.evaluation_env, plan.env)
    ]
    assert found == shapes[0] != shapes[1]
