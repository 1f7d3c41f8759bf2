"""The outward Gymnasium faces behave as Gymnasium's own environments do."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from envs.gymnasium_api import GymnasiumEnv
from envs.gymnasium_vector import GymnasiumVectorEnv
from tests.envs.test_vector import Ragged


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


def test_steps_have_keys_of_their_own():
    """The task observes noise that is drawn at every step."""
    env = GymnasiumEnv(Ragged(longest=20))
    batch = GymnasiumVectorEnv(4, Ragged(longest=20))
    env.reset(seed=1)
    batch.reset(seed=1)
    seen = np.stack([env.step(0)[0] for _ in range(4)])
    assert len(np.unique(seen)) == seen.size
    seen = np.stack([batch.step(np.zeros(4, int))[0] for _ in range(4)])
    assert len(np.unique(seen)) == seen.size


def test_steps_are_those_of_the_task():
    task = Ragged()
    env, reset, step = GymnasiumEnv(task), jax.jit(task.reset), jax.jit(task.step)
    env.reset(seed=0)
    ends = set()
    while len(ends) < 2:
        observation, _ = env.reset()
        expected, state = reset(jax.random.fold_in(env._key, 0))
        np.testing.assert_array_equal(observation, expected)
        ended, count = False, 0
        while not ended:
            count += 1
            action = count % 2
            key = jax.random.fold_in(env._key, count)
            expected, state, *rest = step(key, state, np.int32(action))
            observation, *found, info = env.step(np.int64(action))
            np.testing.assert_array_equal(observation, expected)
            assert found == [x.item() for x in rest[:3]]
            assert info == {"left": int(rest[3]["left"])}
            ended = found[1] or found[2]
        ends.add(found[1])


def test_what_a_batch_tells_is_what_its_tasks_did():
    vector = envs.VectorEnv(Ragged(), 3)
    batch, step = GymnasiumVectorEnv(3, Ragged()), jax.jit(vector.step)
    batch.reset(seed=0)
    _, state = jax.jit(vector.reset)(jax.random.fold_in(batch._key, 0))
    kinds = set()
    for count in range(1, 40):
        actions = np.asarray([0, 1, count % 2])
        key = jax.random.fold_in(batch._key, count)
        state, expected = step(key, state, actions.astype(np.int32))
        expected = jax.tree.map(np.asarray, expected)
        observation, reward, terminated, truncated, infos = batch.step(actions)
        ended = expected.ended
        np.testing.assert_array_equal(observation, expected.observation)
        np.testing.assert_array_equal(reward, expected.reward)
        np.testing.assert_array_equal(terminated, expected.terminated)
        np.testing.assert_array_equal(truncated, expected.truncated)
        kinds.add((ended.any(), ended.all()))
        left = expected.info["left"]
        assert ("left" in infos) == (not ended.all())
        if not ended.all():
            np.testing.assert_array_equal(infos["_left"], ~ended)
            np.testing.assert_array_equal(infos["left"], np.where(ended, 0, left))
        assert ("final_obs" in infos) == ended.any()
        if ended.any():
            np.testing.assert_array_equal(infos["_final_obs"], ended)
            np.testing.assert_array_equal(infos["_final_info"], ended)
            final = infos["final_info"]
            np.testing.assert_array_equal(final["_left"], ended)
            np.testing.assert_array_equal(final["left"], np.where(ended, left, 0))
            for row in range(3):
                told = infos["final_obs"][row]
                assert (told is None) == (not ended[row])
                if ended[row]:
                    np.testing.assert_array_equal(told, expected.final_observation[row])
    assert len(kinds) == 3  # none, some and all


def test_a_partial_reset_leaves_the_others_where_they_are():
    batch = GymnasiumVectorEnv(3, Ragged(longest=20))
    batch.reset(seed=1)
    for _ in range(2):
        before, *_ = batch.step(np.zeros(3, int))
    mask = np.asarray([False, True, False])
    after, _ = batch.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal((before == after).all(1), ~mask)


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
