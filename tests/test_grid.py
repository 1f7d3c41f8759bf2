"""The table of what works with which agent is what the tests are marked with."""

import json
import types

import pytest

import agents
from tests import grid


def test_the_page_has_what_the_tests_are_marked_with():
    """`python -m tests.grid` makes it again, from what passes."""
    assert grid.on_page() == grid.table(grid.marked())
    assert set(grid.AGENTS) == set(agents.names())


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
