"""How long a memory holds: what is played, and what is told of it."""

import dataclasses
import json
import math
import signal

import jax
import pytest
from rich.console import Console

import analysis.__main__
from agents.convert import ConfigError
from agents.load import load_plan
from agents.running.files.stored import Stored
from agents.running.playing import play_run
from agents.running.trained import Trained, restore
from analysis import retention as command
from analysis.interval import of_share
from analysis.retention import playing, report, retention
from analysis.retention.horizons import find_dial
from envs.base import unknown
from envs.mazes.tmaze import TMaze
from tests.analysis.runs_of_nothing import a_score, plan_of, write_run

# What is played ---------------------------------------------------------------


class Evaluator:
    """Scores out of the air, and what it was asked for."""

    asked = ()
    asked_to_stop = False
    unfinished = 0

    def __init__(self, plan, keys):
        type(self).asked = (*self.asked, plan)

    def __call__(self, params, stop):
        if self.asked_to_stop and len(self.asked) > 1:
            stop.received = signal.SIGALRM.value
            return None
        return [a_score(1.0, unfinished=self.unfinished), a_score(0.9)]


@pytest.fixture
def evaluator(monkeypatch):
    made = type("Evaluator", (Evaluator,), {})
    monkeypatch.setattr(playing, "Evaluator", made)
    return made


def trained_on(*words):
    plan = plan_of(*words)
    keys = jax.numpy.stack([jax.random.key(0), jax.random.key(1)])
    return Trained(plan, 1, [0, 1], keys, None)


def played(*words, horizons, **settings):
    trained = trained_on(*words)
    return playing.play_at(
        "run", trained, find_dial(trained.plan.env), horizons, **settings
    )


def test_what_is_played(evaluator):
    found = played("env.length=4", "memory=gru", horizons=(4, 12), episodes=7)
    assert [(x.horizon, x.value, x.card.horizon) for x in found.points] == [
        (4, 4, (4, 4)),
        (12, 12, (12, 12)),
    ]
    assert [x.evaluation_env for x in evaluator.asked] == [TMaze(4), TMaze(12)]
    assert [x.config["evaluation"]["episodes"] for x in evaluator.asked] == [7, 7]
    assert found.context is None
    assert found.seeds == [0, 1]
    assert found.notes == ()
    points = found.points[0]
    assert points.measured.value == pytest.approx(0.95)
    assert points.kept.value == pytest.approx(0.9)  # memoryless 0.5, recall 1
    assert found.half_lives[1].last == 12


def test_no_episode_is_cut_where_the_task_has_no_longest(evaluator):
    words = ("env.length=4", "evaluation.step_limit=50", "memory=attention")
    found = played(*words, "memory.window=9", horizons=(4, 12))
    limits = [x.config["evaluation"]["step_limit"] for x in evaluator.asked]
    assert limits == [50, 150]
    assert found.context == 8


def test_unfinished_episodes_count_for_nothing(evaluator):
    evaluator.unfinished = 3
    found = played("env.length=4", horizons=(4, 8))
    assert found.points[0].kept is None
    assert found.half_life.reason.startswith("unknown: 3 episodes hit the step limit")
    assert "3 episodes hit the step limit at a horizon of 4" in found.notes[0]


def test_episodes_that_are_too_long_are_not_played(evaluator):
    found = played("env.length=4", horizons=(4, 100_000))
    assert [x.horizon for x in found.points] == [4]
    assert "100,001 steps" in found.notes[0]


def test_time_that_is_spent_is_told(evaluator):
    evaluator.asked_to_stop = True
    found = played("env.length=4", horizons=(4, 8, 16), seconds=60)
    assert [x.horizon for x in found.points] == [4]
    assert found.notes == ("stopped before a horizon of 8: the time was spent.",)
    with pytest.raises(ConfigError, match="nothing was played of run: stopped before"):
        played("env.length=4", horizons=(4,), seconds=60)


def test_a_seed_that_stopped_being_finite_is_told(evaluator):
    trained = trained_on("env.length=4")._replace(frozen=(1,))
    found = playing.play_at("run", trained, find_dial(trained.plan.env), (4,))
    told = "seed 1 stopped being finite in training, and was played as it was before"
    assert found.notes == (told,)


