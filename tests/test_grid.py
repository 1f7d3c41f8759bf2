"""The table of what works with which agent is what the tests are marked with."""

import json
import pathlib
import types

import pytest

import agents
from tests import grid


def test_the_page_has_what_the_tests_are_marked_with():
    """`python -m tests.grid` makes it again, from what passes."""
    assert grid.on_page() == grid.table(grid.marked())
    ours = {name for name in agents.names() if not name.startswith("sb3_")}
    assert set(grid.AGENTS) == ours  # what the others do is in docs/sb3.md


def item(name="test", params=None, **marks):
    """A collected test, as far as the table asks."""
    made = [types.SimpleNamespace(args=x, kwargs=marks) for x in params or []]
    return types.SimpleNamespace(nodeid=name, iter_markers=lambda _: made)


def test_a_mark_names_its_agents_or_the_parameter_does():
    named = item(params=[("masks", "ppo", "sac")])
    assert list(grid.shown_by(named)) == [
        ("masks", "ppo", "yes"),
        ("masks", "sac", "yes"),
    ]
    by_parameter = item(params=[("masks",)], answer="refused")
    by_parameter.callspec = types.SimpleNamespace(params={"memory": "x", "name": "dqn"})
    assert list(grid.shown_by(by_parameter)) == [("masks", "dqn", "refused")]


@pytest.mark.parametrize("words", [("maskes", "ppo"), ("masks", "pp"), ("masks",)])
def test_what_the_table_has_not_is_refused(words):
    with pytest.raises(ValueError, match="not among the features and agents"):
        list(grid.shown_by(item(params=[words])))


def test_one_failure_is_shown_whatever_passed(tmp_path, monkeypatch):
    monkeypatch.setenv(grid.OUTCOMES, str(tmp_path / "outcomes"))
    runs = [
        (("masks", "ppo"), "yes", True),
        (("masks", "dqn"), "yes", True),
        (("masks", "dqn"), "yes", False),
        (("Box actions", "dqn"), "refused", True),
    ]
    for number, (marks, answer, passed) in enumerate(runs):
        grid.keep(item(str(number), [marks], answer=answer), passed)
    lines = (tmp_path / "outcomes").read_text().splitlines()
    assert json.loads(lines[2]) == ["2", "masks", "dqn", "fails"]
    text = grid.table(grid.gathered(lines))
    assert "| masks | yes | fails |  |  |" in text
    assert "| Box actions |  | refused |  |  |" in text
    # It alone is run again, and passes.
    grid.keep(item("2", [("masks", "dqn")]), True)
    lines = (tmp_path / "outcomes").read_text().splitlines()
    assert "| masks | yes | yes |  |  |" in grid.table(grid.gathered(lines))


def test_a_part_alone_changes_no_page(tmp_path, monkeypatch, capsys):
    page = tmp_path / "agents.md"
    page.write_text(f"before\n{grid.BEGIN}\n{grid.END}\nafter\n")
    monkeypatch.setattr(grid, "PAGE", page)

    def ran(words, environment):
        path = pathlib.Path(environment[grid.OUTCOMES])
        with path.open("a") as file:
            file.write(json.dumps([words[-1], "masks", "ppo", "yes"]) + "\n")
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(grid, "_pytest", ran)
    monkeypatch.setattr("sys.argv", ["grid", "tests/test_x.py"])
    assert grid.main() == 0
    assert "stays as it is" in capsys.readouterr().out
    assert "masks" not in page.read_text()
    monkeypatch.setattr(
        "sys.argv", ["grid", "--kept", str(tmp_path / "kept"), "tests/test_x.py"]
    )
    assert grid.main() == 0
    assert "| masks | yes |  |  |  |" in page.read_text()
    assert page.read_text().endswith(f"{grid.END}\nafter\n")
