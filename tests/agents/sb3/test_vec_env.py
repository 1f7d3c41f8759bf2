"""Tasks as vector environments of Stable-Baselines3, against plain loops of steps."""

import gymnasium
import jax
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecTransposeImage

import envs
from agents.sb3 import JaxVecEnv
from agents.spaces import named_leaves
from tests.agents.toy import MaskedToy, Toy

STREAMS, STEPS, SEED = 3, 25, 7
ONE_OF_EACH_KIND = (
    *("PassiveVisualMatch-v0", "AutoencodeEasy-v0", "Ballet-v0", "BalletSymbolic-v0"),
    *("BattleshipEasy-v0", "BattleshipEasyPixels-v0", "ConcentrationEasy-v0"),
    *("MemoryPlanningGame-v0", "PositionOnlyPendulumEasy-v0", "RememberColor3-v0"),
)


def key_of(seed):
    return jax.random.key(int(np.random.default_rng(seed).integers(2**31)))


def row(observation, i):
    if isinstance(observation, dict):
        return {name: value[i] for name, value in observation.items()}
    return observation[i]


def same(found, observation, space):
    """Whether an observation in numpy is the task's."""
    leaves = named_leaves(space, observation)
    found = found if isinstance(found, dict) else {"observation": found}
    assert list(found) == list(leaves)
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(found[name], np.asarray(leaf))


@pytest.mark.parametrize(
    ("observations", "actions"),
    [("box", "discrete"), ("dict", "multi"), ("tuple", "box")],
)
def test_steps_are_those_of_single_tasks(observations, actions):
    """Each stream beside a loop that resets the task itself, with the keys named."""
    task = Toy(actions=actions, observations=observations)
    env = JaxVecEnv(task, STREAMS, seed=SEED)
    space, generator = task.observation_space, np.random.default_rng(0)
    key = key_of(SEED)

    def row_key(key, i):
        return jax.random.fold_in(key, np.uint32(i))

    reset, step = jax.jit(task.reset), jax.jit(task.step)
    starts = [reset(row_key(jax.random.fold_in(key, 0), i)) for i in range(STREAMS)]
    states, returns = [state for _, state in starts], [[] for _ in starts]
    first = env.reset()
    for i, (observation, _) in enumerate(starts):
        same(row(first, i), observation, space)
    kinds = set()
    for t in range(1, STEPS + 1):
        chosen = [env.action_space.sample() for _ in starts]
        if actions == "box":
            chosen = [generator.uniform(-2, 1, 2).astype(np.float32) for _ in starts]
        observed, rewards, dones, infos = env.step(np.stack(chosen))
        step_key, reset_key = jax.random.split(jax.random.fold_in(key, t))
        for i, action in enumerate(chosen):
            whole = action if actions == "box" else np.asarray(action, np.int32)
            observation, states[i], reward, terminated, truncated, info = step(
                row_key(step_key, i), states[i], whole
            )
            returns[i].append(float(reward))
            assert rewards[i] == pytest.approx(float(reward), abs=1e-6)
            assert dones[i] == bool(terminated | truncated)
            cut = bool(truncated & ~terminated)
            assert infos[i]["TimeLimit.truncated"] is cut
            if not dones[i]:
                assert "terminal_observation" not in infos[i]
                same(row(observed, i), observation, space)
                continue
            kinds.add((bool(terminated), bool(truncated)))
            same(infos[i]["terminal_observation"], observation, space)
            assert infos[i]["is_success"] == bool(info["success"])
            assert infos[i]["episode"]["l"] == len(returns[i])
            total = pytest.approx(sum(returns[i]), abs=1e-5)
            assert infos[i]["episode"]["r"] == total
            observation, states[i] = reset(row_key(reset_key, i))
            same(row(observed, i), observation, space)
            returns[i] = []
    assert len(kinds) == 3
    assert rewards.dtype == np.float32
    assert dones.dtype == np.bool_