def test_the_time_ends_by_itself(monkeypatch):
    def wait(plan, keys):
        def until(params, stop):
            for _ in range(500):
                if stop.received is None:
                    signal.sigtimedwait([], 0.01)

        return until

    monkeypatch.setattr(playing, "Evaluator", wait)
    with pytest.raises(ConfigError, match="the time was spent"):
        played("env.length=4", horizons=(4,), seconds=0.2)


# What is told -----------------------------------------------------------------


def found_of(scores, cards=None, horizons=(4, 8, 16)):
    """A retention with scores by horizon and seed."""
    dial = find_dial(TMaze(4))
    cards = cards or [TMaze(x).card for x in horizons]
    points = [
        playing.Point(horizon, horizon, card, [a_score(x) for x in row])
        for horizon, card, row in zip(horizons, cards, scores, strict=True)
    ]
    seeds = list(range(len(scores[0])))
    return playing.Retention("run", "tmaze", dial, seeds, points, 9, ("left out",))


@pytest.mark.parametrize("name", ["memoryless", "recall"])
def test_what_the_card_does_not_know(name):
    cards = [TMaze(4).card, TMaze(8).card, TMaze(16).card]
    cards[2] = dataclasses.replace(cards[2], **{name: unknown("nobody knows")})
    found = found_of([[1.0], [0.9], [0.5]], cards)
    assert found.points[2].kept is None
    assert found.half_life.last == 8  # what lies beyond tells nothing
    cards[0] = dataclasses.replace(cards[0], **{name: unknown("nobody knows")})
    reason = found_of([[1.0], [0.9], [0.5]], cards).half_life.reason
    assert reason == f"unknown: the card does not know {name} (nobody knows)"


def test_success_where_the_card_speaks_of_it():
    cards = [dataclasses.replace(TMaze(4).card, measure="success")]
    score = a_score(0.2, success=0.9)
    point = playing.Point(4, 4, cards[0], [score])
    assert point.measured == of_share(360, 400)  # wider than 0.88 to 0.92
    assert point.success == point.measured
    untold = playing.Point(4, 4, cards[0], [a_score(0.2, success=None)])
    assert untold.measured is None
    found = playing.Retention("run", "x", find_dial(TMaze(4)), [0], [untold], 9, ())
    assert found.half_life.reason.startswith("unknown: the card speaks of success")


def test_that_all_succeed_is_not_certain():
    card = dataclasses.replace(TMaze(4).card, measure="success")
    for seeds in (1, 3):
        scores = [a_score(1.0, success=1.0)] * seeds
        scores = [dataclasses.replace(x, success_lower=1.0) for x in scores]
        found = found_of([[1.0] * seeds], [card], horizons=(4,))
        found = dataclasses.replace(found, points=[playing.Point(4, 4, card, scores)])
        [point], wilson = found.points, of_share(400 * seeds, 400 * seeds)
        assert point.success == point.measured == wilson
        assert point.kept.value == 1 and point.kept.lower < point.kept.upper
        together = report.record(found)["horizons"][0]["together"]
        assert together["success_lower"] == wilson.lower
    console = Console(record=True, width=200)
    report.tell(found, console)
    assert "100% (99.7% to 100%)" in console.export_text()


def test_what_is_printed():
    console = Console(record=True, width=200)
    report.tell(found_of([[1.0, 1.0], [0.75, 0.75], [0.2, 0.2]]), console)
    text = console.export_text()
    assert "trained at a horizon of 4 (length=4); the memory reaches back 9" in text
    assert "half-life of memory: 8" in text
    assert "seed 1 8" in text
    assert "note: at a horizon of 16 the score is below what needs no memory" in text
    assert "note: left out" in text
    row = next(line.split() for line in text.splitlines() if line.startswith(" 8 "))
    assert row[:7] == ["8", "8", "0.75", "0.75", "to", "0.75", "0.50"]


def test_only_horizons_below_the_memoryless_line_are_told_to_be():
    found = found_of([[1.0], [0.2], [0.9], [0.1]], horizons=(4, 8, 1600, 3200))
    told = "note: at a horizon of 8, 3,200 the score is below"
    assert told in " ".join(report.sentences(found))


def test_what_rises_again_is_told():
    falls, rises = found_of([[1.0], [0.6], [0.5]]), found_of([[1.0], [0.6], [0.9]])
    assert "kept again" not in " ".join(report.sentences(falls))
    told = "note: more than half is kept again at a horizon of 16"
    assert told in " ".join(report.sentences(rises))


