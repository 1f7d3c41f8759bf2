"""Runs beside each other: numbers by hand, and every form in which they are told."""

import base64
import contextlib
import csv
import html.parser
import io
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
from analysis import find_runs
from analysis.__main__ import main
from analysis.compare import (
    compare,
    compare_runs,
    default_folder,
    pictures,
    show_mean,
    tell,
    write,
)
from analysis.compare.collect import collect, short
from analysis.compare.statistics import Estimate
from analysis.compare.tables import cells, shown
from tests.analysis.made import make_run

GRU = ["env.length=7", "memory=gru", "total_steps=300"]
NONE = ["env.length=7", "memory=none", "total_steps=300"]
OTHER = ["env=repeat_previous_easy", "memory=gru", "total_steps=300"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models on a T-maze, one of them on a second task."""
    root = tmp_path_factory.mktemp("compared")
    seeds = {n: [0.0, 0.8, 0.95 + n / 100, 0.9] for n in range(5)}
    make_run(root, GRU, seeds)
    make_run(root, NONE, {n: [0.0, 0.5, 0.5, 0.45 + n / 50] for n in range(5)})
    make_run(root, OTHER, {0: [0.0, 0.5, 1.0], 1: [0.0, 1.0, 1.0]})
    return root


@pytest.fixture(scope="module")
def written(folder):
    comparison = compare(find_runs([folder]).runs)
    write(comparison, folder / "comparison")
    return comparison


def test_rows_by_hand(written):
    assert list(written.by_task()) == ["repeat_previous_easy", "tmaze+env.length=7"]
    gru, none = written.by_task()["tmaze+env.length=7"]
    assert (gru.group.label, none.group.label) == ("gru-ppo", "none-ppo")
    assert gru.final[:3] == pytest.approx((0.9, 0.9, 0.9))
    assert gru.best.value == pytest.approx(0.97)
    assert gru.score.value == pytest.approx(0.8)
    assert gru.threshold == pytest.approx(0.95)
    assert (gru.solved, gru.steps) == (4, 200)  # the first seed misses it by rounding
    assert none.final.value == pytest.approx(0.49)
    assert (none.solved, none.steps, none.seconds) == (0, None, None)
    assert (gru.used, none.used) == ((5, 5), (0, 5))
    assert gru.steps_per_second == pytest.approx(1001.5)
    assert (gru.parameters, gru.state_bytes) == (1234, 64)


def test_seeds_are_set_on_one_grid_of_steps(tmp_path):
    make_run(tmp_path, GRU, {0: [0.0, 1.0, 2.0]}, every=100)
    make_run(tmp_path, GRU, {1: [0.0, 3.0]}, every=150, name="20261130-130000")
    (group,), _ = collect(find_runs([tmp_path]).runs)
    assert group.steps.tolist() == [0, 100, 150]
    np.testing.assert_allclose(group.values, [[0, 1, 1.5], [0, 2, 3]])


def test_a_seed_that_is_there_twice_counts_once(tmp_path):
    make_run(tmp_path, GRU, {0: [0.0, 0.5], 1: [0.0, 0.1]}, name="20261130-120000")
    make_run(tmp_path, GRU, {0: [0.0, 0.9]}, name="20261130-130000")
    (group,), notes = collect(find_runs([tmp_path]).runs)
    np.testing.assert_allclose(group.final, [0.9, 0.1])
    assert "seed 0 of gru-ppo+total_steps=300" in notes[0] and "twice" in notes[0]


def test_what_has_not_ended_is_marked(tmp_path):
    make_run(tmp_path, GRU, {0: [0.0, 0.5]}, ended=None)
    make_run(tmp_path, NONE, {0: [0.0, 0.5]}, ended="stopped by SIGTERM")
    empty = make_run(tmp_path, OTHER, {0: []}, ended=None)
    comparison = compare(find_runs([tmp_path]).runs)
    told = io.StringIO()
    tell(comparison, Console(file=told, width=300))
    text = told.getvalue()
    assert "gru-ppo*" in text and "none-ppo*" in text
    assert "has not ended; it counts as far as it is" in text
    assert "is stopped by SIGTERM" in text
    assert f"{empty} holds no evaluation yet; it is left out" in text


def test_nothing_evaluated_is_refused(tmp_path):
    make_run(tmp_path, GRU, {0: []}, ended=None)
    with pytest.raises(agents.ConfigError, match="has been evaluated yet"):
        compare(find_runs([tmp_path]).runs)


def test_a_seed_that_is_not_finite_is_left_out(tmp_path):
    make_run(tmp_path, GRU, {0: [0.0, float("nan")], 1: [0.0, 0.5]})
    (group,), _ = collect(find_runs([tmp_path]).runs)
    assert [seed.seed for seed in group.seeds] == [1]


def test_success_is_compared_where_the_card_measures_it(tmp_path):
    make_run(tmp_path, GRU, {0: [0.0, 0.9]}, measure="success")
    (group,), _ = collect(find_runs([tmp_path]).runs)
    np.testing.assert_allclose(group.values, [[0, 0.45]])
    np.testing.assert_allclose(group.returns, [[0, 0.9]])


def test_unknown_references_give_no_score(tmp_path):
    unknown = {"floor": 0.0, "memoryless": None, "recall": 1.0, "oracle": 1.0}
    make_run(tmp_path, GRU, {0: [0.0, 0.9]}, references=unknown)
    comparison = compare(find_runs([tmp_path]).runs)
    (row,) = comparison.rows
    assert row.score is None and row.threshold is None and not comparison.models


def test_rankings_take_five_seeds(folder, tmp_path):
    assert not compare(find_runs([folder]).runs).improvements  # no task of both
    for memory, at in (("gru", 0.9), ("none", 0.5)):
        for env in ("tmaze", "n_back"):
            words = [f"memory={memory}", f"env={env}"]
            make_run(tmp_path, words, {n: [0.0, at] for n in range(5)})
    comparison = compare(find_runs([tmp_path]).runs)
    assert [model.label for model in comparison.models] == ["gru-ppo", "none-ppo"]
    assert comparison.models[0].tasks == 2
    (pair,) = comparison.improvements
    assert (pair[0], pair[1], pair[2].value) == ("gru-ppo", "none-ppo", 1.0)
    assert "no model is said" not in told(comparison)
    one = compare([x for x in find_runs([tmp_path]).runs if "n_back" in x.task])
    assert not one.improvements and not one.models
    for env in ("tmaze", "n_back"):
        make_run(tmp_path, ["memory=ffm", f"env={env}"], {0: [0.0, 1.0]})
    few = compare(find_runs([tmp_path]).runs)
    assert len(few.models) == 3 and not few.improvements
    assert "no model is said to be better" in told(compare(find_runs([tmp_path]).runs))


def told(comparison):
    text = io.StringIO()
    tell(comparison, Console(file=text, width=300))
    return text.getvalue()


def test_labels_leave_out_what_all_share():
    assert short(["gru-ppo+a=1+b=2", "ffm-ppo+a=1+b=3"]) == [
        "gru-ppo+b=2",
        "ffm-ppo+b=3",
    ]
    assert short(["gru-ppo+a=1"]) == ["gru-ppo"]


def test_csv_has_every_number(written, folder):
    rows = list(
        csv.DictReader((folder / "comparison/comparison.csv").read_text().splitlines())
    )
    assert len(rows) == 3
    gru = next(r for r in rows if r["task"].startswith("tmaze") and "gru" in r["model"])
    assert gru["model"] == "gru-ppo+total_steps=300"
    assert (
        float(gru["final"]) == pytest.approx(0.9) and gru["bounds"] == "95 % interval"
    )
    assert (gru["seeds"], gru["recall"], gru["steps_to_threshold"]) == (
        "5",
        "1.0",
        "200.0",
    )
    other = next(r for r in rows if r["task"].startswith("repeat"))
    assert other["bounds"] == "range"


class Page(html.parser.HTMLParser):
    """What a page holds: tags, cells and the sources of its pictures."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.sources, self.links = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        found = dict(attrs)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


def test_the_page_needs_nothing_beside_it(written, folder):
    page = Page((folder / "comparison/comparison.html").read_text())
    assert not page.open and not page.links
    assert len(page.sources) == 2
    for source in page.sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.width > 500
    assert "0.90 (0.90 to 0.90)" in page.cells and "4 of 5" in page.cells


def test_names_are_text_on_the_page_not_markup(tmp_path):
    from analysis.compare.page import Section, page

    text = page("<b>", [Section("<i>", ["a & b"], ("<u>",), [("<s>",)])])
    assert not re.search(r"<(b|i|u|s)>", text) and "a &amp; b" in text


def test_the_events_hold_means_bands_table_and_pictures(written, folder):
    out = folder / "comparison"
    model = EventAccumulator(str(out / "tmaze+env.length=7" / "none-ppo")).Reload()
    name = "comparison/tmaze+env.length=7"
    points = [(x.step, round(x.value, 6)) for x in model.Scalars(f"{name}/mean")]
    assert points == [(0, 0.0), (100, 0.5), (200, 0.5), (300, 0.49)]
    lower = model.Scalars(f"{name}/lower")[-1].value
    upper = model.Scalars(f"{name}/upper")[-1].value
    assert 0.45 <= lower < 0.49 < upper <= 0.53
    assert model.Scalars("result/memory_used")[-1].value == 0
    assert model.Scalars("result/parameters")[-1].value == 1234
    board = EventAccumulator(str(out), size_guidance={"images": 9}).Reload()
    assert set(board.Tags()["images"]) == {
        "comparison/repeat_previous_easy",
        "comparison/tmaze+env.length=7",
    }
    (text,) = board.Tensors("comparison")
    assert "| gru-ppo | 5 | 0.90" in text.tensor_proto.string_val[0].decode()


def test_tensorboard_serves_it(written, folder):
    """What its pages ask for: runs, curves, the layout, texts, pictures."""
    with served(folder) as get:
        tags = get("plugin/scalars/tags")
        task = "tmaze+env.length=7"
        name = f"comparison/{task}/mean"
        assert name in tags[f"comparison/{task}/gru-ppo"]
        plain = f"evaluation/{task}/return"
        assert plain in tags[f"{task}/gru-ppo+total_steps=300/20261130-120000/seed_0"]
        layout = get("plugin/custom_scalars/layout")
        charts = layout["category"][0]["chart"]
        assert [x["title"] for x in charts] == ["repeat_previous_easy", task]
        (series,) = charts[1]["margin"]["series"]
        assert series["value"] == name and set(series.values()) <= set(
            tags[f"comparison/{task}/gru-ppo"]
        )
        assert get("plugin/text/tags")["comparison"] == ["comparison"]
        assert f"comparison/{task}" in get("plugin/images/tags")["comparison"]


@contextlib.contextmanager
def served(folder):
    """TensorBoard on a folder: what it answers for a path below /data."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "tensorboard.main"]
    command += ["--logdir", str(folder), "--port", str(port), "--load_fast=false"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def get(path):
        url = f"http://localhost:{port}/data/{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.loads(answer.read())

    with subprocess.Popen(command, **quiet) as process:
        try:
            wanted = len(list(folder.rglob("*tfevents*")))
            for _ in range(600):
                with contextlib.suppress(OSError):
                    if len(get("runs")) >= wanted:
                        break
                time.sleep(0.1)
            yield get
        finally:
            process.terminate()


def test_an_older_comparison_is_replaced_and_nothing_else(written, folder, tmp_path):
    out = tmp_path / "out"
    write(written, out)
    (out / "tmaze+env.length=7" / "stale").mkdir()
    write(written, out)
    assert not (out / "tmaze+env.length=7" / "stale").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(agents.ConfigError, match="holds something else than"):
        write(written, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_where_it_is_written(folder):
    runs = find_runs([folder]).runs
    assert default_folder([str(folder)], runs) == folder / "comparison"
    named = [str(run.directory) for run in runs]
    assert default_folder(named, runs).resolve() == (folder / "comparison").resolve()
    one = default_folder([named[0]], runs[:1])
    assert one.resolve() == (folder / "comparison").resolve()


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "there"
    monkeypatch.setattr(
        "sys.argv", ["analysis", "compare", str(folder), "--out", str(out)]
    )
    main()
    text = capsys.readouterr().out
    assert f"wrote   {out / 'comparison.html'}" in text and "solved from 0.95" in text
    monkeypatch.setattr("sys.argv", ["analysis", "compare", str(tmp_path / "no")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_mean_of_a_run_is_beside_its_seeds(tmp_path):
    run = make_run(tmp_path, GRU, {0: [0.0, 1.0], 1: [0.0, 0.5]}, measure="success")
    for _ in range(2):
        show_mean(run)
    (path,) = (run / "mean").iterdir()
    events = EventAccumulator(str(path)).Reload()
    name = "evaluation/tmaze+env.length=7"
    found = {
        tag: [round(x.value, 6) for x in events.Scalars(f"{name}/{tag}")]
        for tag in ("return", "return_lower", "return_upper", "success")
    }
    assert found == {
        "return": [0.0, 0.75],
        "return_lower": [0.0, 0.5],
        "return_upper": [0.0, 1.0],
        "success": [0.0, 0.375],
    }
    assert find_runs([tmp_path]).runs[0].seeds == [0, 1]


def test_a_sweep_closes_with_its_comparison(folder, tmp_path):
    text = io.StringIO()
    runs = [run.directory for run in find_runs([folder]).runs]
    compare_runs(runs, Console(file=text, width=300))
    assert "compare " in text.getvalue() and "comparison.html" in text.getvalue()
    left = make_run(tmp_path, GRU, {0: []}, ended=None)
    compare_runs([left, left], Console(file=text, width=300))
    assert "note    no comparison: none of these runs" in text.getvalue()


def test_rows_of_few_seeds_show_a_range(written):
    (row,) = written.by_task()["repeat_previous_easy"]
    assert cells(row)[2] == "1.00 [1.00 to 1.00]"
    assert shown(Estimate(0.5, 0.25, 0.75, 4)) == "0.50 [0.25 to 0.75]"
    assert shown(Estimate(0.5, 0.25, 0.75, 4), ranged=False) == "0.50"
    assert shown(Estimate(-0.001, -0.25, 0.75, 5)) == "0.00 (-0.25 to 0.75)"
    assert shown(Estimate(0.5, 0.5, 0.5, 1)) == "0.50"


def test_models_are_told_apart_by_colour():
    """The one without memory is grey, unless there are several of those."""
    found = pictures.colors(["none-ppo", "gru-ppo", "none-ppo", "ffm-ppo"])
    assert found["none-ppo"] == pictures.GREY and len(set(found.values())) == 3
    found = pictures.colors(["none-ppo", "none-sb3_ppo", "gru-ppo"])
    assert len(set(found.values())) == 3 and pictures.GREY not in found.values()
