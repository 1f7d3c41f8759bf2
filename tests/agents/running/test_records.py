"""The folder of a run, and what is written in it."""

import dataclasses
import json

from agents.running.configuration.config import build
from agents.running.files import records
from agents.running.files.records import flat, make_run_directory, write_records
from agents.running.files.resume import saved_config
from agents.running.overrides import compose_config


def plan_in(folder):
    return build(compose_config(["experiment=smoke", f"run_directory={folder}"]))


def test_two_runs_in_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(records.time, "strftime", lambda *_: "20260101-000000")
    plan = plan_in(tmp_path)
    first, second = (make_run_directory(plan, tmp_path / "a") for _ in range(2))
    assert second.name == f"{first.name}-2" and first.parent == second.parent
    assert saved_config(first) == saved_config(second)


def test_what_is_written_is_whole_and_resumes_from_nowhere(tmp_path):
    plan = plan_in(tmp_path)
    write_records(plan, tmp_path)
    changed = {**plan.config, "resume": "elsewhere", "total_steps": 7}
    write_records(dataclasses.replace(plan, config=changed), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.yaml", "versions.json"}
    saved = saved_config(tmp_path)
    assert saved["resume"] is None and saved["total_steps"] == 7
    assert json.loads((tmp_path / "versions.json").read_text())["python"]


def test_nested_settings_have_dotted_names():
    tree = {"a": {"b": {"c": 1}, "d": None}, "e": [2]}
    assert flat(tree) == {"a.b.c": 1, "a.d": None, "e": [2]}
