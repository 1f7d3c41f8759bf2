"""Robot tasks in MuJoCo as environments of the host."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from agents.evaluate.host import HostPlayer
from agents.keys import Use, key_for
from agents.running.configuration.config import build
from agents.running.evaluator import Evaluator
from agents.running.jobs.signals import StopRequest
from agents.running.overrides import compose_config
from agents.running.updates import over_seeds
from envs.host import HostVector
from envs.robot.groups.shell_game import ShellGame

TASK = envs.make("ShellGameTouch-v0", backend="mujoco")


def vector(num, task=TASK):
    return gymnasium.make_vec(
        task.source, num, vectorization_mode="vector_entry_point", **task.arguments
    )


@pytest.fixture(scope="module")
def four():
    return vector(4)


def acts(made, seed=0, steps=40):
    """Random actions, and what they led to."""
    draws = np.random.default_rng(seed).uniform(-1, 1, (steps, made.num_envs, 5))
    return [made.step(action.astype(np.float32)) for action in draws]


def test_the_same_seed_plays_the_same(four):
    found = []
    for _ in range(2):
        first = four.reset(seed=[1, 2, 3, 4])[0]
        found.append([first, *(step[:4] for step in acts(four))])
    np.testing.assert_equal(found[0], found[1])
    other = four.reset(seed=[5, 2, 3, 4])[0]
    changed = (other["things"] != found[0][0]["things"]).any((1, 2))
    assert changed.tolist() == [True, False, False, False]


def test_streams_do_not_touch_each_other():
    """What stream 0 sees depends on its own seed and actions alone."""
    few, many = vector(2), vector(3)
    few.reset(seed=[1, 2])
    many.reset(seed=[1, 7, 8])
    for k in range(40):
        action = np.random.default_rng(k).uniform(-1, 1, (3, 5)).astype(np.float32)
        one, other = few.step(action[:2]), many.step(action)
        for name in ("gripper", "things"):
            np.testing.assert_array_equal(one[0][name][0], other[0][name][0])
        assert one[1][0] == other[1][0] and one[2][0] == other[2][0]


def test_episodes_start_over_in_the_step_that_ends_them():
    made = HostVector(TASK, 3)
    first = made.reset([1, 2, 3])
    for k in range(TASK.card.max_episode_steps):
        made.send(np.zeros((3, 5), np.float32))
        step = made.receive()
        assert step.start.all() == (k + 1 == TASK.card.max_episode_steps)
    assert step.terminated.all() and not step.truncated.any()
    assert not step.success.any()
    assert (step.observation["gripper"] != first["gripper"]).any(1).all()
    last, begun = step.final_observation["gripper"], step.observation["gripper"]
    assert (last[:, :3] != begun[:, :3]).any(1).all()
    assert len({row.tobytes() for row in last}) == 3
    made.close()


def succeeded(made):
    """In which streams the scripted policy succeeds in its first episode."""
    made.reset(seed=0)
    oracle = jax.jit(jax.vmap(made.task.oracle))
    keys = jax.random.split(jax.random.key(0), made.num_envs)
    over = np.zeros(made.num_envs, bool)
    won = np.zeros(made.num_envs, bool)
    while not over.all():
        *_, terminated, _, info = made.step(np.asarray(oracle(keys, made._state)))
        told = info["final_info"]["success"] if terminated.any() else info["success"]
        won |= told & ~over
        over |= terminated
    return won


def test_scripts_succeed(four):
    """The scripted policy touches the right mug; so success is told."""
    assert succeeded(four).all()


SOLVED = (
    *("ShellGameTouch", "ShellGamePush", "ShellGamePick", "TakeItBack"),
    *("RememberColor3", "RememberColor5", "RememberColor9", "InterceptMedium"),
    *("InterceptGrabMedium", "RotateLenientPos", "TimedTransferEasy"),
    *("TraceShapeEasy", "GatherAndRecall3", "BatteriesCheckerEasy3"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVED)
def test_what_the_script_solves_on_the_tabletop_it_solves_here(name):
    won = succeeded(vector(200, envs.make(f"{name}-v0", backend="mujoco")))
    assert won.mean() >= 0.95


def test_one_plays_as_gymnasium_wants_it():
    made = gymnasium.make(TASK.source, render_mode="rgb_array", **TASK.arguments)
    first = [made.reset(seed=seed)[0]["things"] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(first[0], first[1])
    assert (first[0] != first[2]).any()
    over, inner = False, made.unwrapped
    oracle = jax.jit(inner.task.oracle)
    while not over:
        action = np.asarray(oracle(jax.random.key(0), inner.state))
        observation, reward, over, cut, info = made.step(action)
        assert made.observation_space.contains(observation) and not cut
    assert info["success"] and reward > 0
    assert made.render().shape[0] == 64


def test_what_is_told_of_it():
    assert TASK.settings()["backend"] == "mujoco" and TASK.settings()["max_steps"] == 30
    assert TASK.card.memoryless.value == pytest.approx(1 / 3)
    assert TASK.card.oracle.value is None and TASK.card.measure == "success"


def test_without_mujoco_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'engram-rl\[muj"):
        envs.make("ShellGameTouch-v0", backend="mujoco")


def test_only_what_is_made_for_the_host_runs_on_it():
    """Nothing that was asked to run in MuJoCo runs on the tabletop, or stands still."""
    task = ShellGame(backend="mujoco")
    with pytest.raises(ValueError, match=r"backend=mujoco is no task of the tabletop"):
        task.reset(jax.random.key(0))
    assert task.placed().settings() == TASK.settings()
    with pytest.raises(ValueError, match=r"is an environment of the host: gymnasium"):
        gymnasium.make("engram/ShellGameTouch-v0", backend="mujoco")


def test_a_command_line_names_the_backend():
    words = ["env=shell_game_touch", "memory=gru", "agent=ppo"]
    plan = build(compose_config([*words, "env.backend=mujoco"]))
    assert plan.env.settings() == TASK.settings()
    plan = build(compose_config([*words, "evaluation.env.backend=mujoco"]))
    assert plan.evaluation_env.settings() == TASK.settings()
    assert not isinstance(plan.env, envs.HostTask)


def test_every_seed_is_evaluated_with_its_own_policy():
    """Trained on the tabletop, played in MuJoCo."""
    words = (
        "env=shell_game_touch evaluation.env.backend=mujoco memory=gru agent=ppo "
        "memory.output_size=4 agent.encoder_size=4 agent.head_size=4 num_seeds=2 "
        "agent.num_envs=4 agent.num_minibatches=1 evaluation.episodes=4"
    )
    plan = build(compose_config(words.split()))
    keys = jnp.stack([jax.random.key(number) for number in (0, 1)])
    params = jax.jit(lambda keys: over_seeds(plan.agent.init, 2)(keys).params)(keys)
    evaluator = Evaluator(plan, keys)
    scores = evaluator(params, StopRequest())
    evaluator.close()
    for seed, score in enumerate(scores):
        player = HostPlayer(
            plan.agent,
            plan.evaluation_env,
            seed=seed,
            key=key_for(keys[seed], Use.EVALUATION),
            episodes=4,
            exploration=plan.config["evaluation"]["exploration"],
            step_limit=30,
        )
        played = player(jax.tree.map(lambda x, seed=seed: x[seed], params))
        player.close()
        assert score.episodes == 4 and score.success is not None
        assert score.mean == pytest.approx(float(played.episode_return.mean()))
    assert scores[0].mean != scores[1].mean
