"""A job that was told to stop asks for its turn again, unless the user cancelled it."""

import signal

import pytest

from agents.running.jobs import requeue as module
from tests.agents.launching import fake_slurm


def requeue(number):
    return module.requeue(number, {"resume": "auto"})


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Say what SLURM thinks of job 7; the jobs that were requeued then."""
    for name, value in fake_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    folder = tmp_path / "slurm" / "state"

    def think(state, job="7"):
        (folder / f"{job}.state").write_text(state)

    def requeued():
        path = folder / "requeued"
        return path.read_text().split() if path.exists() else []

    think("RUNNING")
    return think, requeued


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_that_is_running_is_requeued(slurm, number):
    assert requeue(number) == "job 7 is requeued, and goes on where it has saved."
    assert slurm[1]() == ["7"]


def test_a_job_that_is_cancelled_is_not(slurm):
    slurm[0]("CANCELLED")
    assert requeue(signal.SIGTERM) is None
    assert slurm[1]() == []
    assert requeue(signal.SIGUSR1)  # a limit of time, which no user sends
    assert slurm[1]() == ["7"]


def test_ctrl_c_is_not(slurm):
    assert requeue(signal.SIGINT) is None and slurm[1]() == []


def test_a_task_of_an_array_has_two_numbers(slurm, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    slurm[0]("CANCELLED", "7")
    slurm[0]("RUNNING", "5_3")
    assert "job 5_3 is requeued" in requeue(signal.SIGTERM)
    assert slurm[1]() == ["5_3"]


def test_nobody_is_asked_outside_of_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        assert requeue(number) is None


def test_what_fails_is_told(slurm, monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "scontrol").write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 1\n")
    (broken / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken}:/bin")
    told = "job 7 could not be requeued: Access denied; submit it again."
    assert requeue(signal.SIGUSR1) == told
    monkeypatch.setenv("PATH", str(tmp_path))
    told = "job 7 could not be requeued: there is no scontrol here; submit it again."
    assert requeue(signal.SIGUSR1) == told


@pytest.mark.parametrize("name", ["USR2", "USR1"])
def test_submitit_requeues_its_own_jobs(slurm, monkeypatch, name):
    """Its handler is called, whichever signal came, and SLURM is not asked twice."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", name)
    number, called = getattr(signal, f"SIG{name}"), []
    before = signal.signal(number, lambda number, frame: called.append(number))
    try:
        for received in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            requeue(received)
        slurm[0]("CANCELLED")
        requeue(signal.SIGTERM)
    finally:
        signal.signal(number, before)
    assert called == [number] * 3
    assert slurm[1]() == []
