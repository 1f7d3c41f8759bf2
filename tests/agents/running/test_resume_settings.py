"""Which settings a resumed run has, without a run: a saved configuration is enough."""

import pytest
from omegaconf import OmegaConf

from agents.convert import ConfigError
from agents.running.files.resume import locked, resumed_config
from agents.running.overrides import _jobs, compose_config, resumes


@pytest.fixture
def saved(tmp_path):
    """The folder of a run with other settings than the defaults."""
    config = compose_config(["memory=gru", "agent.gamma=0.5", "checkpoint.interval=3"])
    config["distributed"]["num_processes"] = 4
    OmegaConf.save(OmegaConf.create(config), tmp_path / "config.yaml")
    return tmp_path


def test_settings_of_a_saved_run(saved):
    defaults = compose_config([])
    words = ["checkpoint.keep=7", "total_steps=9", "agent.gamma=0.5", "memory=gru"]
    config = resumed_config(str(saved), words, compose_config)
    assert config["agent"]["gamma"] == 0.5 and config["memory"]["name"] == "gru"
    assert config["checkpoint"] == {"interval": 3, "keep": 7}
    assert config["total_steps"] == 9
    assert config["distributed"] == defaults["distributed"]
    assert config["resume"] == str(saved)
    assert config.keys() == defaults.keys()
    with pytest.raises(ConfigError, match=r"where the run has agent\.gamma=0\.5"):
        resumed_config(str(saved), ["agent.gamma=0.9"], compose_config)


def test_a_lock_is_held_by_one(tmp_path):
    refused = pytest.raises(ConfigError, match="in use by another")
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_resume_null_starts_a_run():
    assert not resumes(["seed=1", "resume=null"])
    assert resumes(["seed=1", "resume=runs/a"])
    assert resumes(["resume="])  # which is told that it names no run


def test_a_large_sweep_is_checked_value_by_value():
    choices = [["a=1", "a=2"], ["b=1"], [f"c={i}" for i in range(40)]]
    jobs = _jobs(choices)
    assert all([word[0] for word in job] == ["a", "b", "c"] for job in jobs)
    words = {word for job in jobs for word in job}
    assert words == {word for texts in choices for word in texts}
    assert len(jobs) == 2 + 1 + 40
    assert len(_jobs(choices[:2])) == 2
