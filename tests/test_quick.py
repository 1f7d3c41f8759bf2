"""`make quick` runs what changed files concern, the closest first, and ends in time."""

import subprocess
import time
from types import SimpleNamespace

import pytest

from tests import quick


def test_tests_of_planted_bugs_come_before_those_that_import():
    found = quick.concerned(["agents/experience/returns.py"])
    bug = next(i for i, name in enumerate(found) if "::" in name)
    importer = found.index("tests/agents/experience/test_returns.py")
    assert bug < importer and "tests/agents/algorithms/test_windows.py" not in found
    assert len(found) == len(set(found))
    assert not any(name.startswith("tests/agents/experience/test_returns.py::")
                   for name in found)  # the whole file runs anyway  # fmt: skip


@pytest.mark.parametrize(
    ("file", "test"),
    [
        ("tests/test_shapes.py", "tests/test_shapes.py"),
        ("tests/agents/running/tiny.py", "tests/agents/running/test_sweep.py"),
        ("agents/running/jobs/requeue.py", "tests/agents/launching/test_requeue.py"),
        ("agents/evaluate/__init__.py", "tests/agents/test_evaluate.py"),
        ("envs/vector.py", "tests/envs/test_vector.py"),
        ("docs/runs.md", "tests/test_readme.py"),
        ("configs/memory/gru.yaml", "tests/agents/running/test_config.py"),
        ("tests/mutants/host.toml", "tests/test_mutants.py"),
    ],
)
def test_what_concerns_a_file(file, test):
    assert any(name.partition("::")[0] == test for name in quick.concerned([file]))


def test_what_has_changed(tmp_path):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    for name in ("same.py", "edited.py", "deleted.py"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "first")
    (tmp_path / "edited.py").write_text("2")
    (tmp_path / "deleted.py").unlink()
    (tmp_path / "new.py").write_text("3")
    assert quick.changed("HEAD", tmp_path) == ["edited.py", "new.py"]
    with pytest.raises(SystemExit, match="no-such-commit"):
        quick.changed("no-such-commit", tmp_path)


def test_nothing_begins_after_the_time():
    item = SimpleNamespace()
    budget = quick.Budget(60.0)
    assert budget.pytest_runtest_protocol(item, None) is None
    budget.ends = time.monotonic()
    assert [budget.pytest_runtest_protocol(item, None) for _ in range(3)] == [True] * 3
    assert budget.left_out == 3


def test_the_rest_is_counted(monkeypatch, capsys):
    monkeypatch.setattr(quick, "changed", lambda since: ["tests/test_shapes.py"])
    assert quick.main(["--list"]) == 0
    assert "tests/test_shapes.py" in capsys.readouterr().out

    def run(words, plugins):
        plugins[0].left_out = 5
        return 1

    monkeypatch.setattr(quick.pytest, "main", run)
    assert quick.main([]) == 1
    assert "5 tests are left out" in capsys.readouterr().out
