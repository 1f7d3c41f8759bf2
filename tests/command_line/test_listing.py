"""Listings: one line per entry, filters that keep what they say, mistakes told."""

import subprocess
import sys

import pytest

import agents
import envs
import memory_models
from agents.__main__ import LISTING as AGENTS
from agents.__main__ import Entry
from command_line import listing
from command_line.listing import Column, Filter, Listing
from envs.__main__ import LISTING as TASKS
from envs.__main__ import Task
from memory_models.__main__ import LISTING as MEMORIES


def listed(of, capsys, *words):
    """The first word of every line below the head, and the lines."""
    of.show(words)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith(("env=", "memory=", "agent=", "id"))
    return [line.split()[0] for line in lines], lines


def test_one_line_per_entry(capsys):
    assert listed(MEMORIES, capsys)[0] == memory_models.names()
    assert listed(AGENTS, capsys)[0] == agents.names()
    names, lines = listed(TASKS, capsys)
    assert names == [envs.config_name(id) for id in envs.names()]
    said = next(line for line in lines if line.startswith("tmaze_places "))
    assert said.split()[:5] == ["tmaze_places", "object", "vector", "Discrete(4)", "20"]


@pytest.mark.parametrize(
    "words, inside, outside",
    [
        (["--family", "mazes"], "tmaze", "minigrid_memory"),
        (["--name", "TMaze"], "bakker_tmaze", "nback"),
        (["--kind", "object", "--family", "grids"], "minigrid_memory", "tmaze"),
        (["--pixels", "--name", "autoencode"], "autoencode_easy_pixels", "autoencode"),
        (["--vector", "--name", "ballet"], "ballet_symbolic", "ballet"),
        (["--continuous", "--name", "only"], "position_only_pendulum_easy", "tmaze"),
        (["--discrete", "--name", "battle"], "battleship_easy", "tmaze"),
        (["--masks"], "probe_action_mask", "tmaze"),
        (["--ids", "--name", "tmaze"], "TMaze-v0", "tmaze"),
    ],
)
def test_filters_of_tasks(words, inside, outside, capsys):
    names = listed(TASKS, capsys, *words)[0]
    assert inside in names and outside not in names


def test_continuous_and_discrete_are_all_and_apart(capsys):
    family = ("--family", "popgym")
    numbers = listed(TASKS, capsys, *family, "--continuous")[0]
    choices = listed(TASKS, capsys, *family, "--discrete")[0]
    assert sorted(numbers + choices) == listed(TASKS, capsys, *family)[0]


def test_filters_of_memories(capsys):
    finite = listed(MEMORIES, capsys, "--context", "finite")[0]
    unlimited = listed(MEMORIES, capsys, "--context", "all")[0]
    assert sorted(finite + unlimited) == memory_models.names()
    assert "frame_stack" in finite and "gru" in unlimited
    scans = listed(MEMORIES, capsys, "--mechanism", "cell_scan", "--name", "r")[0]
    assert "gru" in scans and "ffm" not in scans and "lstm" not in scans
    assert listed(MEMORIES, capsys, "--family", "controls")[0] == [
        *("frame_stack", "none", "position")
    ]


def test_filters_of_agents(capsys):
    def found(*words):
        return set(listed(AGENTS, capsys, *words)[0])

    replays = {"dqn", "sac", "sb3_dqn"}
    assert found("--learns-from", "replay") == replays
    assert found("--learns-from", "rollouts") == set(agents.names()) - replays
    listed_only = {"dqn", "pqn", "sb3_dqn"}
    assert found("--actions", "continuous") == set(agents.names()) - listed_only
    assert found("--actions", "multi-discrete") == set(agents.names()) - {"sb3_dqn"}
    assert found("--actions", "discrete") == set(agents.names())


def test_of_what_is_left_out_no_card_is_computed(monkeypatch):
    def computed(task):
        raise AssertionError(f"the card of {task.id} is not needed")

    monkeypatch.setattr(Task, "card", property(computed))
    TASKS.show(["--name", "no such task", "--kind", "object"])
    with pytest.raises(AssertionError, match="TMaze-v0"):
        TASKS.show(["--name", "tmaze-v0", "--kind", "object"])


@pytest.mark.parametrize(
    "of, words, told",
    [
        (TASKS, ["--kind", "objct"], "Did you mean 'object'?"),
        (TASKS, ["--knd", "object"], "--knd is no flag here. Did you mean '--kind'?"),
        (TASKS, ["tmaze"], "'tmaze' is not expected here"),
        (TASKS, ["--family"], "expected one argument; see python -m envs --help."),
        (MEMORIES, ["--context", "inf"], "must be one of finite, all."),
        (AGENTS, ["--actions", "box"], "must be one of discrete, multi-discrete"),
    ],
)
def test_mistakes_are_one_sentence(of, words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        of.show(words)
    printed = capsys.readouterr()
    assert ended.value.code == 2 and told in printed.err and not printed.out
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1


def test_nothing_that_fits_is_said(capsys):
    TASKS.show(["--masks", "--family", "mazes"])
    assert capsys.readouterr().out == "no task fits --family mazes --masks.\n"


def test_help_has_an_example_and_the_values(capsys):
    with pytest.raises(SystemExit) as ended:
        TASKS.show(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and "python -m envs --kind" in told
    assert "sequential" in told and "three_phases" in told


def test_lines_end_where_the_terminal_does(monkeypatch, capsys):
    monkeypatch.setattr(listing, "_width", lambda: 80)
    MEMORIES.show([])
    cut = capsys.readouterr().out.splitlines()
    monkeypatch.undo()
    MEMORIES.show([])
    whole = capsys.readouterr().out.splitlines()
    assert max(map(len, cut)) <= 80 < max(map(len, whole))
    assert any(line.endswith("...") for line in cut)
    assert not any(line.endswith("...") for line in whole)


def test_a_long_name_moves_its_own_line_alone(capsys):
    column = Column("name", lambda entry: entry)
    flag = Filter("--short", "short ones", lambda entry, _: len(entry) < 9)
    names = ("a", "b" * 40)
    Listing("x", "", "thing", lambda: names, (column, column), (flag,)).show([])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.index("name", 4) == first.index("a", 1) == 42
    assert second == f"{'b' * 40}  {'b' * 40}"


def test_names_of_ones_own_are_listed_too(monkeypatch, capsys):
    class Mine(agents.PPO):
        """An agent of one's own."""

    monkeypatch.setitem(agents.registry._REGISTRY, "mine", Mine)
    assert Entry("mine").actions == ["discrete", "multi-discrete", "continuous"]
    assert "mine" in listed(AGENTS, capsys)[0]


def test_the_command_runs():
    command = [sys.executable, "-m", "memory_models", "--name", "gru"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in ran.stdout.splitlines()]
    assert names == ["memory=", "gru", "min_gru"] and not ran.stderr
