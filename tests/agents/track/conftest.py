"""A run for trackers, and what they are seen to hold."""

import pytest
import wandb

import envs
from agents.running.output.tensorboard import write_references
from tests.analysis.made import make_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two seeds beside its task's references; trackers write beside them."""
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.chdir(tmp_path)
    words = ["env.length=3", "memory=gru", "seed=3"]
    seeds = {3: [0.25, float("nan"), 0.75], 4: [0.5, 1.0]}
    directory = make_run(tmp_path / "runs", words, seeds)
    card = envs.make("TMaze-v0").card
    write_references(directory.parents[1], card, "tmaze", 200)
    yield directory
    wandb.teardown()  # it reads its environment once
