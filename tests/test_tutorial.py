"""The tutorial runs from its first cell to its last, and comes to what it says."""

import json
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def run(monkeypatch, shorter=None):
    """Run all cells, with some words in place of others, and return their names."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    cells = json.loads(PAGE.read_text())["cells"]
    code = ["".join(x["source"]) for x in cells if x["cell_type"] == "code"]
    assert len(code) == 6 and not any(x.get("outputs") for x in cells)
    names: dict = {"__name__": "tutorial"}
    for old in shorter or {}:
        assert any(old in cell for cell in code), old
    for index, cell in enumerate(code):
        for old, new in (shorter or {}).items():
            cell = cell.replace(old, new)
        exec(compile(cell, f"cell {index + 1}", "exec"), names)
    assert names["page"].is_file()
    return names


@pytest.mark.slow
def test_the_tutorial_runs(capsys, monkeypatch):
    page = run(monkeypatch)["page"]
    text = capsys.readouterr().out
    assert "memory used\nreturn 1.00 of 1.0" in text
    assert "none  0.3" in text and "memory not shown" in text
    assert "gru   1.00  memory used" in text and "ffm   1.00  memory used" in text
    assert "ffm-ppo" in page.read_text()


def test_every_cell_runs(capsys, monkeypatch):
    """One update each, and one of the three memories."""
    shorter = {
        "total_steps=6e4": "total_steps=2048",
        '("none", "gru", "ffm")': "['none']",
    }
    page = run(monkeypatch, shorter)["page"]
    text = capsys.readouterr().out
    assert " of 1.0\n" in text and "none " in text
    assert "none-ppo" in page.read_text()
