"""A disk that is full at any moment: one sentence, and what was saved is whole."""

import contextlib
import resource
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

import agents
from agents.running.files.stored import Stored
from tests.agents.running import tiny


@contextlib.contextmanager
def small_disk(path, kilobytes):
    """A disk of some kilobytes; where none can be mounted, files that stay small."""
    path.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    if subprocess.run(["mount", *options], capture_output=True).returncode == 0:
        try:
            yield path
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 8, limits[1]))
    try:
        yield path
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory):
    with tiny.programs_kept(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with all the room it wants."""
    return tiny.start(f"run_directory={tmp_path_factory.mktemp('runs')}")[0]


def same(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "kilobytes",
    [
        *(4, 12, 200),
        *(pytest.param(size, marks=pytest.mark.slow) for size in range(8, 300, 8)),
    ],
)
def test_at_any_moment(kilobytes, whole, tmp_path, capfd):
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        try:
            result, _ = tiny.start(f"run_directory={disk}")
        except (agents.RunError, agents.ConfigError) as error:
            caught = error
        else:  # there was room for everything
            assert kilobytes > 200 and same(result.params, whole.params)
            return
        left = list(disk.glob("*/*/[0-9]*"))
        found = [path.parent for path in disk.glob("*/*/*/config.yaml")]
        copies = [shutil.copytree(path, tmp_path / "copy") for path in found]
    text, printed = str(caught), capfd.readouterr()
    assert "\n" not in text and len(text) < 400
    assert "No space left on device" in text or "File too large" in text
    assert "Traceback" not in printed.err + printed.out
    assert bool(found) == bool(left) != ("nothing was begun" in text)
    for copy in map(Path, copies):
        latest = Stored(copy).latest()
        assert ("there is no checkpoint yet" in text) == (latest is None), text
        if latest is not None:
            assert f"the checkpoint of step {32 * latest} is whole" in text
        assert same(tiny.resume(copy)[0].params, whole.params)


def test_two_megabytes_and_checkpoints_of_many_arrays(tmp_path, capfd):
    """Several files are written at once, and all of their writers fail."""
    words = ["memory=gru", "memory.output_size=100", "agent.encoder_size=64"]
    with small_disk(tmp_path / "disk", 2000) as disk:
        with pytest.raises(agents.RunError) as error:
            tiny.start(*words, "checkpoint.keep=9", f"run_directory={disk}")
        (directory,) = disk.glob("*/*/[0-9]*")
        assert Stored(directory).latest() is not None
    printed = capfd.readouterr()
    assert "could not be saved: " in str(error.value)
    assert "\n" not in str(error.value) and "Traceback" not in printed.err


def test_when_going_on(whole, tmp_path):
    """Nothing of a run that is whole is touched before there is room."""
    with small_disk(tmp_path / "disk", 900) as disk:
        directory = Path(shutil.copytree(whole.directory, disk / "run"))
        with contextlib.suppress(OSError), (disk / "fill").open("wb") as file:
            while True:
                file.write(bytes(512))
                file.flush()
        config = (directory / "config.yaml").read_text()
        with pytest.raises(agents.RunError) as error:
            tiny.resume(directory, "total_steps=512")
        assert "the checkpoint of step 256 is whole" in str(error.value)
        assert (directory / "config.yaml").read_text() == config
        assert Stored(directory).latest() == 8
        (disk / "fill").unlink()
        assert tiny.resume(directory, "total_steps=512")[0].seed_steps == [512]
