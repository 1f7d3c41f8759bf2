"""The table of speeds takes families by the beginning of their ids."""

import pytest

from benchmarks import environment_speed


@pytest.mark.parametrize(
    "table, known",
    [("--popgym", "Labyrinth"), ("--others", "Numpad"), ("--pixels", "Labyrinth")],
)
def test_families_that_are_not_there_are_refused(table, known, monkeypatch, capsys):
    words = ["environment_speed", table, "--families", f"{known},Nonsense"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        environment_speed.main()
    assert "begins with 'Nonsense'" in capsys.readouterr().err


def test_only_the_families_asked_for_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(environment_speed, "compiled", lambda *_, **__: lambda: 2.0)
    monkeypatch.setattr(environment_speed, "popgym_process", lambda _: lambda: 0.1)
    words = ["environment_speed", "--popgym", "--families"]
    monkeypatch.setattr("sys.argv", [*words, "LabyrinthEscape,BattleshipEasy"])
    environment_speed.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| BattleshipEasy-v0 | 2 | 100 | 20 |"
    assert [line.split("-v0")[0] for line in lines[3:]] == [
        f"| LabyrinthEscape{level}" for level in ("Easy", "Medium", "Hard")
    ]


def test_the_ends_of_each_class_stand_for_it_among_the_others():
    ids = environment_speed.others()
    assert {"MemoryCardsEasy-v0", "MemoryCardsHard-v0", "TMaze-v0"} <= set(ids)
    assert not {"MemoryLength1-v0", "AutoencodeEasy-v0", "Ballet-v0"} & set(ids)
    assert not any("Pixels" in id or id.startswith("Probe") for id in ids)


def test_pictures_of_the_families_asked_for_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(environment_speed, "arcade", lambda: lambda: 0.5)
    monkeypatch.setattr(
        environment_speed,
        "pictures",
        lambda env, *_: lambda: 6.0 if env.partial_obs else 5.0,
    )
    words = ["environment_speed", "--pixels", "--families", "CountRecallEasy,TMaze"]
    monkeypatch.setattr("sys.argv", words)
    environment_speed.main()
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"| {task} | {size} | {streams} | 6 | 5 | 0.5 | 12 | 10 |"
        for task, size, streams in (
            ("CountRecallEasy", 128, 64),
            ("CountRecallEasy", 128, 1024),
            ("CountRecallEasy", 64, 64),
            ("CountRecallEasy", 64, 1024),
            ("TMazeActive", 128, 64),
            ("TMaze", 128, 64),
        )
    ]
