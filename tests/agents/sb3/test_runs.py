"""Agents of Stable-Baselines3 in a run: what it leaves, and what it cannot do."""

import io
import json
import os
import re
import signal
import tempfile

import numpy as np
import pytest
import stable_baselines3
import torch
from rich.console import Console
from sb3_contrib import RecurrentPPO

import agents
from agents.convert import ConfigError
from agents.keys import Use
from agents.running import baselines
from agents.running.configuration.config import build
from agents.running.output.tensorboard import TAGS
from agents.running.overrides import compose_config
from agents.sb3 import JaxVecEnv, MemoryRecurrentPPO
from agents.sb3.memories import OwnLSTM
from agents.sb3.playing import play
from analysis.runs import read_run
from tests.agents.toy import Toy

SMALL = (
    *("env.length=5", "agent.num_envs=4", "agent.rollout_length=16"),
    *("total_steps=256", "evaluation.interval=100", "log_interval=1"),
    *("memory.output_size=8", "evaluation.episodes=16", "device=cpu"),
)
PPO = ("agent.num_minibatches=2", "agent.num_epochs=2")


def config_of(agent, memory, *words, small=SMALL):
    return compose_config([f"agent={agent}", f"memory={memory}", *small, *words])


def ran(directory, agent, memory, *words):
    """A run: what it came to, and what it told."""
    text = io.StringIO()
    config = config_of(agent, memory, *words, f"run_directory={directory}")
    result = agents.run(config, Console(file=text, width=300))
    return result, text.getvalue()


@pytest.fixture(scope="module")
def lstm_run(tmp_path_factory):
    """Two seeds of the LSTM of sb3-contrib itself."""
    path = tmp_path_factory.mktemp("runs")
    return ran(path, "sb3_recurrent_ppo", "lstm", "num_seeds=2", *PPO)


