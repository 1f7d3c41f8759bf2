"""Commands of SLURM for one machine: sbatch, srun, sacct and scontrol.

A job runs as soon as it is submitted, and again where it was requeued before it ended.
"""

import os
import sys
from pathlib import Path

_SBATCH = """
import os, re, subprocess, sys
from pathlib import Path

here = Path(os.environ["FAKE_SLURM"])
script = Path(sys.argv[1])
found = re.search(r"--array=0-(\\d+)", script.read_text())
number = 1000 + len(list(here.glob("*.job")))
(here / f"{number}.job").write_text(str(script))
own = {"SLURM_JOB_ID": str(number)}
tasks = [{}] if found is None else [
    {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(i)}
    for i in range(int(found[1]) + 1)
]
print(f"Submitted batch job {number}", flush=True)
if os.fork():
    os._exit(0)
os.setsid()
for stream in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), stream)
for task in tasks:
    name = f"{number}_{task['SLURM_ARRAY_TASK_ID']}" if task else str(number)
    state, again = here / f"{name}.state", here / f"{name}.again"
    if os.fork():
        continue
    while True:
        again.unlink(missing_ok=True)
        state.write_text("RUNNING")
        command = ["bash", str(script)]
        done = subprocess.run(command, env={**os.environ, **own, **task}).returncode
        if not again.exists():
            break
    state.write_text("FAILED" if done else "COMPLETED")
    os._exit(0)
"""

_SRUN = """
import os, subprocess, sys

words, streams = sys.argv[1:], {}
while words[0].startswith("--"):
    flag = words.pop(0)
    if flag in ("--output", "--error"):
        path = words.pop(0)
        ids = (os.environ.get(f"SLURM_ARRAY_{x}_ID") for x in ("JOB", "TASK"))
        number = "_".join(x for x in ids if x) or os.environ["SLURM_JOB_ID"]
        for mark, value in (("%A_%a", number), ("%j", number), ("%t", "0")):
            path = path.replace(mark, value)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        streams[flag] = open(path, "a")
own = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "1"}
sys.exit(subprocess.run(
    words, env={**os.environ, **own},
    stdout=streams.get("--output"), stderr=streams.get("--error"),
).returncode)
"""

_SACCT = """
import os
from pathlib import Path

print("JobID|State|NodeList")
for path in sorted(Path(os.environ["FAKE_SLURM"]).glob("*.state")):
    print(f"{path.stem}|{path.read_text()}|here")
"""

_SCONTROL = """
import os, sys
from pathlib import Path

here = Path(os.environ["FAKE_SLURM"])
if sys.argv[1] == "requeue":
    (here / f"{sys.argv[2]}.again").write_text("")
    with (here / "requeued").open("a") as file:
        print(sys.argv[2], file=file)
else:
    name = sys.argv[3]
    path = here / f"{name}.state"
    if not path.exists():
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    print(f"JobId={name} JobName=train JobState={path.read_text()} Reason=None")
"""


def install(folder: Path) -> dict[str, str]:
    """Write the commands below a folder; the environment that finds them."""
    bin_folder, state = folder / "bin", folder / "state"
    bin_folder.mkdir(parents=True)
    state.mkdir()
    texts = {"sbatch": _SBATCH, "srun": _SRUN, "sacct": _SACCT, "scontrol": _SCONTROL}
    for name, text in texts.items():
        path = bin_folder / name
        path.write_text(f"#!{sys.executable}\n{text.lstrip()}")
        path.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "FAKE_SLURM": str(state)}
