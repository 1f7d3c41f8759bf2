"""Compiled programs kept on disk: where, how many, and that nothing else changes."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache as of_jax
from orbax.checkpoint import StandardCheckpointer

from agents.running import compilation_cache
from agents.running.compilation_cache import remove_oldest, use_compilation_cache


@pytest.fixture
def enabled(monkeypatch):
    """JAX's cache switched on for a test, and everything as before after it."""
    names = (
        "jax_enable_compilation_cache",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
    )
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", None)  # `make test` names one
    of_jax.reset_cache()
    monkeypatch.setattr(compilation_cache, "MINIMUM_SECONDS", 0.0)
    monkeypatch.setattr(compilation_cache, "_ours", {})
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    of_jax.reset_cache()


def programs(directory):
    return {path.name: path.stat().st_mtime_ns for path in directory.rglob("*-cache")}


def test_a_program_is_kept_and_found_again(enabled, tmp_path):
    assert use_compilation_cache(str(tmp_path)) is None
    function = jax.jit(lambda x: jnp.sin(x) @ x.T)
    x = jnp.linspace(0, 1, 12).reshape(3, 4)
    first, kept = np.asarray(function(x)), programs(tmp_path)
    assert kept
    jax.clear_caches()
    np.testing.assert_array_equal(function(x), first)
    assert programs(tmp_path) == kept

    # Another directory takes the place of ours.
    assert use_compilation_cache(str(tmp_path / "other")) is None
    assert jax.config.jax_compilation_cache_dir.startswith(str(tmp_path / "other"))


def test_auto_is_the_users_cache_directory(enabled, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert use_compilation_cache("auto") is None
    directory = Path(jax.config.jax_compilation_cache_dir)
    assert directory.parent == tmp_path / "engram" and directory.is_dir()
    assert directory.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".cache" / "engram"
    assert compilation_cache.user_directory() == expected


def test_what_was_chosen_in_jax_is_left_alone(enabled, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert use_compilation_cache(str(tmp_path / "ours")) is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "theirs")
    jax.config.update("jax_compilation_cache_dir", None)
    assert use_compilation_cache(None) is None
    jax.config.update("jax_enable_compilation_cache", False)
    assert use_compilation_cache(str(tmp_path / "ours")) is None
    assert jax.config.jax_compilation_cache_dir is None
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_costs_one_sentence(enabled, tmp_path):
    (tmp_path / "file").touch()
    told = use_compilation_cache(str(tmp_path / "file"))
    assert told is not None and "\n" not in told
    assert re.match(r"compiled programs are not kept: .*file cannot be written", told)
    assert jax.config.jax_compilation_cache_dir is None


def test_a_program_that_cannot_be_kept_is_one_sentence(enabled, tmp_path, capsys):
    """A disk that fills while programs are written: JAX warns of every one."""
    assert use_compilation_cache(str(tmp_path)) is None
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: shown.append(str(message))
        assert use_compilation_cache(str(tmp_path)) is None
        for name in ("first", "second"):
            warnings.warn(
                f"Error writing persistent compilation cache entry for '{name}': "
                "OSError: [Errno 28] No space left on device",
                stacklevel=1,
            )
        warnings.warn("something else", stacklevel=1)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Errno 28" in told and str(tmp_path) in told
    assert shown == ["something else"]


def test_the_least_recently_used_go_first(tmp_path):
    for number in range(4):
        path = tmp_path / f"{number}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - number, 1000 - number))
    os.utime(tmp_path / "3-cache", (2000, 997))  # read since
    remove_oldest(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-cache", "3-cache"]


@pytest.mark.slow
def test_the_second_start_compiles_nothing_and_trains_the_same(tmp_path):
    """Two processes: every program of the second one was kept by the first."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_LOG_COMPILES": "1",
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    found, params = [], []
    for attempt in ("first", "second"):
        words = ["experiment=smoke", "memory=gru", "total_steps=2000"]
        words.append(f"run_directory={tmp_path / attempt}")
        process = subprocess.run(
            [sys.executable, "train.py", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        # The large programs alone: Orbax and JAX compile small ones that are not kept.
        found.append(len(re.findall(r"cache hit for 'jit_single'", process.stderr)))
        (item,) = (tmp_path / attempt).glob("*/*/*/checkpoints/*/state*")
        params.append(StandardCheckpointer().restore(item))
    assert found == [0, 4]
    for one, other in zip(*map(jax.tree.leaves, params), strict=True):
        np.testing.assert_array_equal(one, other)
