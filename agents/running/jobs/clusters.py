"""What a batch system says about the processes of a run.

JAX finds the coordinator, the number of processes and this one's by itself, under
SLURM, OpenMPI and Kubernetes. Which of a machine's GPUs are a process's it gets wrong
where there is one process per machine (it takes the first GPU only) and where every
process sees one GPU (it asks for another): that is said here.
"""

import os
import re
from collections.abc import Mapping


def local_devices(environment: Mapping[str, str] = os.environ) -> list[int] | None:
    """The GPUs of this process, by their number among those that it sees.

    Args:
        environment: of the process.

    Returns:
        Numbers; none where all that it sees are its own; None where nobody says what
        it sees, and JAX takes one GPU per process.
    """
    count = _processes_here(environment)
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    seen = None if visible is None else len([x for x in visible.split(",") if x])
    if count == 1 or seen == 1:
        return []
    if not seen or seen < count:
        return None
    each, own = seen // count, _number_here(environment)
    return list(range(own * each, (own + 1) * each))


def _processes_here(environment: Mapping[str, str]) -> int:
    """How many processes of the run are on this machine."""
    if (size := environment.get("OMPI_COMM_WORLD_LOCAL_SIZE")) is not None:
        return int(size)
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE")
    if tasks is None:
        return 1
    return expanded(tasks)[int(environment.get("SLURM_NODEID", 0))]


def _number_here(environment: Mapping[str, str]) -> int:
    """The number of this process on this machine."""
    names = ("OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
    return next((int(environment[x]) for x in names if x in environment), 0)


def expanded(tasks: str) -> list[int]:
    """Tasks of every machine: `2(x3),1` are 2, 2, 2 and 1."""
    counts = []
    for part in tasks.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if found is None:
            raise ValueError(f"SLURM_STEP_TASKS_PER_NODE={tasks!r} cannot be read.")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