def test_it_leaves_nothing_outside_of_its_folder(tmp_path, monkeypatch):
    """Stable-Baselines3 logs to a new folder of the temporary directory by itself."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.delenv("SB3_LOGDIR", raising=False)
    ran(tmp_path / "runs", "sb3_dqn", "none", "total_steps=64")
    assert not list(elsewhere.iterdir())


def curve(run, seed, tag):
    found = run.curve(seed, tag)
    return [] if found is None else list(found.steps)


def test_a_run_leaves_what_every_run_leaves(lstm_run, tmp_path):
    """The same files, entries and tags as PPO's of the same length, at the same steps;
    the tags of the seconds and of what only ours does are left out."""
    result, told = lstm_run
    config = config_of("ppo", "lstm", f"run_directory={tmp_path}", *PPO)
    ours = agents.run(config, Console(file=io.StringIO()))
    theirs = read_run(result.directory)
    assert theirs.model.startswith("lstm-sb3_recurrent_ppo+")
    assert theirs.task == read_run(ours.directory).task
    record, expected = (
        json.loads((x.directory / "result.json").read_text()) for x in (result, ours)
    )
    assert set(record) == set(expected)
    assert set(record["seeds"][0]) == set(expected["seeds"][0])
    assert record["ended"] == "complete"
    assert record["references"] == expected["references"]
    assert record["total_steps"] == 256
    assert [seed["steps"] for seed in record["seeds"]] == [256, 256]
    left_out = ("time/compile_seconds", "loss/gradient_norm", "loss/reconstruction")
    left_out += ("memory/state_norm",)
    for tag in TAGS:
        wanted = [] if tag in left_out else curve(read_run(ours.directory), 0, tag)
        assert curve(theirs, 0, tag) == curve(theirs, 1, tag) == wanted, tag
    assert curve(theirs, 0, "evaluation/return") == [0, 128, 256]
    reference = result.directory.parents[1] / "reference"
    assert {x.name for x in reference.iterdir()} == {"floor", "memoryless", "recall"}
    (features,) = result.plan.env.observation_space.shape
    one = 4 * 8 * (features + 8 + 2)  # gates, units, weights and two biases
    assert f"lstm: {one} of" in told
    assert "one each for actor and critic" in told


def test_parameters_are_those_of_torch(lstm_run):
    result, _ = lstm_run
    model = RecurrentPPO.load(result.directory / "seed_0" / "model.zip")
    total = sum(p.numel() for p in model.policy.parameters())
    record = result.record()
    assert record["parameters"] == total
    memory = sum(p.numel() for p in model.policy.lstm_actor.parameters())
    assert record["memory_parameters"] == memory
    assert record["state_bytes"] == 2 * 8 * 4


@pytest.mark.parametrize(
    ("agent", "memory", "kind"),
    [
        ("sb3_recurrent_ppo", "gru", MemoryRecurrentPPO),
        ("sb3_dqn", "none", stable_baselines3.DQN),
    ],
)
def test_the_saved_model_is_the_one_that_was_evaluated(tmp_path, agent, memory, kind):
    """Its greedy episodes, played by a plain loop, have the mean that was written."""
    own = PPO if agent != "sb3_dqn" else ("agent.learning_starts=64",)
    result, _ = ran(tmp_path, agent, memory, *own)
    model = kind.load(result.directory / "seed_0" / "model.zip")
    env = JaxVecEnv(result.plan.env, 16, seed=(0, baselines.EVALUATION))
    observation, state = env.reset(), None
    start, totals, over = np.ones(16, bool), np.zeros(16), np.zeros(16, bool)
    while not over.all():
        action, state = model.predict(observation, state, start, deterministic=True)
        observation, reward, start, _ = env.step(action)
        totals[~over] += reward[~over]
        over |= start
    assert result.scores[0].mean == pytest.approx(totals.mean(), abs=1e-6)
    sizes = result.record()
    memories = [getattr(model.policy, x, None) for x in ("lstm_actor", "q_net")]
    parameters = sum(p.numel() for p in model.policy.parameters())
    if agent == "sb3_dqn":  # the target network does not learn
        parameters = sum(p.numel() for p in memories[1].parameters())
        run = read_run(result.directory)
        assert len(curve(run, 0, "exploration/epsilon")) == 4
        assert len(curve(run, 0, "loss/total")) == 3
    else:
        own = sum(p.numel() for p in memories[0].parameters())
        assert sizes["memory_parameters"] == own
    assert sizes["parameters"] == parameters


def test_a_seed_of_several_is_the_run_of_that_seed(lstm_run, tmp_path):
    several, _ = lstm_run
    alone, _ = ran(tmp_path, "sb3_recurrent_ppo", "lstm", "seed=1", *PPO)
    first, second = read_run(several.directory), read_run(alone.directory)
    assert several.scores[1] == alone.scores[0]
    for tag in ("loss/total", "train/return", "policy/entropy", "value/mean"):
        found, expected = first.curve(1, tag), second.curve(1, tag)
        np.testing.assert_array_equal(found.values, expected.values)
        assert not np.array_equal(found.values, first.curve(0, tag).values)


def test_losses_are_those_of_stable_baselines3():
    """In the words of docs/metrics.md: half the squared error, and the weighted sum."""
    agent = build(config_of("sb3_ppo", "none", "agent.num_minibatches=1")).agent
    agent = type(agent)(
        env=agent.env,
        memory=agent.memory,
        num_envs=4,
        rollout_length=16,
        num_epochs=1,
        num_minibatches=1,
        value_coefficient=0.8,
        entropy_coefficient=0.3,
        normalize_advantage=False,
    )
    model = agent.model(agent.vec_env(agent.env, 4, 0), 0)
    model.learn(64, log_interval=None)
    learned, buffer = agent.learned(model), model.rollout_buffer
    loss = model.logger.name_to_value["train/loss"]
    assert learned["loss/total"] == pytest.approx(loss, abs=1e-6)
    squared = np.square(buffer.returns - buffer.values).mean()
    assert learned["loss/value"] == pytest.approx(squared / 2, abs=1e-5)
    parts = learned["loss/policy"] + 0.8 * learned["loss/value"]
    parts -= 0.3 * learned["policy/entropy"]
    assert learned["loss/total"] == pytest.approx(parts, abs=1e-5)
    assert 0 < learned["policy/entropy"] <= np.log(4) + 1e-6


class FirstAction:
    """A model that always takes action 1, drawing numbers as it goes."""

    def predict(self, observation, state, start, deterministic):
        assert start.all() == (state is None)
        torch.rand(3), np.random.rand(3)
        return np.ones(len(observation), np.int64), ()


def test_evaluation_counts_each_streams_first_episode():
    """Against a loop over `JaxVecEnv` that keeps every episode; randomness is left."""
    env, again = JaxVecEnv(Toy(), 6, seed=3), JaxVecEnv(Toy(), 6, seed=3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    found = play(FirstAction(), env, step_limit=100, deterministic=True)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    again.reset()
    episodes = [[] for _ in range(6)]
    for _ in range(12):
        infos = again.step(np.ones(6, np.int64))[3]
        for i, info in enumerate(infos):
            episodes[i] += [info] if "episode" in info else []
    for i, (first, *_) in enumerate(episodes):
        assert found["episode_return"][i] == pytest.approx(first["episode"]["r"])
        assert found["episode_length"][i] == first["episode"]["l"]
        assert found["success"][i] == first["is_success"]
    assert found["finished"].all()
    cut = play(FirstAction(), env, step_limit=2, deterministic=True)
    assert 0 < cut["finished"].sum() < 6
    ended = {"step_limit": 9, "deterministic": True, "stopping": lambda: True}
    assert play(FirstAction(), env, **ended) is None


def test_told_to_stop_it_stops_and_keeps_its_model(tmp_path, monkeypatch):
    updated = baselines.SeedRun._updated

    def stopping(self, model, episodes):
        goes_on = updated(self, model, episodes)
        if self._updates == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return goes_on

    monkeypatch.setattr(baselines.SeedRun, "_updated", stopping)
    with pytest.raises(agents.Stopped):
        ran(tmp_path, "sb3_ppo", "none", "num_seeds=2", *PPO)
    (path,) = tmp_path.glob("*/*/*/result.json")
    record = json.loads(path.read_text())
    assert record["ended"] == "stopped by SIGTERM"
    assert [seed["steps"] for seed in record["seeds"]] == [128, 0]
    stable_baselines3.PPO.load(path.parent / "seed_0" / "model.zip")
    assert not (path.parent / "seed_1").exists()


def test_a_run_that_is_there_is_made_anew(tmp_path):
    """In a folder with a name of its own, as a sweep elsewhere has them."""
    config = config_of("sb3_ppo", "none", f"run_directory={tmp_path}", *PPO)
    console = Console(file=io.StringIO())
    first = agents.run(config, console, folder="one")
    second = agents.run(config, console, folder="one")
    assert first.directory == second.directory
    assert first.scores == second.scores
    run = read_run(first.directory)
    assert curve(run, 0, "evaluation/return") == [0, 128, 256]
    assert len(list((first.directory / "seed_0").glob("*tfevents*"))) == 1


@pytest.mark.parametrize(("steps", "checks"), [(1, True), (2, True), (2, False)])
def test_a_seed_that_is_not_finite_is_told(tmp_path, monkeypatch, steps, checks):
    """Where the last step of the optimiser did it, and where another one follows."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", checks)
    # Adam divides 0 by 0 where a number has no gradient.
    words = ["agent.adam_epsilon=0.0", "num_seeds=2", "agent.num_epochs=1"]
    words += [f"agent.num_minibatches={steps}"]
    result, _ = ran(tmp_path, "sb3_ppo", "none", *words)
    assert result.record()["ended"] == "not finite"
    assert result.verdicts[0] == "no verdict (not finite in update 1 (step 0))"
    assert sorted(result.frozen) == [0, 1]


