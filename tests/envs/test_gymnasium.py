"""The outward Gymnasium faces behave as Gymnasium's own environments do."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from envs.gymnasium_api import GymnasiumEnv
from envs.gymnasium_vector import GymnasiumVectorEnv


def episode(env, seed=None, action_seed=0):
    rng = np.random.default_rng(action_seed)
    observation, info = env.reset(seed=seed)
    assert info == {}
    trace, ended = [observation], False
    while not ended:
        action = rng.integers(env.action_space.n)
        observation, reward, terminated, truncated, info = env.step(action)
        trace += [observation, reward, terminated, truncated]
        ended = terminated or truncated
    return np.concatenate([np.ravel(np.asarray(x, float)) for x in trace])


def test_make_with_parameters():
    env = gymnasium.make("engram/TMaze-v0", length=5)
    assert env.unwrapped.task == envs.make("TMaze-v0", length=5)
    assert gymnasium.make("envs:engram/TMaze-v0").unwrapped.task.length == 20


def test_types_are_gymnasiums():
    env = gymnasium.make("engram/RepeatPreviousEasy-v0")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    observation, reward, terminated, truncated, info = env.step(np.int64(1))
    assert env.observation_space.contains(observation)
    assert [type(x) for x in (reward, terminated, truncated)] == [float, bool, bool]
    assert info == {"decision": False, "phase": 0}


def test_seeds_repeat_and_streams_continue():
    env = gymnasium.make("engram/RepeatPreviousEasy-v0")
    first, second = episode(env, seed=3), episode(env)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, episode(env, seed=3))
    assert np.array_equal(second, episode(env))
    unseeded = (
        GymnasiumEnv("RepeatPreviousEasy-v0"),
        GymnasiumEnv("RepeatPreviousEasy-v0"),
    )
    assert not np.array_equal(*map(episode, unseeded))


def test_render():
    env = gymnasium.make("engram/TMaze-v0", render_mode="rgb_array", length=4)
    env.reset(seed=0)
    image = env.render()
    assert image.shape == (64, 40, 3) and image.dtype == np.uint8
    with pytest.raises(ValueError, match="cannot be rendered as 'ansi'"):
        GymnasiumEnv("ProbeFlip-v0", render_mode="ansi")
    assert GymnasiumEnv("ProbeFlip-v0").render() is None
    batch = GymnasiumVectorEnv(3, "TMaze-v0", render_mode="rgb_array", length=4)
    batch.reset(seed=0)
    assert [image.shape for image in batch.render()] == [(64, 40, 3)] * 3


@pytest.mark.parametrize("mode", ["vector_entry_point", None, "sync"])
def test_make_vec(mode):
    batch = gymnasium.make_vec(
        "engram/TMaze-v0", num_envs=8, vectorization_mode=mode, length=3
    )
    assert (batch.num_envs, batch.single_action_space.n) == (8, 4)
    assert isinstance(batch.unwrapped, GymnasiumVectorEnv) == (mode != "sync")
    observation, _ = batch.reset(seed=0)
    assert batch.observation_space.contains(observation)
    observation, *_ = batch.step(batch.action_space.sample())
    assert batch.observation_space.contains(observation)


def structure(tree):
    if isinstance(tree, dict):
        return {name: structure(value) for name, value in sorted(tree.items())}
    return tree.dtype, tree.shape


@pytest.mark.parametrize("id", ["TMaze-v0", "RepeatPreviousEasy-v0"])
def test_infos_are_those_of_gymnasiums_same_step_mode(id):
    ours = gymnasium.make_vec(f"engram/{id}", num_envs=3)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    theirs = gymnasium.make_vec(
        f"engram/{id}",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": "SameStep"},
    )
    ours.reset(seed=1)
    theirs.reset(seed=1)
    for t in range(ours.task.card.max_episode_steps + 2):
        actions = np.zeros(3, np.int64)
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:4], other[:4], strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.array_equal(mine[2], other[2])
        assert mine[4].keys() == other[4].keys(), t
        for name in mine[4]:
            if name in ("final_obs", "final_info"):
                continue
            assert np.array_equal(mine[4][name].shape, other[4][name].shape)
        if "final_obs" in mine[4]:
            for infos in (mine[4], other[4]):
                assert infos["final_obs"].dtype == object
                assert infos["_final_obs"].all()
                space = ours.single_observation_space
                assert all(space.contains(row) for row in infos["final_obs"])
            keys = structure(mine[4]["final_info"]).keys()
            assert keys == structure(other[4]["final_info"]).keys()
    assert t > 1


def test_vector_seeds_and_masks():
    batch = GymnasiumVectorEnv(4, "RepeatPreviousEasy-v0")

    def trace():
        return np.stack([batch.step(np.zeros(4, int))[0] for _ in range(10)])

    batch.reset(seed=5)
    first = trace()
    batch.reset()
    assert not np.array_equal(first, trace())
    batch.reset(seed=5)
    assert np.array_equal(first, trace())

    batch.reset(seed=5)
    before = np.asarray(batch._state.env_state.values)
    mask = np.array([True, False, False, True])
    batch.reset(options={"reset_mask": mask})
    after = np.asarray(batch._state.env_state.values)
    assert np.array_equal((before == after).all(1), ~mask)


def test_vector_reset_errors():
    batch = GymnasiumVectorEnv(2, "TMaze-v0")
    with pytest.raises(ValueError, match="there are none yet"):
        batch.reset(options={"reset_mask": np.ones(2, bool)})
    batch.reset(seed=0)
    with pytest.raises(ValueError, match="at least one True"):
        batch.reset(options={"reset_mask": np.zeros(2, bool)})
    with pytest.raises(TypeError, match="one number for the batch"):
        batch.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"no options \['masks'\]"):
        batch.reset(options={"masks": 1})
    with pytest.raises(ValueError, match="already built"):
        GymnasiumEnv(envs.make("TMaze-v0"), length=3)


def test_a_task_without_a_picture_is_made_and_refuses_when_one_is_asked_for():
    assert envs.make("ProbeFlip-v0").render is None
    env = gymnasium.make("engram/ProbeFlip-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.unwrapped.render_mode is None
    assert env.unwrapped.metadata["render_modes"] == []
    with pytest.raises(ValueError, match=r"Probe cannot be rendered as 'rgb_array'.*"):
        env.unwrapped.render()
    batch = GymnasiumVectorEnv(3, "ProbeFlip-v0", render_mode="rgb_array")
    assert batch.render_mode is None
    with pytest.raises(ValueError, match=r"give the class a render\(state\)"):
        batch.render()


def test_stable_baselines_makes_a_task_without_a_picture():
    made = pytest.importorskip("stable_baselines3.common.env_util")
    batch = made.make_vec_env("engram/ProbeFlip-v0", n_envs=2, seed=0)
    assert batch.reset().shape[0] == 2
    _, rewards, _, _ = batch.step([batch.action_space.sample() for _ in range(2)])
    assert rewards.shape == (2,)
