"""A loaded policy acts as training's evaluation does, for one stream and for many."""

import io
import re
import subprocess

import imageio_ffmpeg
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
from agents.keys import Use, key_for, row_keys, step_keys
from agents.load import Policy
from agents.running.output.films import Filmer
from agents.running.overrides import compose_config
from agents.video import main, record
from tests.agents.algorithms.test_ratio_one import make_agent, redrawn
from tests.agents.running import tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds of a short run with a model that has a state.

    On a task that pays for every answer, so that no two policies earn the same, and
    trained too slowly for both to learn the same.
    """
    words = ["experiment=smoke", "env=n_back", "env.length=6", "num_seeds=2"]
    words += ["total_steps=3000", "agent.learning_rate=1e-4"]
    words += ["memory=gru", "memory.output_size=8", "agent.previous_reward=true"]
    words += [f"run_directory={tmp_path_factory.mktemp('runs')}"]
    return agents.run(compose_config(words))


def play(policy, env, streams, seed=0):
    """Returns of one episode per stream, by hand, through the policy's call."""
    key = key_for(jax.random.key(seed), Use.EVALUATION)
    index = jnp.arange(streams)
    keys = row_keys(key_for(key, Use.FIRST_STATES), index)
    observation, state = jax.vmap(env.reset)(keys)
    step = jax.jit(jax.vmap(env.step))
    total, reward, start = np.zeros(streams), None, np.ones(streams, bool)
    for time in range(env.card.max_episode_steps):
        action = policy(observation, start, reward=reward)
        now = jax.random.fold_in(key_for(key, Use.STEPS), time)
        keys = row_keys(step_keys(now, index)[1], index)
        observation, state, reward, *_ = step(keys, state, action)
        total, start = total + np.asarray(reward), np.zeros(streams, bool)
    return total


def test_it_is_the_policy_that_was_evaluated(trained):
    for index in (0, 1):
        policy = agents.load(trained.directory, seed=index)
        env = policy.agent.env
        for left, right in zip(
            jax.tree.leaves(policy.params),
            jax.tree.leaves(trained.params),
            strict=True,
        ):
            assert np.array_equal(left, right[index])
        returns = play(policy, env, 512, seed=index)
        assert np.isclose(returns.mean(), trained.scores[index].mean, atol=1e-6)
        other = play(agents.load(trained.directory, seed=1 - index), env, 512, index)
        assert abs(other.mean() - trained.scores[index].mean) > 1e-3
        assert abs(trained.scores[index].mean) > 1e-3
    assert trained.scores[0].mean != trained.scores[1].mean


def test_a_policy_samples_with_keys_of_its_seed_that_nothing_else_has(trained):
    for seed in (0, 1):
        policy = agents.load(trained.directory, seed=seed)
        expected = key_for(jax.random.key(seed), Use.POLICY)
        assert policy._key == expected


def test_one_stream_equals_many_and_memory_resets_by_start(trained):
    many = agents.load(trained.directory, seed=1)
    one = agents.load(trained.directory, seed=1)
    random = np.random.default_rng(0)
    observations = random.integers(0, 8, (12, 3)).astype(np.int32)
    starts = random.random((12, 3)) < 0.3
    starts[0] = True
    rewards = random.normal(size=(12, 3))
    values = []
    for time in range(12):
        together = many(observations[time], starts[time], reward=rewards[time])
        alone = one(observations[time, 1], starts[time, 1], reward=rewards[time, 1])
        assert together.shape == (3,) and alone.shape == ()
        assert together[1] == alone
        np.testing.assert_allclose(
            jax.tree.leaves(many._memory)[0][1],
            jax.tree.leaves(one._memory)[0][0],
            atol=1e-6,
        )
        values.append(jax.tree.leaves(one._memory)[0][0])
    fresh = agents.load(trained.directory, seed=1)
    last = int(np.flatnonzero(starts[:, 1])[-1])
    for time in range(last, 12):
        fresh(observations[time, 1], starts[time, 1], reward=rewards[time, 1])
    np.testing.assert_allclose(
        jax.tree.leaves(fresh._memory)[0][0], values[-1], atol=1e-6
    )


def test_mistakes_are_told(trained, tmp_path):
    with pytest.raises(agents.ConfigError, match="holds the seeds 0 to 1; name one"):
        agents.load(trained.directory)
    with pytest.raises(agents.ConfigError, match="0 to 1, not 5"):
        agents.load(trained.directory, seed=5)
    (tmp_path / "config.yaml").write_bytes(
        (trained.directory / "config.yaml").read_bytes()
    )
    with pytest.raises(agents.ConfigError, match="has no checkpoint yet"):
        agents.load(tmp_path, seed=0)
    policy = agents.load(trained.directory, seed=0)
    with pytest.raises(ValueError, match="does not fit the task's Discrete"):
        policy(np.zeros(3, np.int32), True)
    policy(np.int32(0), True)
    with pytest.raises(ValueError, match="pass reward="):
        policy(np.int32(0), False)
    with pytest.raises(ValueError, match="a stream that is new must start"):
        policy(np.zeros(2, np.int32), [True, False])


