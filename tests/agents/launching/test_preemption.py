"""Jobs of submitit that are preempted at random end as if they never were."""

import random
import signal
import subprocess
import time

import pytest

from tests.agents.launching.test_stable_folder import folders
from tests.agents.running.test_resume import OFTEN, WORDS, assert_equal_runs, start

TIMES = 50
LAUNCH = ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=60"]


def workers(of):
    """Processes of submitit that run the job of a folder, by their number."""
    found = subprocess.run(
        ["pgrep", "-f", f"submitit.core._submit {of}"], capture_output=True, text=True
    )
    return [int(line) for line in found.stdout.split()]


@pytest.mark.slow
def test_many_preemptions(tmp_path):
    """SIGUSR2 and kill -9, 50 in all; submitit requeues a job six times at most."""
    random.seed(1)
    words = [*WORDS[:-4], *OFTEN]
    with start(*words, f"run_directory={tmp_path / 'whole'}") as reference:
        text = reference.communicate()[0]
    assert reference.returncode == 0, text
    (whole,) = folders(tmp_path / "whole")
    parts, came, requeued = 0, 0, 0
    while came < TIMES:
        runs = tmp_path / f"part_{parts}"
        again = [*LAUNCH, *words, "resume=auto", f"run_directory={runs}"]
        process, ended = start(*again), False
        while not ended:
            time.sleep(random.uniform(1.0, 12.0))
            ended = process.poll() is not None
            for number in workers(runs.resolve()):
                if came < TIMES:
                    hard = random.random() < 0.3
                    signal_number = signal.SIGKILL if hard else signal.SIGUSR2
                    subprocess.run(["kill", f"-{int(signal_number)}", str(number)])
                    came, requeued = came + 1, requeued + (not hard)
        text = process.communicate()[0]
        assert "Traceback" not in text, text
        if process.returncode == 0:
            (directory,) = folders(runs)
            assert_equal_runs(whole, directory)
            parts += 1
    assert parts and requeued > TIMES // 3
