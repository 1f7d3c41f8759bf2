"""The trackers: each takes series, and knows or asks which of their points it has."""

import abc
import datetime
import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from agents.convert import ConfigError
from agents.track.series import Row, Sent, Series


class Backend(abc.ABC):
    """A tracker.

    Attributes:
        name: of it, of the package that it needs, and of the extra that installs that.
        project: under which everything is kept.
    """

    name: ClassVar[str]

    def __init__(self, project: str):
        """Connect."""
        self.project, self.sent = project, Sent()

    @classmethod
    def check(cls) -> None:
        """Raise ConfigError if its package is not installed."""
        if importlib.util.find_spec(cls.name) is None:
            raise ConfigError(
                f"--to={cls.name} needs {cls.name}, which is not installed: pip "
                f"install -c constraints.txt -e '.[{cls.name}]'."
            )

    @classmethod
    def errors(cls) -> tuple[type[Exception], ...]:
        """What its package raises where it cannot do what is asked."""
        return (ValueError,)

    @abc.abstractmethod
    def send(self, series: Series, *, last: bool) -> int:
        """Send what is new of a series.

        Args:
            series: all of it so far.
            last: whether no more of it will be sent.

        Returns:
            How many points were new.
        """

    def close(self) -> None:  # noqa: B027
        """Finish what is still open."""


class Wandb(Backend):
    """Weights & Biases: a run per seed; online or, with WANDB_MODE=offline, in files.

    A run that is there already gets the steps beyond its last one. Offline nobody can
    be asked: every call writes the whole series, under the same id.
    """

    name = "wandb"

    def __init__(self, project: str):
        super().__init__(project)
        self._runs: dict[str, Any] = {}

    @classmethod
    def errors(cls) -> tuple[type[Exception], ...]:
        """Such as no account."""
        from wandb.errors import Error

        return (Error, ValueError)

    def send(self, series: Series, *, last: bool) -> int:
        """Send what is new of a series."""
        if series.id not in self._runs:
            self._runs[series.id] = self._open(series)
        run, count = self._runs[series.id], 0
        for row in self.sent.news(series):
            if row.step >= run.starting_step:
                run.log({**row.values, "_timestamp": row.time}, step=row.step)
                count += len(row.values)
        if last:
            code = 0 if series.ended in (None, "complete") else 1
            self._runs.pop(series.id).finish(exit_code=code)
        return count

    def close(self) -> None:
        """Finish the runs that still train, as far as they came."""
        while self._runs:
            self._runs.popitem()[1].finish()

    def _open(self, series: Series) -> Any:
        import wandb

        settings = wandb.Settings(  # about this process, which trained nothing
            console="off",
            disable_code=True,
            disable_git=True,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        return wandb.init(
            project=self.project,
            id=series.id,
            name=f"{series.group}/{series.name}",
            group=series.group,
            config=series.config,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )


class Trackio(Backend):
    """Trackio's local store: a run per seed, where a point has an id of its own."""

    name = "trackio"

    def send(self, series: Series, *, last: bool) -> int:
        """Send what is new of a series."""
        from trackio.sqlite_storage import SQLiteStorage

        rows = list(self.sent.news(series))
        points = [(row, tag) for row in rows for tag in row.values]
        before = SQLiteStorage.get_log_count(self.project, None, run_id=series.id)
        SQLiteStorage.bulk_log(
            project=self.project,
            run=f"{series.group}/{series.name}",
            run_id=series.id,
            metrics_list=[{tag: row.values[tag]} for row, tag in points],
            steps=[row.step for row, _ in points],
            timestamps=[_iso(row.time) for row, _ in points],
            log_ids=[f"{series.id}:{row.step}:{tag}" for row, tag in points],
            config={**series.config, "_Group": series.group},
        )
        after = SQLiteStorage.get_log_count(self.project, None, run_id=series.id)
        return after - before


class Mlflow(Backend):
    """MLflow, wherever MLFLOW_TRACKING_URI says: a run per seed below one per group.

    The store is asked which points it has.
    """

    name = "mlflow"
    BATCH = 100
    """Points or parameters of one request; MLflow takes as many parameters."""

    def __init__(self, project: str):
        super().__init__(project)
        from mlflow import MlflowClient

        with _without_warnings():
            self._client = MlflowClient()
            found = self._client.get_experiment_by_name(project)
            self._experiment = (
                self._client.create_experiment(project)
                if found is None
                else found.experiment_id
            )
        self._runs: dict[str, str] = {}

    @classmethod
    def errors(cls) -> tuple[type[Exception], ...]:
        """Such as no store there."""
        from mlflow import MlflowException

        return (MlflowException,)

    def send(self, series: Series, *, last: bool) -> int:
        """Send what is new of a series."""
        series = series._replace(rows=[_allowed(row) for row in series.rows])
        with _without_warnings():
            group = self._run(series.group_id, series.group, series, {})
            below = {"mlflow.parentRunId": group}
            run = self._run(series.id, series.name, series, below)
            count = self._log(run, self.sent.news(series))
            if series.ended is not None:
                status = {"complete": "FINISHED", "not finite": "FAILED"}
                ended = status.get(series.ended, "KILLED")
                end = max((_milliseconds(row.time) for row in series.rows), default=0)
                for each in (run, group):
                    self._client.set_terminated(each, ended, end)
        return count

    def _run(self, id: str, name: str, series: Series, tags: dict[str, str]) -> str:
        """The run of an id, begun if it is not there."""
        if id in self._runs:
            return self._runs[id]
        found = self._client.search_runs(
            [self._experiment], f"tags.`engram.id` = '{id}'"
        )
        if found:
            self._runs[id] = found[0].info.run_id
            for key in found[0].data.metrics:
                for point in self._client.get_metric_history(self._runs[id], key):
                    self.sent.note(id, point.step, key)
        else:
            start = _milliseconds(series.rows[0].time) if series.rows else None
            tags = {"engram.id": id, **tags}
            made = self._client.create_run(self._experiment, start, tags, name)
            self._runs[id] = made.info.run_id
            self._parameters(self._runs[id], series.config)
        return self._runs[id]

    def _parameters(self, run: str, config: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:6000]) for key, value in config.items()]
        for i in range(0, len(params), self.BATCH):
            self._client.log_batch(run, params=params[i : i + self.BATCH])

    def _log(self, run: str, rows: Iterator[Row]) -> int:
        from mlflow.entities import Metric

        points = [
            Metric(tag, value, _milliseconds(row.time), row.step)
            for row in rows
            for tag, value in row.values.items()
        ]
        for i in range(0, len(points), self.BATCH):
            self._client.log_batch(run, metrics=points[i : i + self.BATCH])
        return len(points)


BACKENDS: dict[str, type[Backend]] = {x.name: x for x in (Wandb, Trackio, Mlflow)}
"""By the name that `--to` takes."""


def _allowed(row: Row) -> Row:
    """Tags as MLflow lets metrics be called: no '+' and '='."""
    values = {re.sub(r"[^\w\-. /:]", "_", tag): x for tag, x in row.values.items()}
    return row._replace(values=values)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """A package's warnings about its own packages are nothing to us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