def test_video_shows_whole_episodes(trained, capsys, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["video", str(trained.directory), "--seed=1", "--episodes=2"]
    )
    main()
    path = trained.directory / "video.gif"
    assert str(path) in capsys.readouterr().out
    film = Image.open(path)
    assert film.n_frames == 2 * 7  # six steps, and where they led
    frames = []
    for index in range(film.n_frames):
        film.seek(index)
        frames.append(np.asarray(film.convert("RGB")))
    assert all(frame.max() > 200 for frame in frames)  # no black first frame
    assert not np.array_equal(frames[0], frames[1])
    film.close()


def test_a_video_can_be_mp4(trained, tmp_path, capsys, monkeypatch):
    path = tmp_path / "film.mp4"
    words = [str(trained.directory), "--seed=1", "--episodes=1", f"--out={path}"]
    monkeypatch.setattr("sys.argv", ["video", *words])
    main()
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    told = subprocess.run([exe, "-i", path], capture_output=True).stderr.decode()
    width, height = map(int, re.search(r", (\d+)x(\d+)", told).groups())
    assert "h264" in told and " 4 fps" in told
    raw = [exe, "-loglevel", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24"]
    shown = subprocess.run([*raw, "-"], capture_output=True, check=True).stdout
    pictures = np.frombuffer(shown, np.uint8).reshape(-1, height, width, 3)
    assert len(pictures) == 7 + 3  # the last stays longer
    with Image.open(_gif(trained, tmp_path)) as film:
        first = np.asarray(film.convert("RGB"), np.float64)
        assert (width - film.width, height - film.height) in ((0, 0), (0, 1))
    shown = pictures[0, : first.shape[0]]
    assert np.abs(shown - first).mean() < 8  # H.264 is not exact


def _gif(trained, tmp_path):
    path = tmp_path / "film.gif"
    record(agents.load(trained.directory, seed=1), path, episodes=1)
    return path


def test_films_of_evaluations_are_in_the_events(tmp_path, monkeypatch):
    seen, filmed = [], Filmer.__call__

    def noted(self, params):
        seen.append(params)
        return filmed(self, params)

    monkeypatch.setattr(Filmer, "__call__", noted)
    words = ["evaluation.films=2", "num_seeds=2"]
    result = tiny.start(*words, f"run_directory={tmp_path}")[0]
    for leaf, both in zip(
        jax.tree.leaves(seen[-1]), jax.tree.leaves(result.params), strict=True
    ):
        np.testing.assert_array_equal(leaf, both[0])
    events = EventAccumulator(
        str(result.directory / "seed_0"), size_guidance={"images": 9}
    ).Reload()
    (tag,) = events.Tags()["images"]
    assert tag == "evaluation/tmaze+env.length=3/film"
    first, last = events.Images(tag)
    assert (first.step, last.step) == (0, 256)
    with Image.open(io.BytesIO(last.encoded_image_string)) as film:
        assert film.format == "GIF" and film.n_frames >= 4
        assert film.size == (last.width, last.height)
    path = tmp_path / "film.gif"
    policy = agents.load(result.directory, seed=0)
    record(policy, path, seed=0, episodes=2)
    assert path.read_bytes() == last.encoded_image_string
    other = EventAccumulator(str(result.directory / "seed_1")).Reload()
    assert not other.Tags()["images"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["env=probe_copy_bit"], r"films=1: Probe has no render\(state\)"),
        (["env=gymnasium", "env.id=CartPole-v1"], "films=1 needs a compiled task"),
    ],
)
def test_what_cannot_be_filmed_is_refused_before_training(words, told):
    with pytest.raises(agents.ConfigError, match=told):
        agents.build(compose_config([*words, "evaluation.films=1"]))


def test_a_task_without_pictures(tmp_path):
    agent = make_agent("none")
    params = jax.eval_shape(agent.init, jax.random.key(0)).params
    policy = Policy(agent, params, exploration=0.0, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"has no render\(state\)"):
        record(policy, tmp_path / "film.gif")


def acting(exploration=None, **settings):
    """A policy of untrained parameters, and the inputs that its agent is given."""
    agent = make_agent("none", num_envs=3, **settings)
    key = jax.random.key(1)
    policy = Policy(agent, redrawn(agent), exploration=exploration, key=key)
    seen, act = [], policy._act

    def noted(params, memory_state, inputs, *rest):
        seen.append(inputs)
        return act(params, memory_state, inputs, *rest)

    policy._act = noted
    return policy, seen


def test_what_it_did_last_and_earned_is_seen():
    policy, seen = acting(previous_action=True, previous_reward=True)
    observation, rewards = np.ones((3, 3), np.float32), np.asarray([1.0, -2.0, 0.5])
    first = policy(observation, [True] * 3)
    policy(observation, [False, True, False], reward=rewards)
    assert seen[0].start.tolist() == [True] * 3
    assert seen[1].start.tolist() == [False, True, False]
    np.testing.assert_array_equal(seen[1].previous_action, first)
    np.testing.assert_array_equal(seen[1].previous_reward, rewards)


def test_draws_differ_from_step_to_step():
    policy, _ = acting()
    observation = np.ones((3, 3), np.float32)
    policy(observation, [True] * 3)
    actions = [policy(observation, [False] * 3) for _ in range(20)]
    assert (np.std(actions, axis=0) > 0).any()


def test_greedy_actions_are_not_drawn():
    policy, _ = acting(exploration=0.0)
    observation = np.ones((3, 3), np.float32)
    actions = np.stack([policy(observation, [True] * 3) for _ in range(20)])
    assert (actions == actions[0]).all()
