"""The command line of a search: what is whose, and how mistakes are told."""

import pytest

from agents.convert import ConfigError
from agents.search.__main__ import main
from agents.search.settings import read
from tests.agents.search.fake import RATE, WORDS


def asked(*words):
    return read([*WORDS, *words])


def test_words_are_sorted_by_whose_they_are():
    found = asked(RATE, "trials=7", "seed=4", "metric=success", "timeout=1e3")
    assert found.words == (*WORDS, "seed=4")
    assert [str(x) for x in found.ranges] == ["agent.learning_rate=log(0.0001,0.01)"]
    settings = found.settings
    assert (settings.trials, settings.metric, settings.timeout) == (7, "success", 1000)
    assert found.config["seed"] == 4 and found.config["agent"]["learning_rate"] == 1e-4
    assert asked(RATE).settings.metric == "return"  # what the card measures


def test_a_study_is_called_after_what_is_searched():
    first = asked(RATE, "trials=7")
    assert first.settings.study.startswith("tmaze+env.length=3-")
    assert first.folder.parts[:2] == ("runs", "search")
    same = asked("trials=9", "sampler=random", RATE, "timeout=3")
    assert same.settings.study == first.settings.study
    other = asked(RATE, "seed=1")
    assert other.settings.study != first.settings.study
    wider = asked("agent.learning_rate=log(1e-4,1e-1)", "study=mine")
    assert wider.settings.study == "mine"


@pytest.mark.parametrize(
    "words, told",
    [
        (["seed=1"], "nothing to search over"),
        ([RATE, "trails=3"], "there is no setting 'trails'. Did you mean 'trials'?"),
        ([RATE, "trials=0"], "trials=0 must be at least 1."),
        ([RATE, "trials=x"], "trials='x' must be a whole number."),
        ([RATE, "timeout=-1"], "must be more than 0 seconds"),
        ([RATE, "pruner=hyperband"], "pruner='hyperband' is not one of"),
        ([RATE, "study=a/b"], "study='a/b' names a folder"),
        ([RATE, "-m"], "-m is no flag of a search"),
        ([RATE, "agent.gamma=0.9,1"], "write agent.gamma=choice(0.9,1)"),
        ([RATE, "agent.learning_rate=1e-3"], "has a value and a range"),
        ([RATE, "resume=runs/x"], "resume goes on with one run"),
        ([RATE, "memory.num_layer=2"], "Did you mean 'memory.num_layers'?"),
        (["agent.gama=uniform(0,1)"], "Did you mean 'agent.gamma'?"),
        (["memory=choice(none,gruu)"], "there is no memory 'gruu'"),
        (["agent.clip_ratio=uniform(0.1,2)", "agent.gamma=uniform(0.9,1.5)"], "gamma"),
        ([RATE, "distributed.coordinator=localhost:1"], "one process for each trial"),
    ],
)
def test_mistakes_are_one_sentence(words, told, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ranged = {word.partition("=")[0] for word in words if "choice(" in word}
    given = [word for word in WORDS if word.partition("=")[0] not in ranged]
    assert main([*given, *words]) == 2
    printed = capsys.readouterr().err
    assert told in printed and printed.startswith("error: ")
    assert printed.count("\n") == 1 and not list(tmp_path.iterdir())


def test_every_end_of_a_range_is_tried_first():
    with pytest.raises(ConfigError, match="num_minibatches"):
        asked("agent.num_minibatches=choice(1,4096)")


def test_without_optuna_there_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert main([*WORDS, RATE]) == 2
    assert '[search]"' in capsys.readouterr().err


def test_help_has_the_grammar(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for word in ("log(a,b)", "trials=30", "storage=", "timeout="):
        assert word in told