REFUSED = {
    ("sb3_ppo", "ffm"): "has no memory, so memory=ffm would do nothing",
    ("sb3_dqn", "gru"): "has no memory, so memory=gru would do nothing",
    ("sb3_dqn", "none", "env=position_only_pendulum_easy"): "needs one discrete action",
    ("sb3_recurrent_ppo", "gru", "agent.own_lstm=true"): "use memory=lstm",
    (
        "sb3_recurrent_ppo",
        "lstm",
        "memory.learned_initial_state=true",
    ): "no such option",
    ("sb3_recurrent_ppo", "gru", "memory.raw_keys=[a]"): "do not say which",
    ("sb3_ppo", "none", "num_devices=2"): "trains on one device",
    ("sb3_ppo", "none", "distributed.coordinator=auto"): "trains in one process",
    ("sb3_ppo", "none", "start_from=runs/x"): "keeps no checkpoints",
    ("sb3_ppo", "none", "evaluation.films=1"): "is not filmed",
    ("sb3_ppo", "none", "env=gymnasium", "env.id=CartPole-v1"): "Baselines3 itself",
    ("sb3_ppo", "none", "agent.num_minibatches=7"): "must divide",
    ("sb3_ppo", "none", "agent.previous_reward=true"): "do not observe rewards",
    ("sb3_ppo", "none", "agent.gamma=1.5"): "must be 0 to 1",
    ("sb3_dqn", "none", "agent.batch_size=0"): "must be at least 1",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_it_cannot_do_is_refused_in_one_sentence(words):
    with pytest.raises(ConfigError) as raised:
        build(config_of(*words, small=()))
    told = str(raised.value)
    assert REFUSED[words] in told
    assert "\n" not in told


def test_the_lstm_is_sb3_contribs_own_unless_told_otherwise():
    words = ("sb3_recurrent_ppo", "lstm", "memory.num_layers=2")
    own = build(config_of(*words)).agent
    assert own.memory == OwnLSTM(hidden_size=8, num_layers=2)
    model = own.model(own.vec_env(own.env, 4, 0), 0)
    assert type(model) is RecurrentPPO
    assert model.policy.lstm_actor.num_layers == 2
    ours = build(config_of(*words, "agent.own_lstm=false")).agent
    model = ours.model(ours.vec_env(ours.env, 4, 0), 0)
    assert type(model) is MemoryRecurrentPPO
    assert model.policy.memory_kwargs["num_layers"] == 2


def test_resuming_names_the_saved_models(lstm_run):
    result, _ = lstm_run
    with pytest.raises(ConfigError, match=re.escape("seed_<n>/model.zip")):
        agents.load(result.directory)


def test_other_parts_of_the_contract_say_who_trains_it():
    agent = build(config_of("sb3_ppo", "none")).agent
    for call in (lambda: agent.init(Use.RUN), lambda: agent.update(None)):
        with pytest.raises(NotImplementedError, match="trained by Stable-Baselines3"):
            call()
    with pytest.raises(NotImplementedError, match="trained by Stable-Baselines3"):
        agent.act(None, None, None, key=None)


KINDS = ("ballet", "battleship_easy_pixels", "concentration_easy", "room_recall")
CASES = [("sb3_ppo", task) for task in KINDS]
CASES += [("sb3_recurrent_ppo", task) for task in KINDS]
CASES += [("sb3_dqn", task) for task in KINDS if "battleship" not in task]


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "task"), CASES)
def test_every_kind_of_observation_trains(tmp_path, agent, task):
    """Pixels, Dicts and the previous action; DQN where a step is one choice."""
    memory = "gru" if "recurrent" in agent else "none"
    own = () if agent == "sb3_dqn" else PPO
    small = [word for word in SMALL if not word.startswith("env.")]
    config = config_of(
        *(agent, memory, f"env={task}", f"run_directory={tmp_path}", *own),
        *("evaluation.interval=null", "evaluation.episodes=2", "total_steps=64"),
        small=small,
    )
    assert agents.run(config, Console(file=io.StringIO())).ended == "complete"
