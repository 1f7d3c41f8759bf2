"""What is written for TensorBoard, point by point, and what is cut off on resume."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

import envs
from agents.evaluate import Score
from agents.running.output.logs import Logs, event_sizes, purge
from agents.running.output.names import tag_of
from agents.running.output.plan import _returns
from agents.running.output.report import tell_scores
from agents.running.output.tensorboard import Writer, write_references
from agents.running.overrides import compose_config
from envs.base import exact

SEEDS = [4, 9]
CONFIG = compose_config(["env.length=7", "agent.gamma=0.5"])
TASK = "tmaze+env.length=7"
SHARED = {"time/steps_per_second": 5.0}
NOTHING = float("nan")


@pytest.fixture
def logs(tmp_path):
    opened = Logs(tmp_path / TASK / "a" / "b", SEEDS, CONFIG)
    yield opened
    for writer in opened.writers:
        writer.finish(True)


def curve(folder, tag):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tag = tag_of(tag, TASK)
    if tag not in events.Tags()["scalars"]:
        return []
    return [(point.step, point.value) for point in events.Scalars(tag)]


def curves(logs, tag):
    logs.flush()
    return [curve(logs.directory / f"seed_{seed}", tag) for seed in SEEDS]


def test_a_point_is_the_mean_over_all_that_waited(logs):
    logs.add({"loss/total": np.asarray([[1.0, 2.0], [10.0, 20.0]])})
    logs.add({"loss/total": np.asarray([[6.0], [60.0]])})
    logs.add({"train/return": np.asarray([[NOTHING, 3.0], [NOTHING, NOTHING]])})
    logs.write(SHARED, 30, frozen=())
    logs.add({"loss/total": np.asarray([[7.0], [70.0]])})
    logs.write(SHARED, 40, frozen=(0,))
    assert curves(logs, "loss/total") == [[(30, 3)], [(30, 30), (40, 70)]]
    assert curves(logs, "train/return") == [[(30, 3)], []]
    assert curves(logs, "time/steps_per_second") == [[(30, 5)], [(30, 5), (40, 5)]]


def test_references_are_of_what_the_card_measures(logs):
    card = envs.make("TMaze-v0").card
    for measure in ("return", "success"):
        folder = logs.directory / measure
        told = dataclasses.replace(card, measure=measure)
        write_references(folder, told, TASK, 30)
        points = curve(folder / "reference" / "memoryless", f"evaluation/{measure}")
        assert points == [(0, 0.5), (30, 0.5)]


def test_references_are_there_once_and_reach_the_last_step_of_any_run(tmp_path):
    card = envs.make("TMaze-v0").card
    folder = tmp_path / "reference" / "memoryless"
    changed = dataclasses.replace(card, memoryless=exact(0.25))
    for told, last, expected in (
        (card, 30, [(0, 0.5), (30, 0.5)]),
        (card, 20, [(0, 0.5), (30, 0.5)]),
        (card, 40, [(0, 0.5), (40, 0.5)]),
        (changed, 10, [(0, 0.25), (10, 0.25)]),
    ):
        write_references(tmp_path, told, TASK, last)
        assert curve(folder, "evaluation/return") == expected
        assert len(list(folder.glob("*tfevents*"))) == 1


def test_a_run_that_was_moved_has_references_of_its_own(tmp_path):
    card = envs.make("TMaze-v0").card
    for name in ("elsewhere", TASK):
        logs = Logs(tmp_path / name / "gru-ppo" / "time", SEEDS, CONFIG)
        logs.write_references(card, 10)
        logs.finish(True, frozen=())
    found = {str(x.relative_to(tmp_path)) for x in tmp_path.rglob("reference")}
    assert found == {"elsewhere/gru-ppo/time/reference", f"{TASK}/reference"}


def test_plan_and_table_say_what_the_card_measures():
    card = envs.make("TMaze-v0").card
    for measure, plan, table in (
        ("return", "floor -0.98", "returns (floor -0.98"),
        ("success", "success: floor -0.98", "success (floor -0.98"),
    ):
        told = dataclasses.replace(card, measure=measure)
        assert _returns(told).startswith(plan)
        console = Console(file=io.StringIO(), width=200)
        tell_scores([("seed 0", None, "none")], told, console)
        assert console.file.getvalue().lstrip().startswith(table)


def test_scores_are_those_of_their_seeds(logs):
    first = Score(0.5, 0.25, 0.75, 10, 3.0, None, 0)
    second = Score(2.0, 1.0, 4.0, 10, 6.0, 0.5, 0)
    logs.write_scores([first, second], 10, frozen=())
    logs.write_scores([first, second], 20, frozen=(1,))
    expected = {
        "return": [[(10, 0.5), (20, 0.5)], [(10, 2)]],
        "return_lower": [[(10, 0.25), (20, 0.25)], [(10, 1)]],
        "return_upper": [[(10, 0.75), (20, 0.75)], [(10, 4)]],
        "episode_length": [[(10, 3), (20, 3)], [(10, 6)]],
        "success": [[], [(10, 0.5)]],
    }
    for name, points in expected.items():
        assert curves(logs, f"evaluation/{name}") == points


def test_a_nan_is_news_unless_it_may_be_missing(tmp_path):
    writer = Writer(tmp_path, TASK)
    writer.scalars({"loss/total": NOTHING, "train/return": NOTHING}, 1)
    writer.finish(True)
    assert curve(tmp_path, "train/return") == []
    ((step, value),) = curve(tmp_path, "loss/total")
    assert step == 1 and np.isnan(value)


def test_how_it_ended_is_told(tmp_path):
    for name, succeeded in (("good", True), ("bad", False)):
        logs = Logs(tmp_path / name, SEEDS, CONFIG)
        logs.finish(succeeded, frozen={1: "somewhere"})
    told = []
    for name in ("good", "bad"):
        for seed in SEEDS:
            events = EventAccumulator(str(tmp_path / name / f"seed_{seed}")).Reload()
            content = events.summary_metadata["_hparams_/session_end_info"].plugin_data
            parsed = plugin_data_pb2.HParamsPluginData.FromString(content.content)
            told.append(parsed.session_end_info.status)
    success, failure = api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE
    assert told == [success, failure, failure, failure]


def test_what_came_after_the_checkpoint_is_cut_off(logs):
    logs.add({"loss/total": np.asarray([[1.0], [2.0]])})
    logs.write(SHARED, 10, frozen=())
    logs.flush()
    sizes = event_sizes(logs.directory, SEEDS)
    logs.add({"loss/total": np.asarray([[3.0], [4.0]])})
    logs.write(SHARED, 20, frozen=())
    assert curves(logs, "loss/total") == [[(10, 1), (20, 3)], [(10, 2), (20, 4)]]
    later = Writer(logs.directory / "seed_4", TASK)
    later.scalars({"loss/total": 5.0}, 30)
    later.finish(True)
    purge(logs.directory, sizes, SEEDS)
    assert event_sizes(logs.directory, SEEDS) == sizes
    assert curves(logs, "loss/total") == [[(10, 1)], [(10, 2)]]
