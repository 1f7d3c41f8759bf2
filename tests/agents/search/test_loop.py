"""The loop of a search: what trials come to, and how it ends and goes on."""

import csv
import dataclasses
import math
import signal
import sys

import pytest
from optuna.trial import Trial
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata

from agents import Stopped
from agents.convert import ConfigError
from agents.running.overrides import check
from agents.search.settings import read
from agents.search.sharing import Worker
from agents.search.study import Study
from tests.agents.search.fake import (
    RATE,
    WORDS,
    Killed,
    Run,
    light_check,
    rate,
    start,
    trials,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("agents.search.trial.check", light_check)
    monkeypatch.setattr("agents.search.settings.check", light_check)


def states(folder, *words):
    return [trial.state.name for trial in trials(folder, *words)]


def test_the_best_is_told_with_its_command(tmp_path, monkeypatch):
    status, text, run = start(tmp_path, "trials=9", "pruner=none")
    assert status == 0 and len(run.configs) == 9
    best = max(run.configs, key=lambda config: run.value(config))
    told = text.splitlines()
    assert told[-1].startswith("python train.py memory=none ")
    config = check(told[-1].split()[2:])[0]
    assert config == best
    kept = trials(tmp_path)
    assert max(trial.value for trial in kept) == pytest.approx(run.value(best) + 0.25)
    assert (
        "9 complete" in text
        and f"agent.learning_rate={told[-1].split('=')[-1]}" in text
    )


def test_trials_keep_seeds_spread_and_folder(tmp_path):
    _, text, run = start(tmp_path, "trials=1")
    (trial,) = trials(tmp_path)
    low = run.value(run.configs[0])
    assert trial.user_attrs["seeds"] == [low, low + 0.5]
    assert (trial.user_attrs["lower"], trial.user_attrs["upper"]) == (low, low + 0.5)
    assert trial.user_attrs["steps"] == 400
    assert f"[{low:.3f} to {low + 0.5:.3f}]" in text
    note = (tmp_path / "fake").glob("*/trial.json")
    assert '"trial": 0' in next(note).read_text()
    assert trial.user_attrs["directory"].startswith(str(tmp_path / "fake"))


def test_one_seed_has_the_interval_of_its_episodes(tmp_path):
    def one(config, console, watcher):
        result = Run()(config, console, watcher).record()
        record = {**result, "seeds": result["seeds"][:1]}
        return dataclasses.make_dataclass(
            "Result", [], namespace={"record": lambda _: record}
        )()

    start(tmp_path, "trials=1", "num_seeds=1", run=one)
    (trial,) = trials(tmp_path, "num_seeds=1")
    assert (trial.user_attrs["lower"], trial.user_attrs["upper"]) == (-9.0, 9.0)


def test_files_and_tensorboard_have_every_trial(tmp_path):
    start(tmp_path, "trials=3", "pruner=none", "study=mine")
    folder = tmp_path / "search" / "mine"
    head, *rows = csv.reader((folder / "trials.csv").read_text().splitlines())
    assert head[:3] == ["trial", "ended", "return"] and len(rows) == 3
    values = [float(row[2]) for row in rows]
    assert values == sorted(values, reverse=True)
    tags = set()
    for event in EventFileLoader(
        str(next((folder / "trials" / "trial_002").iterdir()))
    ).Load():
        tags |= {value.tag for value in event.summary.value}
        for value in event.summary.value:
            if value.tag == metadata.SESSION_START_INFO_TAG:
                content = metadata.parse_session_start_info_plugin_data(
                    value.metadata.plugin_data.content
                )
                assert set(content.hparams) == {"agent.learning_rate", "ended"}
    assert {"search/value", "search/lower", "search/upper", "search/steps"} <= tags


def test_a_trial_worse_than_the_others_ends_early(tmp_path):
    values = iter([0.0] * 5 + [-5.0, 1.0])
    _, text, run = start(tmp_path, "trials=7", run=Run(lambda config: next(values)))
    assert run.evaluations[5] == [0, 100, 200]  # not in the first quarter
    assert run.evaluations[6] == [0, 100, 200, 300, 400]
    assert states(tmp_path) == ["COMPLETE"] * 5 + ["PRUNED", "COMPLETE"]
    assert "1 pruned" in text
    assert trials(tmp_path)[5].intermediate_values == {1: -4.85, 2: -4.95}


@pytest.mark.parametrize("word", ["pruner=none", "evaluation.interval=null"])
def test_nothing_is_pruned_where_that_cannot_be(word, tmp_path):
    values = iter([0.0] * 5 + [-5.0])
    start(tmp_path, "trials=6", word, run=Run(lambda config: next(values)))
    assert states(tmp_path, word) == ["COMPLETE"] * 6


def test_a_trial_that_fails_is_told_and_the_search_goes_on(tmp_path):
    dies = {0: (ConfigError("too large."), 100), 1: (ConfigError("a\nb"), 0)}
    status, text, run = start(tmp_path, "trials=3", run=Run(dies=dies))
    assert status == 0 and len(run.configs) == 3
    assert states(tmp_path) == ["FAIL", "FAIL", "COMPLETE"]
    assert "trial   0  failed    too large." in text
    assert trials(tmp_path)[1].user_attrs["why"] == "a"


def test_seeds_that_are_not_finite_fail_the_trial(tmp_path):
    values = iter([math.nan, 0.0])
    status, text, _ = start(tmp_path, "trials=2", run=Run(lambda config: next(values)))
    assert states(tmp_path) == ["FAIL", "COMPLETE"] and status == 0
    assert "seed 0 stopped being finite in the loss." in text


def test_without_a_complete_trial_the_status_is_1(tmp_path):
    dies = {0: (ConfigError("no."), 100)}
    status, text, _ = start(tmp_path, "trials=1", run=Run(dies=dies))
    assert status == 1 and "best    none" in text


def test_a_bug_ends_the_search_and_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError):
        start(tmp_path, "trials=2", run=Run(dies={0: (ZeroDivisionError("x"), 0)}))
    assert trials(tmp_path)[0].user_attrs["why"] == "ZeroDivisionError: x"
    assert states(tmp_path) == ["FAIL"]


