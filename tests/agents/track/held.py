"""Reading back what runs and trackers hold: (tag, step) -> value, time."""

import json
import struct
from collections.abc import Iterator

import mlflow
import numpy as np
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.track import __main__ as command
from agents.track.backends import _without_warnings

SEEDS = (3, 4)


def told(monkeypatch, capsys, *words):
    """What the command prints."""
    monkeypatch.setattr("sys.argv", ["track", *map(str, words)])
    command.main()
    return capsys.readouterr().out


def written(run, seed):
    """Points of a seed, read with TensorBoard alone: (tag, step) -> value, time."""
    events = EventAccumulator(str(run / f"seed_{seed}"), size_guidance={"scalars": 0})
    events.Reload()
    return {
        (tag, x.step): (x.value, x.wall_time)
        for tag in events.Tags()["scalars"]
        for x in events.Scalars(tag)
    }


def same(found, expected):
    """Whether points are equal, times to a millisecond."""
    assert found.keys() == expected.keys() and expected
    for key, (value, time) in expected.items():
        assert np.array_equal(found[key][0], value, equal_nan=True), key
        assert abs(found[key][1] - time) < 2e-3, key


def at_last(points):
    """Points with the time of the last one of their step."""
    latest = {}
    for (_, step), (_, time) in points.items():
        latest[step] = max(time, latest.get(step, 0))
    return {key: (value, latest[key[1]]) for key, (value, _) in points.items()}


def records(path) -> Iterator:
    """The records of a .wandb file: a log of blocks of 32 KiB, as LevelDB's."""
    from wandb.proto import wandb_internal_pb2

    data, position, whole = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def wandb_files(tmp_path):
    """Files of runs, by id and time, once all is in them."""
    wandb.teardown()
    return sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"), key=lambda x: x.name)


def in_wandb(path):
    """The run in a .wandb file, and its points."""
    about, points = None, {}
    for record in records(path):
        if record.HasField("run"):
            about = record.run
        if record.HasField("history"):
            items = {
                x.key or x.nested_key[0]: json.loads(x.value_json)
                for x in record.history.item
            }
            for tag, value in items.items():
                if not tag.startswith("_"):
                    points[tag, items["_step"]] = (value, items["_timestamp"])
    return about, points


def in_mlflow():
    """The group and its runs, by name."""
    with _without_warnings():
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name("engram").experiment_id
        runs = client.search_runs([experiment])
    return sorted(runs, key=lambda x: ("/" not in x.info.run_name, x.info.run_name))


def points_in_mlflow(found):
    with _without_warnings():
        client = mlflow.MlflowClient()
        return {
            (key, x.step): (x.value, x.timestamp / 1000)
            for key in found.data.metrics
            for x in client.get_metric_history(found.info.run_id, key)
        }
