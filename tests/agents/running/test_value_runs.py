"""Runs of the agents that value actions: cut, resumed, and equal bit for bit."""

import os
import shutil
import signal

import pytest

import agents
from agents.running import trainer
from agents.running.overrides import check
from tests.agents.running import tiny
from tests.agents.running.test_resume import assert_equal_runs

COMMON = [
    *("env=custom", "env.target=tests.agents.toy:Toy", "memory=gru", "num_seeds=2"),
    *("memory.output_size=8", "agent.encoder_size=8", "agent.num_envs=8"),
    *("agent.previous_action=true", "log_interval=5", "agent.normalize_reward=true"),
    *("total_steps=4096", "evaluation.interval=2048", "evaluation.episodes=16"),
    *("checkpoint.interval=512", "check=false"),
]
AGENTS = {
    "dqn": [
        *("agent.rollout_length=8", "agent.replay_size=320", "agent.batch_size=8"),
        *("agent.sequence_length=8", "agent.gradient_steps=2"),
        *("agent.learning_starts=256", "agent.priority_exponent=0.9"),
    ],
    "sac": [
        *("agent.rollout_length=8", "agent.replay_size=320", "agent.batch_size=8"),
        *("agent.sequence_length=8", "agent.gradient_steps=2"),
        *("agent.learning_starts=256", "agent.replay_start=zero"),
    ],
    "pqn": ["agent.rollout_length=16", "agent.num_minibatches=2"],
}
"""Replays that wrap eight times."""


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory):
    with tiny.programs_kept(tmp_path_factory.mktemp("programs")):
        yield


def start(*words):
    return agents.run(
        check([*COMMON, *words])[0], tiny.Console(file=tiny.io.StringIO())
    )


@pytest.mark.shows("resumed bit for bit")
@pytest.mark.parametrize(
    "agent",
    [pytest.param(x, marks=() if x == "dqn" else pytest.mark.slow) for x in AGENTS],
)
def test_resumed_equals_uninterrupted(agent, tmp_path, monkeypatch):
    words = [f"agent={agent}", *AGENTS[agent]]
    whole = start(*words, f"run_directory={tmp_path / 'whole'}")
    call = trainer.Trainer._call

    def stopped(self, *arguments):
        result = call(self, *arguments)
        if self.standing.updates * self.agent.steps_per_update == 2560:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_call", stopped)
        with pytest.raises(agents.Stopped):
            start(*words, f"run_directory={tmp_path / 'cut'}")
    (cut,) = (tmp_path / "cut").glob("*/*/[0-9]*")
    directory = shutil.copytree(cut, tmp_path / "copy")
    tiny.resume(directory)
    assert_equal_runs(whole.directory, directory, points=100)
