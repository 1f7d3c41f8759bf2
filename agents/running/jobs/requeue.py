"""Back into the queue of a batch system, once a run has saved.

SLURM requeues a preempted job by itself only where it may end it; a job that saves and
ends, or that runs out of time, has to ask.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

from agents.running.jobs.signals import WARNING

SECONDS = 60
"""How long SLURM may take to answer."""


def requeue(signal_number: int, config: Mapping[str, Any]) -> str | None:
    """Ask for this job to be run again, where a batch system stopped it.

    That is so where SIGUSR1 or SIGUSR2 came, and where SIGTERM came and SLURM says that
    the job is running still: one that the user cancels is not.

    Args:
        signal_number: what stopped the run.
        config: of the run. The same command must go on with it: `resume=auto`, or the
            folder.

    Returns:
        What came of it, in one sentence; None where nobody was asked.

    Raises:
        SystemExit: submitit has requeued the job, and ends it.
    """
    warned = signal_number in WARNING
    if not warned and (signal_number != signal.SIGTERM or _state() != "RUNNING"):
        return None
    if "SUBMITIT_EXECUTOR" in os.environ:
        _through_submitit()
        return None
    job = _job()
    if job is None:
        return None
    if config["resume"] is None:
        return f"job {job} is not requeued: only with resume=auto does it go on."
    failure = _scontrol("requeue", job)[1]
    if failure:
        return f"job {job} could not be requeued: {failure}; submit it again."
    return f"job {job} is requeued, and goes on where it has saved."


def _through_submitit() -> None:
    """Call the handler that submitit has installed for the signal of a time limit."""
    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    number = getattr(signal, f"SIG{name}", signal.SIGUSR2)
    if callable(signal.getsignal(number)):
        signal.raise_signal(number)


def _job() -> str | None:
    """The number of this job of SLURM's, and of its task in an array."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{x}_ID") for x in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _state() -> str | None:
    """What SLURM says that the job is doing, None outside of SLURM."""
    job = _job()
    if job is None:
        return None
    words = _scontrol("show", "job", job, "--oneliner")[0].split()
    states = [w.partition("=")[2] for w in words if w.startswith("JobState=")]
    return states[0] if states else None


def _scontrol(*words: str) -> tuple[str, str]:
    """What it prints, and why it failed, '' where it did not."""
    if shutil.which("scontrol") is None:
        return "", "there is no scontrol here"
    try:
        done = subprocess.run(
            ["scontrol", *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, done.stderr.strip() if done.returncode else ""
