"""The strict profile: every test runs under it.

Four forced CPU devices, strict dtype promotion, no silent rank promotion, warnings as
errors (pyproject.toml), and every annotated shape checked at run time.
"""

import gc
import importlib.util
import mmap
import os
import pathlib

# Nearly all of the suite's time goes into compiling programs that run once. Not to
# optimise them saves four tenths of that, and the older way of emitting loops half of
# the rest. Set XLA_FLAGS to test at another level, or with the emitters of today.
_QUICK = {
    "xla_backend_optimization_level": "0",
    "xla_cpu_use_fusion_emitters": "false",
}


def _known(flag):
    """Whether this XLA has a flag; it ends the process at one that it does not know."""
    (folder,) = importlib.util.find_spec("jaxlib").submodule_search_locations
    for library in pathlib.Path(folder).glob("*.so"):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code,
        ):
            if code.find(flag.encode()) >= 0:
                return True
    return False


_flags = ["--xla_force_host_platform_device_count=4"]
for _name, _value in _QUICK.items():
    if _name not in os.environ.get("XLA_FLAGS", "") and _known(_name):
        _flags.append(f"--{_name}={_value}")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_flags]).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nothing is kept in the home directory, and every program is compiled as it is now.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import jaxtyping
import pytest

# Tracing makes many small objects that live long: to look through them often is a tenth
# of the suite.
gc.set_threshold(200_000, 50, 100)

jaxtyping.install_import_hook(["agents", "envs", "memory_models"], "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


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


def pytest_terminal_summary(terminalreporter):
    """On CI everything that tests compare against is installed: nothing may skip."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"{len(skipped)} skipped on CI, where none may be")
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