def test_the_same_command_goes_on_and_repeats_nothing(tmp_path):
    _, _, first = start(tmp_path, "trials=2")
    _, _, again = start(tmp_path, "trials=2")
    _, text, more = start(tmp_path, "trials=4")
    assert [len(run.configs) for run in (first, again, more)] == [2, 0, 2]
    assert "4 complete" in text
    drawn = {rate(config) for run in (first, more) for config in run.configs}
    assert len(drawn) == 4
    _, _, whole = start(tmp_path / "other", "trials=4")
    assert {rate(config) for config in whole.configs} == drawn  # the seed's, not time's


def test_a_killed_trial_goes_on_under_its_number(tmp_path):
    with pytest.raises(Killed):
        start(tmp_path, "trials=3", run=Run(dies={1: (Killed(), 200)}))
    assert states(tmp_path) == ["COMPLETE", "RUNNING"]
    left = trials(tmp_path)[1]
    status, text, run = start(tmp_path, "trials=3")
    assert status == 0 and states(tmp_path) == ["COMPLETE"] * 3
    assert run.configs[0]["resume"] == left.user_attrs["directory"]
    assert 10 ** rate(run.configs[0]) == pytest.approx(
        left.params["agent.learning_rate"], 1e-4
    )
    assert "trial   1  goes on" in text and len(run.configs) == 2


def test_a_run_that_ended_before_it_was_told_is_adopted(tmp_path, monkeypatch):
    def dies(study, trial, state, value=None):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Study, "tell", dies)
        start(tmp_path, "trials=1")
    status, _, run = start(tmp_path, "trials=1")
    assert status == 0 and not run.configs and states(tmp_path) == ["COMPLETE"]


