"""The strict profile: every test runs under it.

Four forced CPU devices, strict dtype promotion, no silent rank promotion, warnings as
errors (pyproject.toml), and every annotated shape checked at run time.
"""

import atexit
import os
import tempfile

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the controller's
    _cache = tempfile.TemporaryDirectory(prefix="engram-tests-")
    atexit.register(_cache.cleanup)
    os.environ["XDG_CACHE_HOME"] = _cache.name

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook(["agents", "envs", "memory_models"], "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


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