def test_seeds_apply_at_the_next_reset():
    env, other = JaxVecEnv(Toy(), 4, seed=1), JaxVecEnv(Toy(), 4, seed=2)
    first, second, differs = env.reset(), env.reset(), other.reset()
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, differs)
    other.seed(1)
    np.testing.assert_array_equal(other.reset(), first)
    np.testing.assert_array_equal(other.reset(), second)


def test_previous_action_is_none_at_starts():
    """`terminal_observation` still has the action that led to it."""
    env = JaxVecEnv(Toy(), 4, seed=0, previous_action=True)
    assert env.reset()["previous_action"].tolist() == [0] * 4
    seen = 0
    for _ in range(12):
        observed, _, dones, infos = env.step(np.full(4, 2))
        assert observed["previous_action"].tolist() == np.where(dones, 0, 2).tolist()
        for i in np.flatnonzero(dones):
            assert infos[i]["terminal_observation"]["previous_action"] == 2
            seen += 1
    assert seen
    assert JaxVecEnv("ProbePreviousAction-v0", 2).sees_previous_action
    assert not JaxVecEnv("TMaze-v0", 2).sees_previous_action


def test_masks_are_those_of_the_state():
    env = JaxVecEnv(MaskedToy(), 4, seed=0)
    assert env.has_attr("action_masks")
    env.reset()
    lengths = np.zeros(4, int)
    for _ in range(6):
        expected = [np.arange(3) != length % 3 for length in lengths]
        found = env.env_method("action_masks")
        np.testing.assert_array_equal(np.stack(found), np.stack(expected))
        dones = env.step(np.zeros(4, int))[2]
        lengths = np.where(dones, 0, lengths + 1)
    one = env.env_method("action_masks", indices=2)
    np.testing.assert_array_equal(one, [np.arange(3) != lengths[2] % 3])
    assert not JaxVecEnv(Toy(), 2).has_attr("action_masks")


def test_pixels_reach_the_network_channels_first():
    env = JaxVecEnv(Toy(observations="pixels"), 2)
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=8, n_epochs=1, device="cpu")
    assert isinstance(model.get_env(), VecTransposeImage)
    assert model.observation_space.shape == (3, 12, 12)
    model.learn(8)


def test_stable_baselines3_counts_its_episodes():
    """Without a VecMonitor, and without a warning that there is none."""
    env = JaxVecEnv("ProbeConstantReward-v0", 4)
    assert env.env_is_wrapped(Monitor) == [True] * 4
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 4
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=32, n_epochs=1, device="cpu")
    model.learn(32)
    assert len(model.ep_info_buffer) == 32
    assert {info["r"] for info in model.ep_info_buffer} == {1.0}
    mean, std = evaluate_policy(model, env, 8)
    assert (mean, std) == (1.0, 0.0)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="already built"):
        JaxVecEnv(Toy(), 2, length=3)
    with pytest.raises(ValueError, match="counts its choices from 2"):
        JaxVecEnv(Toy(actions="offset"), 2)
    env = JaxVecEnv(Toy(), 2)
    with pytest.raises(AttributeError, match="make another"):
        env.set_attr("truncates", False)
    with pytest.raises(AttributeError, match="action_masks"):
        env.env_method("render")
    assert env.get_attr("truncates") == [True, True]


@pytest.mark.parametrize(
    "id", ["TMaze-v0", "RepeatPreviousEasy-v0", "CountRecallEasy-v0", "RoomRecall-v0"]
)
def test_check_env_has_nothing_to_say(id):
    """Of the Gymnasium face, which Stable-Baselines3 also takes; warnings are errors.

    Its checker knows single environments only.
    """
    env = gymnasium.make(f"envs:engram/{id}", disable_env_checker=True)
    check_env(env, warn=True)
    vector = JaxVecEnv(id, 2)
    assert vector.observation_space == env.observation_space
    assert vector.action_space == env.action_space
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("id", ONE_OF_EACH_KIND)
def test_every_kind_of_space_steps(id):
    env = JaxVecEnv(envs.make(id), 2, seed=0)
    observed = env.reset()
    for _ in range(3):
        assert env.observation_space.contains(row(observed, 0))
        observed, *_ = env.step(np.stack([env.action_space.sample()] * 2))
