"""Runs that many tests look at: trained once for all workers."""

import fcntl
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

import agents
from agents.running.overrides import compose_config

WORDS = ("env.length=4", "num_seeds=2", "evaluation.interval=25e3")
TRAINED = {"ffm": 1e5, "none": 5e4}
"""Steps of each: `ffm` solves the T-maze by then, both seeds."""


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Folders of a run that solved a T-maze of 4, `ffm`, and of one without memory."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "analysis"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return {memory: _run(root, memory) for memory in TRAINED}


@pytest.fixture(scope="session")
def solved(runs) -> Path:
    """A run of two seeds of ffm that solved a T-maze of 4."""
    return runs["ffm"]


@pytest.fixture(scope="session")
def blind(runs) -> Path:
    """A run of two seeds without memory on the same."""
    return runs["none"]


def _run(root: Path, memory: str) -> Path:
    ended = list(root.glob(f"runs/*/{memory}-*/*/result.json"))
    if ended:
        return ended[0].parent
    words = [f"memory={memory}", f"total_steps={TRAINED[memory]}", *WORDS]
    words += [f"run_directory={root / 'runs'}", "compilation_cache=null"]
    result = agents.run(compose_config(words), Console(file=io.StringIO()))
    return result.directory
