"""Runs on numpy environments: trained, evaluated, resumed, loaded, filmed, refused."""

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import agents
from agents.evaluate.host import EVALUATION, HostPlayer
from agents.running.files.stored import Stored
from agents.running.host_updates import LOST
from agents.running.overrides import check, compose_config
from agents.video import record
from envs.host import spread_seeds
from tests.agents.experience import numpy_tasks

OWN = "env=custom env.target=tests.agents.experience.numpy_tasks:"
TINY = (
    "memory=gru memory.output_size=4 agent.encoder_size=4 agent.head_size=4 "
    "agent.num_envs=3 agent.rollout_length=8 log_interval=1 evaluation.interval=null "
    "evaluation.episodes=200 checkpoint.interval=24 total_steps=72"
)
PPO = "agent=ppo agent.num_minibatches=1 agent.num_epochs=1"


def train(words, directory=None):
    """Train, and return the result and what was printed."""
    text = io.StringIO()
    if directory is not None:
        words += f" run_directory={directory}"
    given = words.split()
    config = check(given)[0] if "resume=" in words else compose_config(given)
    return agents.run(config, Console(file=text, width=250)), text.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a class with a card."""
    return train(f"{OWN}Carded {TINY} {PPO}", tmp_path_factory.mktemp("runs"))


def test_a_class_with_a_card_has_a_verdict(trained):
    result, told = trained
    assert "floor 0.00 (exact), memoryless 1.00 (exact)" in told
    assert "demands sequential memory over 1 to 2 steps" in told
    assert result.verdict == "memory used"  # it is paid for whatever it does
    assert result.scores[0].episodes == 200 and not result.scores[0].unfinished
    assert result.steps == 72


def test_a_policy_is_loaded_and_acts(trained):
    policy = agents.load(trained[0].directory)
    env = numpy_tasks.Counting()
    observation, _ = env.reset(seed=0)
    start = True
    for _ in range(12):
        observation, _, terminated, truncated, _ = env.step(policy(observation, start))
        start = terminated or truncated
        if start:
            observation, _ = env.reset()


@pytest.mark.shows("numpy environments", "ppo")
def test_every_episode_of_an_evaluation_is_played_once(trained):
    """As one environment alone would play it, whatever it is played beside."""
    policy = agents.load(trained[0].directory)
    agent, task = policy.agent, policy.agent.env
    seeds = spread_seeds(EVALUATION, 0, 0, 7)
    expected = []
    for seed in seeds:
        env = numpy_tasks.Counting()
        observation, _ = env.reset(seed=seed)
        total, length, start, over = 0.0, 0, True, False
        while not over:
            action = policy(observation, start)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, start = total + reward, length + 1, False
            over = terminated or truncated
        expected.append((total, length, bool(length % 2)))
    player = HostPlayer(
        agent, task, seed=0, key=policy._key, episodes=7, exploration=0.0, step_limit=99
    )
    played = player(policy.params)
    player.close()
    found = list(zip(*played[:3], strict=True))
    assert found == expected and played.finished.all()


def test_a_film_is_made(trained, tmp_path):
    policy = agents.load(trained[0].directory)
    returns = record(policy, tmp_path / "film.gif", episodes=2)
    assert len(returns) == 2
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames >= 4


def test_what_is_filmed_needs_pictures(trained, tmp_path, monkeypatch):
    policy = agents.load(trained[0].directory)
    monkeypatch.setitem(numpy_tasks.Counting.metadata, "render_modes", [])
    with pytest.raises(ValueError, match="has no render_mode 'rgb_array'"):
        record(policy, tmp_path / "film.gif")


def test_a_resumed_run_says_what_is_lost(trained):
    result, told = train(f"resume={trained[0].directory} total_steps=120")
    assert f"note    {LOST}" in told and "resumed at step 72" in told
    assert result.steps == 48 and Stored(result.directory).notes()["updates"] == 5


def test_no_card_no_verdict_and_a_crash_is_told(tmp_path):
    words = f"{OWN}Failing {TINY} {PPO} evaluation.step_limit=2"
    with pytest.raises(agents.RunError) as caught:
        train(words, tmp_path)
    message = str(caught.value)
    assert "the environment of stream 0 raised KeyError: 'no such room'" in message
    assert "at its step 3 (numpy_tasks.py, line" in message
    assert message.endswith("it stops at step 0, and there is no checkpoint yet.")


REPLAY = (
    "agent.replay_size=96 agent.learning_starts=24 agent.batch_size=4 "
    "agent.sequence_length=4"
)
OTHERS = {
    "dqn": f"{REPLAY} agent.exploration_share=0",
    "pqn": "agent.num_minibatches=1",
    "sac": REPLAY,
}


@pytest.mark.shows("numpy environments")
@pytest.mark.parametrize(
    "agent",
    [
        "dqn",
        pytest.param("pqn", marks=pytest.mark.slow),
        pytest.param("sac", marks=pytest.mark.slow),
    ],
)
def test_factories_and_other_agents_train(agent, tmp_path):
    words = f"{OWN}make_counting env.args.longest=3 {TINY} agent={agent}"
    words += f" {OTHERS[agent]} evaluation.episodes=5"
    result, told = train(words, tmp_path)
    assert "card unknown: no verdict" in told
    assert result.steps == 72 and result.verdict.startswith("no verdict")
    assert np.isfinite(result.scores[0].mean)
