"""The matrix of versions: which pins a row keeps, and what its table says."""

import sys
from pathlib import Path

import pytest

from tests import versions
from tests.versions import MATRIX, ROOT, Row, constraints

PINS = "absl-py==2.0\njax==0.10.2\njaxlib==0.10.2\norbax_checkpoint==0.11.36\n"


def test_a_row_keeps_the_pins_of_what_it_does_not_free():
    row = Row("3.12", ("jax",))
    assert constraints(PINS, row) == "absl-py==2.0\n"
    assert constraints(PINS, Row("3.12", ())) == PINS


def test_what_is_asked_for_is_not_pinned_otherwise():
    text = (ROOT / "constraints.txt").read_text()
    for row in MATRIX:
        left = constraints(text, row)
        for package in row.packages:
            assert f"\n{package.partition('==')[0]}==" not in left
        assert len(left.splitlines()) > 50


def test_every_python_that_the_project_names_is_there():
    assert {row.python for row in MATRIX} == {"3.11", "3.12", "3.13"}


def test_the_versions_are_read():
    found = versions.versions(Path(sys.executable))
    assert found["python"] == sys.version.split()[0]
    assert set(found) == {"python", *versions.TOLD}
    import jax

    assert found["jax"] == jax.__version__


def test_a_python_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SystemExit, match=r"there is no python2\.0 that runs"):
        versions.install(Row("2.0", ()), tmp_path)


def test_a_python_that_does_not_run_is_told(tmp_path, monkeypatch):
    """As a shim of a version manager does, where that version is not chosen."""
    shim = tmp_path / "python2.0"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"there is no python2\.0 that runs"):
        versions.install(Row("2.0", ()), tmp_path / "row")
