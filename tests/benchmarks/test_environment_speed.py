"""The table of speeds takes families by the beginning of their ids."""

import pytest

from benchmarks import environment_speed


def test_families_that_are_not_there_are_refused(monkeypatch, capsys):
    words = ["environment_speed", "--popgym", "--families", "Labyrinth,Nonsense"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        environment_speed.main()
    assert "begins with 'Nonsense'" in capsys.readouterr().err


def test_only_the_families_asked_for_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(environment_speed, "compiled", lambda *_, **__: lambda: 2.0)
    monkeypatch.setattr(environment_speed, "popgym_process", lambda _: lambda: 0.1)
    environment_speed.popgym_table(["LabyrinthEscape", "BattleshipEasy"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| BattleshipEasy-v0 | 2 | 100 | 20 |"
    assert [line.split("-v0")[0] for line in lines[3:]] == [
        f"| LabyrinthEscape{level}" for level in ("Easy", "Medium", "Hard")
    ]
