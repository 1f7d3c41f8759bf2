"""The tutorial runs from its first cell to its last, and comes to what it says."""

import json
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def test_the_tutorial_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    cells = json.loads(PAGE.read_text())["cells"]
    code = ["".join(x["source"]) for x in cells if x["cell_type"] == "code"]
    assert len(code) == 6 and not any(x.get("outputs") for x in cells)
    names: dict = {"__name__": "tutorial"}
    for index, cell in enumerate(code):
        exec(compile(cell, f"cell {index + 1}", "exec"), names)
    text = capsys.readouterr().out
    assert "memory used\nreturn 1.00 of 1.0" in text
    assert "none  0.3" in text and "memory not shown" in text
    assert "gru   1.00  memory used" in text and "ffm   1.00  memory used" in text
    assert names["page"].is_file() and "ffm-ppo" in names["page"].read_text()
