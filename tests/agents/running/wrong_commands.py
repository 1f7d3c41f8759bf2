"""Runs command lines, each in a process of its own, forked from one that has imported.

Importing is most of what a wrong command line costs. Reads a list of [program, words]
as JSON, program being the path of a script or the name of a module, and writes [exit
status, standard error, what was left in the folder] of each.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

import agents.video  # noqa: F401  (JAX has not looked for devices yet)


def play(program, words):
    """As the interpreter would; does not return."""
    sys.argv = [program, *words]
    status = 0
    try:
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            sys.modules.pop(program, None)
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else bool(stopped.code)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status or 0))


def answer(program, words):
    with tempfile.TemporaryDirectory() as folder:
        home, errors = Path(folder) / "home", Path(folder) / "errors"
        home.mkdir()
        child = os.fork()
        if child == 0:
            os.chdir(home)
            written = os.open(errors, os.O_WRONLY | os.O_CREAT)
            os.dup2(written, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            play(program, words)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, errors.read_text(), sorted(os.listdir(home))


if __name__ == "__main__":
    lines = json.load(sys.stdin)
    json.dump([answer(program, words) for program, words in lines], sys.stdout)