def test_a_trial_without_a_folder_begins_anew(tmp_path):
    class Dies(Run):
        def __call__(self, config, console, watcher):
            raise Killed

    with pytest.raises(Killed):
        start(tmp_path, "trials=1", run=Dies())
    drawn = trials(tmp_path)[0].params
    _, _, run = start(tmp_path, "trials=1")
    assert run.configs[0]["resume"] is None and states(tmp_path) == ["COMPLETE"]
    assert trials(tmp_path)[0].params == drawn


def test_a_signal_ends_it_saved_and_told(tmp_path):
    dies = {1: (Stopped(signal.SIGTERM), 200)}
    status, text, _ = start(tmp_path, "trials=3", run=Run(dies=dies))
    assert status == 128 + signal.SIGTERM and "best    trial 0" in text
    assert "1 running" in text and "the same command goes on" in text
    status, _, run = start(tmp_path, "trials=3")
    assert status == 0 and run.configs[0]["resume"] is not None
    assert states(tmp_path) == ["COMPLETE"] * 3


def test_another_process_keeps_its_trial(tmp_path):
    asked = read([*WORDS, RATE, f"run_directory={tmp_path}", "trials=3"])
    study = Study(asked)
    with Worker(asked.folder) as other:
        theirs = study.next_trial(other)
        status, _, run = start(tmp_path, "trials=3")
        assert status == 0 and len(run.configs) == 2
        assert states(tmp_path) == ["RUNNING", "COMPLETE", "COMPLETE"]
        other.leaves = True
    _, _, run = start(tmp_path, "trials=3")
    assert len(run.configs) == 1 and states(tmp_path) == ["COMPLETE"] * 3
    study.close()
    assert not list((asked.folder / "workers").iterdir())
    assert isinstance(theirs, Trial)


def test_a_trial_of_another_machine_is_left_alone(tmp_path):
    asked = read([*WORDS, RATE, f"run_directory={tmp_path}", "trials=2"])
    study = Study(asked)
    trial = study.own.ask()
    trial.set_user_attr("worker", "elsewhere-1-0")
    study.close()
    _, _, run = start(tmp_path, "trials=2")
    assert len(run.configs) == 1 and states(tmp_path) == ["RUNNING", "COMPLETE"]


def test_a_timeout_begins_no_further_trial(tmp_path):
    status, text, run = start(tmp_path, "trials=3", "timeout=1e-9")
    assert not run.configs and "timeout after" in text and status == 1


def test_a_journal_holds_a_study_too(tmp_path):
    words = (f"storage=journal:{tmp_path}/own/log", "trials=2", "sampler=random")
    assert start(tmp_path, *words)[0] == 0
    assert states(tmp_path, *words) == ["COMPLETE"] * 2
    assert (tmp_path / "own" / "log").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (["storage=nothing"], "must be sqlite:///path, journal:path"),
        (["storage=oracle9://x"], "cannot be opened"),
        (["study=mine", "metric=success"], "with metric return in place of success"),
        (["study=mine", "seed=3"], "choose another name"),
    ],
)
def test_what_cannot_be_opened_is_told(words, told, tmp_path):
    start(tmp_path, "trials=1", "study=mine")
    with pytest.raises(ConfigError, match=told):
        start(tmp_path, *words)


def test_choices_of_memory_are_searched(tmp_path):
    given = tuple(w for w in WORDS if not w.startswith("memory="))
    assert sys.modules["optuna"].logging.get_verbosity() >= 30
    kinds = ("memory=choice(none,gru)", "agent.num_epochs=int(1,2)")
    words = [*given, *kinds, f"run_directory={tmp_path}", "trials=4", "pruner=none"]
    asked = read(words)
    assert {str(x) for x in asked.ranges} == {
        "memory=choice(none,gru)",
        "agent.num_epochs=int(1,2)",
    }
