"""Which runs and points are sent, and when."""

import contextlib
import shutil

import pytest

from agents.convert import ConfigError
from agents.running.files.resume import locked
from agents.running.output.tensorboard import Writer
from agents.track import __main__ as command
from agents.track.backends import BACKENDS, Backend
from analysis.runs import read_run
from tests.agents.track.held import SEEDS, in_wandb, records, told, wandb_files, written


class Kept(Backend):
    """Keeps the points that were new, and whether each was said to be the last."""

    def __init__(self):
        super().__init__("memory")
        self.points, self.last = [], []

    def send(self, series, *, last):
        rows = list(self.sent.news(series))
        new = [(series.name, tag, x.step) for x in rows for tag in x.values]
        self.points += new
        self.last.append((series.name, last))
        return len(new)


def grows(run, monkeypatch):
    """The run trains still; by the second look it has gone on, by the third ended."""
    result = (run / "result.json").read_text()
    (run / "result.json").unlink()
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            writer = Writer(run / "seed_3", "tmaze")
            writer.scalars({"loss/total": 0.5}, 320)
            writer.finish(True)
        else:
            (run / "result.json").write_text(result)

    monkeypatch.setattr(command.time, "sleep", sleep)
    return looks


def test_a_run_is_followed_to_its_end(run, monkeypatch):
    before = {(f"seed_{x}", *key) for x in SEEDS for key in written(run, x)}
    looks, kept = grows(run, monkeypatch), Kept()
    count, faults = command.track([str(run)], kept, follow=True, interval=7.0)
    assert looks == [7.0, 7.0] and not faults
    assert len(kept.points) == len(set(kept.points)) == count
    assert set(kept.points) == before | {("seed_3", "loss/total", 320)}
    assert kept.points[-1] == ("seed_3", "loss/total", 320)
    assert kept.last == [(f"seed_{x}", i == 2) for i in range(3) for x in SEEDS]


def test_a_run_that_goes_on_is_followed(run, monkeypatch):
    """It was stopped and has a result; then a process took it up again."""
    looks, kept = [], Kept()
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(run))

        def sleep(seconds):
            looks.append(seconds)
            stack.close()  # it ends

        monkeypatch.setattr(command.time, "sleep", sleep)
        command.track([str(run)], kept, follow=True, interval=1.0)
    assert looks == [1.0]
    assert kept.last == [(f"seed_{x}", i == 1) for i in range(2) for x in SEEDS]


def test_without_following_it_is_looked_at_once(run, monkeypatch):
    looks, kept = grows(run, monkeypatch), Kept()
    command.track([str(run)], kept)
    assert not looks and kept.last == [("seed_3", True), ("seed_4", True)]


def test_a_followed_run_is_one_run_of_wandb(run, tmp_path, monkeypatch, capsys):
    grows(run, monkeypatch)
    told(monkeypatch, capsys, run, "--to", "wandb", "--follow")
    paths = wandb_files(tmp_path)
    assert len(paths) == 2
    for path, seed in zip(paths, SEEDS, strict=True):
        _, points = in_wandb(path)
        assert points.keys() == written(run, seed).keys()


def test_patterns_and_several_folders(run, tmp_path):
    other = shutil.copytree(run, run.with_name("20200101-000000"))
    (other / "result.json").write_text("{")
    last = shutil.copytree(run, run.with_name("20200101-000001"))
    kept = Kept()
    _, faults = command.track([f"{run.parents[1]}/*", str(run)], kept)
    assert [name for name, _ in kept.last] == ["seed_3", "seed_4"] * 2
    assert len(faults) == 1 and str(other / "result.json") in faults[0]
    ids = {x.id for path in (run, last) for x in command.series_of(read_run(path))}
    assert len(ids) == 4
    moved = shutil.move(tmp_path / "runs", tmp_path / "moved")
    again = tmp_path / "moved" / last.relative_to(tmp_path / "runs")
    assert str(moved) and {x.id for x in command.series_of(read_run(again))} < ids


def test_it_is_stopped_with_what_was_sent(run, tmp_path, monkeypatch, capsys):
    grows(run, monkeypatch)

    def interrupt(seconds):
        raise KeyboardInterrupt

    closed, close = [], BACKENDS["wandb"].close

    def noted(self):
        close(self)
        closed.append(len(self._runs))

    monkeypatch.setattr(BACKENDS["wandb"], "close", noted)
    monkeypatch.setattr(command.time, "sleep", interrupt)
    with pytest.raises(SystemExit):
        told(monkeypatch, capsys, run, "--to", "wandb", "--follow")
    assert "stopped; what was sent is kept" in capsys.readouterr().err
    assert closed == [0]
    paths = wandb_files(tmp_path)
    assert len(paths) == 2
    for path in paths:
        assert [x for x in records(path) if x.HasField("exit")]


def test_what_a_tracker_refuses_is_one_sentence(run, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    with pytest.raises(SystemExit, match="2"):
        told(monkeypatch, capsys, run, "--to", "mlflow")
    error = capsys.readouterr().err
    assert error.startswith("error: mlflow: The filesystem") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "sheets"], "--to='sheets' must be one of wandb, trackio, mlflow."),
        (
            ["--to", "mlflow", "--interval", "soon"],
            "--interval='soon' must be a number",
        ),
        ([], "required: --to"),
    ],
)
def test_mistakes_are_told(words, sentence, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["track", str(tmp_path), *words])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert sentence in capsys.readouterr().err


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        command.track([str(tmp_path)], Kept())


def test_a_missing_package_is_told(run, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        told(monkeypatch, capsys, run, "--to", "wandb")
    assert "error: --to=wandb needs wandb" in capsys.readouterr().err
