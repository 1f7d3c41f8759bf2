"""Processes that a batch system started find each other, and their GPUs."""

import os
import subprocess
import sys

import pytest

from agents.convert import ConfigError
from agents.running.jobs import processes
from agents.running.jobs.clusters import expanded, local_devices
from tests.agents.test_devices import free_port

SLURM = {"SLURM_STEP_TASKS_PER_NODE": "2(x2),4", "SLURM_NODEID": "0"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, []),  # one process, all it sees
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, []),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "SLURM_NODEID": "3"}, []),
        ({**SLURM, "SLURM_LOCALID": "1"}, None),  # as JAX does: one each
        ({**SLURM, "SLURM_LOCALID": "1", "CUDA_VISIBLE_DEVICES": "0"}, []),
        ({**SLURM, "SLURM_LOCALID": "1", "CUDA_VISIBLE_DEVICES": "4,5"}, [1]),
        ({**SLURM, "SLURM_LOCALID": "1", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}, [2, 3]),
        (
            {**SLURM, "SLURM_NODEID": "2", "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"},
            [0, 1],
        ),
        ({**SLURM, "SLURM_NODEID": "2", "CUDA_VISIBLE_DEVICES": "0,1,2"}, None),
        ({**SLURM, "SLURM_LOCALID": "0", "CUDA_VISIBLE_DEVICES": ""}, None),
        (
            {
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "CUDA_VISIBLE_DEVICES": "0,1",
            },
            [1],
        ),
    ],
)
def test_the_gpus_of_a_process(environment, expected):
    assert local_devices(environment) == expected


def test_tasks_of_every_machine():
    assert expanded("2(x3),1") == [2, 2, 2, 1] and expanded("4") == [4]
    with pytest.raises(ValueError, match="cannot be read"):
        expanded("two")


def test_what_contradicts_auto_is_refused():
    config = {"distributed": {"coordinator": "auto", "process_id": 1}}
    with pytest.raises(ConfigError, match=r"distributed\.process_id is found out"):
        processes.check(config)


def test_no_batch_system_is_told():
    """In a process of its own: this one has used JAX, which is too late to join."""
    hidden = ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", _JOIN],
        env={**environment, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert (
        "ConfigError: distributed.coordinator=auto finds neither SLURM" in done.stderr
    )


_JOIN = """
import jax
from agents.running.jobs import processes

processes.start([{"distributed": {"coordinator": "auto"}}])
print(processes.is_first(), jax.process_index(), jax.process_count())
print(processes.agree(7 + jax.process_index(), None))
"""


def test_two_processes_of_slurm_find_each_other():
    """As srun starts them, on this machine."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _JOIN],
            env={
                **os.environ,
                "PYTHONPATH": ".",
                "SLURM_JOB_ID": "77",
                "SLURM_STEP_NODELIST": "localhost",
                "SLURM_NTASKS": "2",
                "SLURM_PROCID": str(number),
                "SLURM_LOCALID": str(number),
                "SLURM_STEP_TASKS_PER_NODE": "2",
                "SLURM_NODEID": "0",
                "JAX_COORDINATOR_PORT": str(port),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for port in [free_port()]
        for number in range(2)
    ]
    texts = [process.communicate(timeout=120)[0] for process in started]
    told = [[x for x in text.splitlines() if "[Gloo]" not in x] for text in texts]
    assert told == [["True 0 2", "(7, None)"], ["False 1 2", "(7, None)"]]
