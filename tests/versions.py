"""The default tests on other versions: `make versions`, or `python -m tests.versions`.

Each row of the matrix gets a virtual environment of its own, with the pins of
`constraints.txt` but for what the row says; its tests are run there, and a line of
docs/tests.md is printed. Needs the interpreters (python3.11 to python3.13) on the PATH.
A row is named by its number: `python -m tests.versions 0 2 --tests tests/envs`.
"""

import argparse
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FREE = (
    *("jax", "jaxlib", "ml_dtypes", "equinox", "optax", "jaxtyping", "chex", "flax"),
    *("orbax-checkpoint", "orbax-export", "numpy", "scipy", "gymnasium"),
    *("opt_einsum", "treescope", "dm_pix", "jax2onnx", "wadler_lindig", "beartype"),
)
"""Packages whose pins a row leaves out, for others to fit."""

TOOLS = ("pytest", "pytest-xdist", "hypothesis", "beartype")

TOLD = ("jax", "gymnasium", "numpy", "equinox", "optax", "orbax-checkpoint")


@dataclasses.dataclass(frozen=True)
class Row:
    """Versions to test together.

    Attributes:
        python: such as 3.12.
        packages: what pip is asked for beside the project.
    """

    python: str
    packages: tuple[str, ...]


MATRIX = (
    Row("3.11", ("jax==0.8.0", "jaxlib==0.8.0", "gymnasium==1.1.0")),
    Row("3.11", ("jax", "gymnasium")),
    Row("3.12", ("jax", "gymnasium")),
    Row("3.13", ("jax", "gymnasium")),
)
"""Oldest and newest JAX and Gymnasium, and every Python."""


def constraints(text: str, row: Row) -> str:
    """The pins that a row keeps: all of them where it asks for nothing else."""
    if not row.packages:
        return text
    free = {_plain(name) for name in FREE}
    kept = [x for x in text.splitlines() if _plain(x.partition("==")[0]) not in free]
    return "\n".join([*kept, ""])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


EXTRAS = "torch,sb3,popgym,mujoco,video,sweeps,search"
"""Of the project; those that export and track hold other packages back."""


def install(row: Row, folder: Path, extras: str = EXTRAS) -> Path:
    """Make the environment of a row; its interpreter.

    Raises:
        SystemExit: there is no such Python, or pip finds no versions that fit.
    """
    interpreter = shutil.which(f"python{row.python}")
    works = (
        interpreter and not subprocess.run([interpreter, "-V"], check=False).returncode
    )
    if not works:
        raise SystemExit(
            f"error: there is no python{row.python} that runs on the PATH."
        )
    pins = folder / "constraints.txt"
    python = folder / "venv" / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    pins.write_text(constraints((ROOT / "constraints.txt").read_text(), row))
    if not python.is_file():
        subprocess.run([str(interpreter), "-m", "venv", folder / "venv"], check=True)
    project = f"{ROOT}[{extras}]" if extras else str(ROOT)
    command = [python, "-m", "pip", "install", "-q", "-c", pins, "-e", project]
    done = subprocess.run([*command, *TOOLS, *row.packages], check=False)
    if done.returncode:
        raise SystemExit(f"error: pip cannot install {row}.")
    return python


def versions(python: Path) -> dict[str, str]:
    """Python's version and those of the packages that matter."""
    command = [python, "-m", "pip", "list", "--format", "json"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    packages = {_plain(x["name"]): x["version"] for x in json.loads(found)}
    own = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    return {"python": own.stdout.split()[1], **{x: packages[x] for x in TOLD}}


def test(row: Row, folder: Path, extras: str, words: Sequence[str]) -> str:
    """Run the tests of a row; a line for the table."""
    python, began = install(row, folder, extras), time.monotonic()
    ran = subprocess.Popen(
        [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ran.stdout is not None
    lines = []
    for line in ran.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    ran.wait()
    found = versions(python)
    minutes = (time.monotonic() - began) / 60
    came = re.sub(r" in [\d.]+s.*", "", lines[-1].strip("= \n"))
    cells = [found["python"], *(found[name] for name in TOLD), came, f"{minutes:.0f}"]
    return f"| {' | '.join(cells)} | {time.strftime('%Y-%m-%d')} |"


def main() -> int:
    """Run the rows that are named, or all; 1 if a test of any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=range(len(MATRIX)))
    parser.add_argument("--extras", default=EXTRAS, help="of the project")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "versions")
    parser.add_argument(
        "--tests", nargs=argparse.REMAINDER, default=(), help="words for pytest"
    )
    options = parser.parse_args()
    table = []
    for number in options.rows:
        row = MATRIX[number]
        folder = options.folder / str(number)
        table.append(test(row, folder, options.extras, options.tests))
    print(f"| Python | {' | '.join(TOLD)} | tests | minutes | date |")
    print("|" + "---|" * (len(TOLD) + 4))
    print("\n".join(table))
    return int(any("failed" in line or "error" in line for line in table))


if __name__ == "__main__":
    sys.exit(main())
