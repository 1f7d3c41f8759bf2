"""What trackers hold is what the event files of the runs hold, and once."""

import datetime
import json

import pytest
import wandb
from trackio.sqlite_storage import SQLiteStorage

from agents.convert import ConfigError
from agents.track import __main__ as command
from agents.track.backends import BACKENDS
from analysis.runs import read_run
from tests.agents.track.held import (
    SEEDS,
    at_last,
    in_mlflow,
    in_wandb,
    points_in_mlflow,
    same,
    told,
    wandb_files,
    written,
)


def test_wandb(run, tmp_path, monkeypatch, capsys):
    words = (tmp_path / "runs", "--to", "wandb", "--project", "memory")
    count = sum(len(written(run, seed)) for seed in SEEDS)
    assert told(monkeypatch, capsys, *words).startswith(f"{count:,} new points")
    told(monkeypatch, capsys, *words)
    files = wandb_files(tmp_path)
    assert len({path.name for path in files}) == 2  # and none of references
    groups = set()
    for path, seed in zip(files[::2], SEEDS, strict=True):
        about, points = in_wandb(path)
        same(points, at_last(written(run, seed)))
        config = {x.key: json.loads(x.value_json) for x in about.config.update}
        assert config["env.length"] == 3 and config["seed"] == seed
        assert about.project == "memory" and about.resume
        assert about.display_name.endswith(f"{run.name}/seed_{seed}")
        groups.add(about.run_group)
    assert groups == {"/".join(run.parts[-3:])}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_package_is_named(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"needs {name}.*pip install.*\[{name}\]"):
        BACKENDS[name].check()


def test_a_run_that_wandb_has_gets_what_comes_after(run, monkeypatch):
    """Online it says at which step a run goes on."""
    logged, told = [], {}

    class Online:
        starting_step = 101

        def log(self, values, step):
            logged.append((step, values))

        def finish(self, exit_code):
            told["exit"] = exit_code

    def init(**settings):
        told.update(settings)
        return Online()

    monkeypatch.setattr(wandb, "init", init)
    backend = BACKENDS["wandb"]("engram")
    series = next(iter(command.series_of(read_run(run))))
    assert backend.send(series._replace(ended="not finite"), last=True) == 3
    assert [step for step, _ in logged] == [200] and told["exit"] == 1
    assert told["id"] == series.id and told["resume"] == "allow"


def test_trackio(run, tmp_path, monkeypatch, capsys):
    words = (run, "--to", "trackio")
    count = sum(len(written(run, seed)) for seed in SEEDS)
    assert told(monkeypatch, capsys, *words).startswith(f"{count:,} new points")
    assert told(monkeypatch, capsys, *words).startswith("0 new points")
    group = "/".join(run.parts[-3:])
    kept = {x["name"]: x["id"] for x in SQLiteStorage.get_run_records("engram")}
    assert kept.keys() == {f"{group}/seed_{seed}" for seed in SEEDS}
    for seed in SEEDS:
        id = kept[f"{group}/seed_{seed}"]
        points = {}
        for entry in SQLiteStorage.get_logs("engram", None, run_id=id):
            at = datetime.datetime.fromisoformat(entry["timestamp"]).timestamp()
            (tag,) = entry.keys() - {"timestamp", "step"}
            points[tag, entry["step"]] = (entry[tag], at)
        same(points, at_last(written(run, seed)))
        config = SQLiteStorage.get_run_config("engram", None, run_id=id)
        assert config["env.length"] == 3 and config["seed"] == seed
        assert config["_Group"] == group


def test_mlflow(run, tmp_path, monkeypatch, capsys):
    words = (run, "--to", "mlflow")
    count = sum(len(written(run, seed)) for seed in SEEDS)
    assert told(monkeypatch, capsys, *words).startswith(f"{count:,} new points")
    assert told(monkeypatch, capsys, *words).startswith("0 new points")
    group, *seeds = in_mlflow()
    assert group.info.run_name == "/".join(run.parts[-3:])
    assert [x.info.run_name for x in seeds] == ["seed_3", "seed_4"]
    for found, seed in zip(seeds, SEEDS, strict=True):
        assert found.data.tags["mlflow.parentRunId"] == group.info.run_id
        assert found.data.params["env.length"] == "3"
        assert found.data.params["seed"] == str(seed)
        assert found.info.status == "FINISHED"
        expected = {
            (tag.replace("+", "_").replace("=", "_"), step): point
            for (tag, step), point in at_last(written(run, seed)).items()
        }
        same(points_in_mlflow(found), expected)
    for ended, status in (("stopped by SIGTERM", "KILLED"), ("not finite", "FAILED")):
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, "ended": ended}))
        assert told(monkeypatch, capsys, *words).startswith("0 new points")
        assert {x.info.status for x in in_mlflow()} == {status}
