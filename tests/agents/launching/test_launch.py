"""Sweeps whose jobs run elsewhere: joblib's processes, a batch system's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import agents
import train
from agents import launch
from agents.convert import ConfigError
from agents.running.files.resume import saved_config
from tests.agents.launching import fake_slurm
from tests.agents.running import tiny

ROOT = Path(__file__).resolve().parents[3]
TOO_MANY = "agent.num_envs=4,4000000000,8"
"""The second job fails where it runs: no size is looked at before."""

SCRIPT = """
import sys
import train

sys.argv = ["train.py", *sys.argv[1:]]
try:
    train.main()
finally:
    from jax._src import xla_bridge

    print("devices", xla_bridge.backends_are_initialized())
"""


def sweep(folder, *words, environment=None):
    """A sweep from its own working folder: status, output, errors."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "-m", *tiny.WORDS, *words],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            **(environment or {}),
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def assert_told(folder, status, printed, errors):
    """Two jobs ended, one failed in one sentence, and nothing lies about."""
    told = "agent.num_envs=4000000000 is 4,000,000,000, more than the 2,147,483,647"
    assert status == 2, errors
    assert f"error: job 1: {told}" in errors and "Traceback" not in errors
    rows = [line.split() for line in printed.splitlines() if " none " in line]
    assert len(rows) == 3 and f"failed: {told}" in " ".join(rows[1])
    assert [" ".join(row[-3:]) for row in rows[::2]] == ["memory not shown"] * 2
    assert [path.name for path in folder.iterdir()] == ["runs"]
    (notes,) = (folder / "runs" / ".sweeps").iterdir()
    assert f"in {notes}/<number>.log" in printed
    assert "compile" in (notes / "0.log").read_text()
    assert told in (notes / "1.log").read_text()
    ran = [json.loads((notes / f"{n}.json").read_text()) for n in (0, 2)]
    runs = [Path(job["finished"]["directory"]) for job in ran]
    assert [path.name for path in runs] == [f"{notes.name}-0", f"{notes.name}-2"]
    assert [saved_config(path)["agent"]["num_envs"] for path in runs] == [4, 8]
    assert (folder / "runs" / "comparison" / "comparison.html").is_file()
    assert "devices False" in printed  # they are free for the jobs


@pytest.mark.slow  # by default test_jobs_of_slurm stands for all
def test_jobs_in_processes_of_joblib(tmp_path):
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", TOO_MANY]
    assert_told(tmp_path, *sweep(tmp_path, *words))


def test_jobs_of_slurm(tmp_path):
    slurm = fake_slurm.install(tmp_path / "slurm")
    (tmp_path / "here").mkdir()
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5", TOO_MANY]
    found = sweep(tmp_path / "here", *words, environment=slurm)
    assert_told(tmp_path / "here", *found)
    states = sorted(Path(slurm["FAKE_SLURM"]).glob("*.state"))
    assert [path.stem for path in states] == ["1000_0", "1000_1", "1000_2"]


@pytest.mark.slow
def test_jobs_in_processes_of_submitit(tmp_path):
    words = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", TOO_MANY]
    assert_told(tmp_path, *sweep(tmp_path, *words))


@pytest.mark.slow
def test_a_job_that_is_killed_is_told(tmp_path):
    """A process that ends without a word; the other jobs of joblib end with it."""
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "plugins=[killed]"]
    (tmp_path / "killed.py").write_text(
        "import os, signal, sys\n"
        "if 'loky' in ' '.join(sys.argv + sys.orig_argv):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    status, printed, errors = sweep(
        tmp_path, *words, "seed=0,1", environment=environment
    )
    assert status == 1
    (notes,) = (tmp_path / "runs" / ".sweeps").iterdir()
    assert f"error: job 0: ended without a word, see {notes / '0.log'}" in errors
    assert "not run" in printed


