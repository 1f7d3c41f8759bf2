"""What a run ends with stays: result.json, the closing tables, the progress line."""

import dataclasses
import io
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from agents import evaluate
from agents.running import trainer
from agents.running.output.report import Ended, progress_bar, tell_sweep
from agents.running.output.results import across_seeds, finite, t_95
from agents.running.overrides import compose_config
from tests.agents.running import tiny


@pytest.fixture(scope="module")
def notes():
    """What the progress line showed beside the bar, in order."""
    return []


@pytest.fixture(scope="module")
def ran(tmp_path_factory, notes):
    """Two seeds of a run: result, printed text."""

    def listened(console):
        bar = progress_bar(console)
        update = bar.update

        def noted(task, **fields):
            notes.append(fields["note"])
            update(task, **fields)

        bar.update = noted
        return bar

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "progress_bar", listened)
        folder = tmp_path_factory.mktemp("runs")
        return tiny.start("num_seeds=2", f"run_directory={folder}")


def test_the_record_is_the_result(ran):
    result, _text = ran
    record = json.loads((result.directory / "result.json").read_text())
    assert record == finite(result.record())
    assert record["ended"] == "complete" and record["task"] == "tmaze"
    assert record["memory"] == "none" and record["agent"] == "ppo"
    params = jax.tree.map(lambda x: x[0], result.params)
    total = sum(x.size for x in jax.tree.leaves(params))
    assert 0 <= record["memory_parameters"] < record["parameters"] <= total
    assert record["state_bytes"] == 0
    assert record["total_steps"] == record["evaluated_at"] == 256
    assert record["seconds"] > 0 and record["seconds"] == round(result.seconds, 3)
    assert record["references"]["recall"] == 1.0
    assert record["versions"]["jax"] == jax.__version__
    for index, seed in enumerate(record["seeds"]):
        score = result.scores[index]
        assert seed["seed"] == index and seed["steps"] == 256
        assert seed["not_finite"] is None
        assert seed["return"] == score.mean and seed["return_lower"] == score.lower
        assert seed["return_upper"] == score.upper and seed["episodes"] == 200
        assert seed["success"] == score.success
        assert seed["success_lower"] == score.success_lower
        assert seed["success_upper"] == score.success_upper
        assert seed["verdict"] == evaluate.verdict(score, result.card)
    assert record["together"]["seeds"] == 2
    assert record["together"]["return"] == np.mean([s.mean for s in result.scores])


def test_every_entry_is_documented(ran):
    page = Path("docs/saved_runs.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE))
    record = json.loads((ran[0].directory / "result.json").read_text())
    assert documented == {*record, *record["seeds"][0], *record["together"]}


def test_the_closing_table(ran):
    result, text = ran
    table = text[text.index("returns (floor") :]
    rows = [line.split() for line in table.splitlines()[1:] if line.strip()]
    assert rows[0] == ["return", "95", "%", "interval", "success", "verdict"]
    assert [row[:2] for row in rows[2:4]] == [["seed", "0"], ["seed", "1"]]
    mean = f"{result.together.mean:.2f}"
    assert rows[4][:2] == ["together", mean]
    assert " ".join(rows[4]).endswith(result.verdict)


def test_the_progress_line_says_what_it_shows(ran, notes):
    """With evaluations at the ends only, it is not the first one's return."""
    result, _ = ran
    shown = [re.fullmatch(r"[\d,]+ steps/s(, .*)?", note)[1] for note in notes]
    training = [text for text in shown[:-1] if text is not None]
    assert training and all(
        re.fullmatch(r", training return -?\d\.\d\d", text) for text in training
    )
    assert shown[-1] == f", return {result.together.mean:.2f}"


def test_interval_over_seeds_is_students():
    for freedom in (1, 2, 3, 4, 9, 30, 101):
        assert np.isclose(t_95(freedom), stats.t.ppf(0.975, freedom), rtol=1e-9)
    one = evaluate.Score(0.5, 0.4, 0.6, 200, 5.0, 0.75, 0)
    two = dataclasses.replace(one, mean=0.7, success=0.85, unfinished=1)
    assert across_seeds([one]) == one
    both = across_seeds([one, two])
    interval = stats.t.interval(0.95, 1, loc=0.6, scale=0.1)
    assert np.allclose((both.lower, both.upper), interval)
    assert both.mean == pytest.approx(0.6) and both.success == pytest.approx(0.8)
    interval = stats.t.interval(0.95, 1, loc=0.8, scale=0.05)
    assert np.allclose((both.success_lower, both.success_upper), interval)
    silent = dataclasses.replace(two, success=None)
    assert across_seeds([one, silent]).success is None
    assert both.episodes == 400 and both.unfinished == 1


def test_what_ended_early_gets_no_verdict(ran):
    result, _ = ran
    apart = [dataclasses.replace(result.scores[0], mean=mean) for mean in (0.25, 0.75)]
    frozen = dataclasses.replace(
        result, frozen={1: "update 3"}, seed_steps=[256, 64], scores=apart
    )
    record = frozen.record()
    assert record["seeds"][1]["not_finite"] == "update 3"
    assert record["seeds"][1]["steps"] == 64 and record["together"]["seeds"] == 1
    assert record["together"]["return"] == 0.25
    assert record["together"]["verdict"].startswith("no verdict (1 of 2 seeds stopped")
    stopped = dataclasses.replace(result, stopped=15, seed_steps=[96, 96])
    record = stopped.record()
    assert record["ended"] == "stopped by SIGTERM"
    assert record["seeds"][0]["verdict"] == "no verdict (stopped after 96 steps)"
    early = dataclasses.replace(stopped, scores=[], evaluated_at=-1).record()
    assert early["seeds"][0]["return"] is early["evaluated_at"] is None


def test_the_table_of_a_sweep(ran):
    result, _ = ran
    plain = compose_config(["memory=none"])
    text = io.StringIO()
    ended = [
        Ended({**plain, "seed": 3, "total_steps": 256}, result),
        Ended(compose_config(["memory=gru"]), None, "failed: no [bold]room."),
        Ended(plain, None),
    ]
    defaults = [plain, compose_config(["memory=gru"]), plain]
    tell_sweep(ended, defaults, Console(file=text, width=80))
    rows = [line.split() for line in text.getvalue().splitlines() if line.strip()][2:]
    assert rows[0][:3] == ["tmaze", "none", "ppo"]
    assert rows[0][3:6] == ["seed=3", "total_steps=256", f"{result.together.mean:.2f}"]
    assert " ".join(rows[0]).endswith(result.verdict)
    assert rows[1] == ["tmaze", "gru", "ppo", "failed:", "no", "[bold]room."]
    assert rows[2] == ["tmaze", "none", "ppo", "not", "run"]
