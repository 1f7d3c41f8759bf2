"""The strict profile: every test runs under it.

Four forced CPU devices, strict dtype promotion, no silent rank promotion, warnings as
errors (pyproject.toml), and every annotated shape checked at run time.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

# Nearly all of the suite's time goes into compiling programs that run once. Not to
# optimise them saves four tenths of that, the older way of emitting loops half of the
# rest, and to compile each of them in one piece, not in parts side by side, a sixth of
# what is left; the latter two where this XLA knows them. Choose a level in XLA_FLAGS to
# test at that.
_LEVEL = "--xla_backend_optimization_level"
_FASTER = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)


def _known(*flags):
    """Whether XLA starts with flags: it ends the process at one it does not know."""
    trial = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
    )
    return trial.returncode == 0


_flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
if _LEVEL not in _flags[0]:  # nor in a process that this one has started
    _flags.append(f"{_LEVEL}=0")
    _flags += _FASTER if _known(*_FASTER) else filter(_known, _FASTER)
os.environ["XLA_FLAGS"] = " ".join(_flags).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nothing is kept in the home directory, and every program is compiled as it is now,
# unless a folder is named: by `make test` and `make quick`, where what did not change
# is compiled once, and by planted bugs for what they leave as it was.
if "ENGRAM_TESTS_CACHE" in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["ENGRAM_TESTS_CACHE"]
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
else:
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import jaxtyping
import pytest

from tests import grid, shapes

# Tracing makes many small objects that live long: to look through them often is a tenth
# of the suite.
gc.set_threshold(200_000, 50, 100)

_CHECKER = f"{shapes.__name__}.{shapes.checked.__name__}"
jaxtyping.install_import_hook(["agents", "envs", "memory_models"], _CHECKER)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_sessionstart():
    """Keep the folder of programs from growing for ever."""
    programs = os.environ.get("ENGRAM_TESTS_CACHE")
    if programs is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        from agents.running.compilation_cache import MAXIMUM_BYTES, remove_oldest

        folder = Path(programs)
        folder.mkdir(parents=True, exist_ok=True)
        remove_oldest(folder, MAXIMUM_BYTES)


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_are_dropped():
    """After each file: a process may map only so many of them into its memory."""
    yield
    jax.clear_caches()


@pytest.fixture
def x64():
    """Run a test in double precision."""
    with jax.enable_x64(True):
        yield


def as_x64(tree):
    """Every floating array of a pytree in float64 (call under the `x64` fixture)."""
    import jax.numpy as jnp

    def widen(leaf):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(leaf, jnp.float64)
        return leaf

    return jax.tree.map(widen, tree)


def pytest_collection_modifyitems(items):
    """When only the table of agents is asked for: what the marks promise."""
    if grid.COLLECT in os.environ:
        for item in items:
            grid.keep(item, passed=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" or report.failed:
        grid.keep(item, report.passed)
    return report


def pytest_terminal_summary(terminalreporter):
    """On CI everything that tests compare against is installed: nothing may skip."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"{len(skipped)} skipped on CI, where none may be")
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