# One job, where it runs -------------------------------------------------------------


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Run one job as a launcher does, and read what it left."""
    folder = launch.new_folder(str(tmp_path / "runs"))
    hydra = SimpleNamespace(
        job=SimpleNamespace(num=3), sweep=SimpleNamespace(dir=str(folder))
    )
    monkeypatch.setattr(launch, "HydraConfig", SimpleNamespace(get=lambda: hydra))

    def run(ending, **config):
        def ended(config, console, folder):
            console.print("it was here")
            if isinstance(ending, BaseException):
                raise ending
            return SimpleNamespace(
                directory=tmp_path / folder, together=ending, verdict="memory used"
            )

        monkeypatch.setattr(launch, "run", ended)
        monkeypatch.setattr(launch, "plain", dict)
        return launch.job_elsewhere({"resume": None, **config})

    return run, folder


SCORE = agents.evaluate.Score(0.75, 0.5, 1.0, 200, 4.0, 0.5, 0)


def test_what_a_job_came_to_is_read_again(job, tmp_path):
    run, folder = job
    assert run(SCORE, seed=1) == 0.75
    rows, statuses = launch.outcomes(folder)
    assert statuses == [] and rows[0].failure is None
    assert rows[0].config == {"resume": None, "seed": 1}
    assert rows[0].result.together == SCORE and rows[0].result.verdict == "memory used"
    assert rows[0].result.directory == tmp_path / f"{folder.name}-3"
    assert "it was here" in (folder / "3.log").read_text()


def test_a_job_that_ends_without_a_word(job):
    """As by kill -9: what runs it has no time to say anything."""
    run, folder = job
    with pytest.raises(GeneratorExit):
        run(GeneratorExit())
    rows, statuses = launch.outcomes(folder)
    assert rows[0].failure == f"ended without a word, see {folder / '3.log'}"
    assert statuses == [1]


def test_no_seed_stayed_finite(job):
    run, folder = job
    assert run(None) != run(None)  # it is no number
    assert launch.outcomes(folder)[0][0].result.together is None


@pytest.mark.parametrize(
    ("error", "told", "status"),
    [
        (agents.RunError("the disk is full."), "failed: the disk is full.", 1),
        (agents.ConfigError("no such memory."), "failed: no such memory.", 2),
        (agents.Stopped(signal.SIGTERM), "stopped by SIGTERM", 143),
        (ZeroDivisionError("by zero"), "failed: ZeroDivisionError: by zero", 1),
    ],
)
def test_errors_are_raised_and_told(job, monkeypatch, error, told, status):
    run, folder = job
    monkeypatch.setattr(launch, "blame", lambda *_: None)
    monkeypatch.setattr(launch, "told", lambda _: None)  # of this file's lines
    asked = []
    monkeypatch.setattr(launch, "requeue", lambda number, _: asked.append(number))
    with pytest.raises(type(error)):
        run(error)
    rows, statuses = launch.outcomes(folder)
    assert rows[0].failure == told and statuses == [status]
    assert asked == ([signal.SIGTERM] if status == 143 else [])


def test_of_several_processes_the_first_one_notes(job, monkeypatch):
    run, folder = job
    monkeypatch.setenv("SLURM_PROCID", "1")
    run(SCORE)
    assert launch.outcomes(folder) == ([], [])
    monkeypatch.setenv("SLURM_PROCID", "0")
    run(SCORE)
    assert len(launch.outcomes(folder)[0]) == 1


def test_each_sweep_has_a_folder(tmp_path):
    made = {launch.new_folder(str(tmp_path)) for _ in range(3)}
    assert len(made) == 3 and all(path.is_dir() for path in made)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        launch.new_folder(str(tmp_path / "file"))


def test_ctrl_c_while_jobs_run_elsewhere(tmp_path, monkeypatch, capsys):
    def interrupted(task):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "with_hydra", interrupted)
    monkeypatch.setattr(train, "ended", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which it sets for itself
    words = ["-m", *tiny.WORDS, "hydra/launcher=joblib", "seed=0,1"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, f"run_directory={tmp_path}"])
    with pytest.raises(SystemExit) as caught:
        train.main()
    printed = capsys.readouterr()
    assert caught.value.code == 128 + signal.SIGINT
    assert "stopped by Ctrl-C; jobs of a batch system go on" in printed.err
    assert printed.out.count("not run") == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=1"], None),
        (["-m", "seed=1,2"], None),
        (["-m", "hydra/launcher=basic", "seed=1,2"], None),
        (["-m", "hydra/launcher=joblib", "seed=1,2"], "joblib"),
    ],
)
def test_the_launcher_is_read(words, expected):
    assert launch.launcher_of(words) == expected


def test_a_launcher_without_a_sweep_is_refused():
    with pytest.raises(ConfigError, match="launches the jobs of a sweep; add -m"):
        launch.launcher_of(["hydra/launcher=joblib", "seed=1"])
