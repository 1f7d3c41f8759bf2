"""`resume=auto`: the command that began a run goes on with it."""

import os
import shutil
import signal

import pytest

import agents
import train
from agents.convert import ConfigError
from agents.running import trainer
from agents.running.files.records import CONFIG_FILE, make_run_directory
from agents.running.output.names import fingerprint
from agents.running.overrides import check, compose_config
from tests.agents.launching import fake_slurm
from tests.agents.running import tiny
from tests.agents.running.test_resume import assert_equal_runs


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory):
    with tiny.programs_kept(tmp_path_factory.mktemp("programs")):
        yield


def plan_of(*words):
    from agents.running.configuration.config import build

    return build(compose_config([*tiny.WORDS, *words]))


def stop_at(monkeypatch, number, step=128):
    """Send a signal after some steps of every run that is not older."""
    call = trainer.Trainer._call

    def stopped(self, *arguments):
        result = call(self, *arguments)
        if self.step == step:
            os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(trainer.Trainer, "_call", stopped)


def folders(parent):
    return sorted(path.parent for path in parent.glob(f"*/*/*/{CONFIG_FILE}"))


@pytest.mark.parametrize(
    "word",
    [
        *("run_directory=elsewhere", "device=cpu", "checkpoint.keep=7", "check=false"),
        *("log_interval=1", "compilation_cache=null", "resume=auto"),
    ],
)
def test_what_changes_no_result_keeps_the_folder(word):
    assert fingerprint(plan_of(word).config) == fingerprint(plan_of().config)


@pytest.mark.parametrize(
    "word",
    [
        *("seed=1", "num_seeds=2", "total_steps=512", "env.length=4", "memory=gru"),
        *("agent.gamma=0.9", "evaluation.episodes=300", "partial.flicker=0.5"),
    ],
)
def test_what_changes_a_result_changes_the_folder(word):
    assert fingerprint(plan_of(word).config) != fingerprint(plan_of().config)


def test_the_same_words_go_on_and_then_tell_it_again(tmp_path, monkeypatch):
    whole, _ = tiny.start("seed=3", f"run_directory={tmp_path / 'whole'}")
    words = ["seed=3", "resume=auto", f"run_directory={tmp_path / 'cut'}"]
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGUSR1)
        with pytest.raises(agents.Stopped, match="SIGUSR1"):
            tiny.start(*words)
    (folder,) = folders(tmp_path / "cut")
    again, text = tiny.start(*words)
    assert "resumed at step 128" in text and again.directory == folder
    assert_equal_runs(whole.directory, folder, points=20)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    told, text = tiny.start(*words)
    assert "complete already" in text and "compile" not in text
    assert told.scores == again.scores and told.steps == 0
    assert told.verdict == again.verdict
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert folders(tmp_path / "cut") == [folder]


def test_what_it_started_from_is_not_needed_twice(tmp_path, monkeypatch):
    """Its parameters are in the first checkpoint; that folder may be gone."""
    first, _ = tiny.start(f"run_directory={tmp_path / 'first'}")
    words = [f"start_from={first.directory}", "resume=auto", "seed=1"]
    words.append(f"run_directory={tmp_path / 'cut'}")
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGUSR1)
        with pytest.raises(agents.Stopped):
            tiny.start(*words)
    shutil.rmtree(first.directory)
    result, text = tiny.start(*words)
    assert "resumed at step 128" in text and result.stopped is None
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        tiny.start(*words, "seed=2")


def test_a_result_that_was_not_written_is(tmp_path):
    words = ["resume=auto", f"run_directory={tmp_path}"]
    first, _ = tiny.start(*words)
    path = first.directory / "result.json"
    before = path.read_text()
    path.unlink()
    again, text = tiny.start(*words)
    assert again.scores == first.scores and "complete already" not in text
    assert path.is_file() and before.count("\n") == path.read_text().count("\n")


def test_a_folder_without_settings_is_begun(tmp_path):
    """Killed between making its folder and its settings."""
    plan = plan_of()
    (tmp_path / "name").mkdir()
    made = make_run_directory(plan, tmp_path, "name")
    assert made == tmp_path / "name" and (made / CONFIG_FILE).is_file()
    before = (made / CONFIG_FILE).stat().st_mtime_ns
    assert make_run_directory(plan, tmp_path, "name") == made
    assert (made / CONFIG_FILE).stat().st_mtime_ns == before


def test_a_sweep_may_say_so():
    jobs = check(["-m", "resume=auto", "seed=0,1"])
    assert [job["resume"] for job in jobs] == ["auto", "auto"]


def test_a_job_that_slurm_warns_is_requeued(tmp_path, monkeypatch, capsys):
    """The whole of it: the signal, what is saved, the queue, and the second turn."""
    for name, value in fake_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(train, "ended", [])
    config = compose_config(
        [*tiny.WORDS, "resume=auto", f"run_directory={tmp_path / 'runs'}"]
    )
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGUSR2)
        with pytest.raises(SystemExit) as caught:
            train.start(config)
    assert caught.value.code == 128 + signal.SIGUSR2
    assert (
        "job 12 is requeued, and goes on where it has saved." in capsys.readouterr()[1]
    )
    assert (tmp_path / "slurm" / "state" / "requeued").read_text() == "12\n"
    train.start(config)
    assert "resumed at step 128" in capsys.readouterr()[0]
    assert train.ended[-1].failure is None


def test_one_that_would_begin_anew_says_so(tmp_path, monkeypatch, capsys):
    for name, value in fake_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(train, "ended", [])
    config = compose_config([*tiny.WORDS, f"run_directory={tmp_path / 'runs'}"])
    stop_at(monkeypatch, signal.SIGUSR2)
    with pytest.raises(SystemExit):
        train.start(config)
    told = capsys.readouterr()[1]
    assert "not requeued" in told and "resume=auto" in told
    assert not (tmp_path / "slurm" / "state" / "requeued").exists()