def test_every_seed_has_a_half_life_of_its_own():
    found = found_of([[1.0, 1.0], [0.9, 0.6], [0.5, 0.5]])
    between = {seed: life.between for seed, life in found.half_lives.items()}
    assert between == {0: (8, 16), 1: (4, 8)}
    assert found.half_life.interval.value == pytest.approx(8)  # 0.5 of both there


def test_what_was_never_learned_does_not_fail_to_carry_over():
    text = " ".join(report.sentences(found_of([[0.0], [0.0], [0.0]])))
    assert "none: nothing was retained" in text
    assert "carry over" not in text


def test_what_is_written(tmp_path):
    found = found_of([[1.0, 1.0], [0.9, 0.9], [0.8, 0.8]])
    folder = report.write(dataclasses.replace(found, run=tmp_path))
    record = json.loads((folder / "retention.json").read_text())
    assert record["half_life"]["steps"] is None
    assert record["half_life"]["beyond"] == 16
    assert [x["horizon"] for x in record["horizons"]] == [4, 8, 16]
    assert record["horizons"][1]["kept"]["value"] == pytest.approx(0.8)
    assert record["horizons"][1]["seeds"][1]["return"] == 0.9
    assert (folder / "retention.png").read_bytes().startswith(b"\x89PNG")
    assert list((folder / "retention").glob("*tfevents*"))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "analysis").write_text("")
    found = dataclasses.replace(found_of([[1.0]], horizons=(4,)), run=tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        report.write(found)


# A run ------------------------------------------------------------------------


def test_equals_the_run_played_on_the_longer_task(solved):
    found = retention(solved, factors=(2,), episodes=40)
    played = play_run(str(solved), ["env.length=8", "episodes=40"])
    assert [point.horizon for point in found.points] == [4, 8]
    assert found.points[1].scores == played.scores
    assert found.points[0].kept.value > 0.9
    assert found.half_life.interval.value <= 8


def test_which_seeds_stopped_being_finite(solved, monkeypatch):
    plan, notes = load_plan(solved), Stored.notes
    assert restore(solved, plan).frozen == ()
    monkeypatch.setattr(Stored, "notes", lambda x: {**notes(x), "frozen": {"1": ""}})
    assert restore(solved, plan).frozen == (1,)
    assert restore(solved, plan, 0).frozen == ()


def test_no_half_life_without_memory(blind):
    found = retention(blind, factors=(1,), episodes=40, seed=1)
    assert found.seeds == [1]
    assert found.half_life.reason.startswith("none")
    assert found.context == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"factors": (2, 0.5)}, "factors=0.5 must be at least 1"),
        ({"factors": (2, math.inf)}, "factors=inf must be .* a finite number"),
        ({"factors": (math.nan,)}, "factors=nan must be .* a finite number"),
        ({"episodes": 1}, "episodes=1 must be at least 2"),
        ({"field": "size"}, "no whole number called 'size'"),
    ],
)
def test_wrong_settings(tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        retention(write_run(tmp_path), **settings)


@pytest.mark.parametrize(
    ("words", "horizons", "asked"),
    [
        (["--factors", "1,3", "--episodes", "20", "--seed", "5"], [4, 12], 5),
        (["--factors", "2", "--episodes", "20"], [4, 8], None),
        (["--factors", "1,1.8,1.9,2", "--episodes", "20"], [4, 8], None),
    ],
)
def test_the_command(tmp_path, monkeypatch, capsys, evaluator, words, horizons, asked):
    run, seeds = write_run(tmp_path, "env.length=4"), []

    def restore(run, plan, seed):
        seeds.append(seed)
        return trained_on("env.length=4")

    monkeypatch.setattr(command, "restore", restore)
    words = ["retention", str(run), *words]
    monkeypatch.setattr("sys.argv", ["analysis", *words])
    analysis.__main__.main()
    assert "trained at a horizon of 4" in capsys.readouterr().out
    record = json.loads((run / "analysis" / "retention.json").read_text())
    assert [x["horizon"] for x in record["horizons"]] == horizons
    assert [x.config["evaluation"]["episodes"] for x in evaluator.asked] == [20, 20]
    assert seeds == [asked]


def test_factors_that_are_no_numbers(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["analysis", "retention", "run", "--factors", "1;2"]
    )
    with pytest.raises(SystemExit):
        analysis.__main__.main()
    assert "must be numbers with commas between" in capsys.readouterr().err
