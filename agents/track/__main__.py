"""Send runs to a tracker: python -m agents.track runs --to wandb.

    python -m agents.track runs/tmaze --to trackio
    python -m agents.track 'runs/*/gru-ppo' --to mlflow --project memory --follow

Reads the event files of every run in the folders, finished or still training, and
sends what the tracker has not: a run per seed, the seeds of a run as one group, the
settings as parameters. The card's references are left out. See docs/tracking.md.
"""

import glob
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from agents.convert import ConfigError, convert
from agents.running.files.records import CONFIG_FILE, flat
from agents.running.files.resume import in_use
from agents.track.backends import BACKENDS, Backend
from agents.track.series import Row, Series
from analysis.runs import Run, find_runs
from command_line.words import Parser


def series_of(run: Run) -> Iterator[Series]:
    """Every seed of a run, as far as it has come."""
    group = "/".join(run.directory.resolve().parts[-3:])
    group_id = hashlib.sha256(group.encode()).hexdigest()[:16]
    ended = None if _trains(run) or run.result is None else run.result["ended"]
    for seed in run.seeds:
        config = {**flat(run.config), "seed": seed}
        yield Series(
            id=f"{group_id}-{seed}",
            group_id=group_id,
            group=group,
            name=f"seed_{seed}",
            config=config,
            rows=_rows(run, seed),
            ended=ended,
        )


def _trains(run: Run) -> bool:
    """Whether a process is at it: a run that goes on has the result of its stop."""
    return in_use(run.directory)


def _rows(run: Run, seed: int) -> list[Row]:
    """What a seed wrote, by step; of two points of one tag and step the later one."""
    rows: dict[int, Row] = {}
    for tag in run.tags(seed):
        curve = run.curve(seed, tag)
        assert curve is not None
        for step, value, at in zip(*map(list, curve), strict=True):
            row = rows.setdefault(int(step), Row(int(step), float(at), {}))
            row.values[tag] = float(value)
            rows[row.step] = row._replace(time=max(row.time, float(at)))
    return [rows[step] for step in sorted(rows)]


def track(
    folders: Sequence[str],
    backend: Backend,
    *,
    follow: bool = False,
    interval: float = 30.0,
) -> tuple[int, list[str]]:
    """Send all runs in some folders.

    Args:
        folders: of runs, or patterns of such.
        backend: where to.
        follow: whether to go on until all of the runs have ended.
        interval: seconds between two looks.

    Returns:
        How many points were sent, and a sentence for each run that cannot be read.

    Raises:
        ConfigError: no run there.
    """
    count = 0
    while True:
        found = find_runs(_matching(folders))
        waiting = follow and any(x.result is None or _trains(x) for x in found.runs)
        for run in found.runs:
            for series in series_of(run):
                last = series.ended is not None or not follow
                count += backend.send(series, last=last)
        if not waiting:
            return count, found.faults
        time.sleep(interval)


def _matching(folders: Sequence[str]) -> list[str]:
    """Folders in place of patterns, without those of references beside the runs."""
    named = [name for x in folders for name in sorted(glob.glob(x)) or [x]]
    empty = {x for x in named if Path(x).is_dir() and not _holds_run(Path(x))}
    return [x for x in named if x not in empty] or named


def _holds_run(folder: Path) -> bool:
    return next(folder.rglob(CONFIG_FILE), None) is not None


def main() -> None:
    """Read the command line, send, say how much was new."""
    parser = Parser("python -m agents.track", __doc__)
    parser.add_argument("folders", nargs="+", help="runs, folders of runs, or patterns")
    parser.add_argument("--to", required=True, help=", ".join(BACKENDS))
    parser.add_argument("--project", default="engram", help="default: engram")
    parser.add_argument("--follow", action="store_true", help="until all have ended")
    parser.add_argument("--interval", default="30", help="seconds between looks")
    asked = parser.parse_args()
    try:
        interval = convert(asked.interval, float, "--interval")
        count, faults = _send(asked, interval)
    except (ConfigError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    print(f"{count:,} new points in project {asked.project} of {asked.to}")


def _send(asked: Any, interval: float) -> tuple[int, list[str]]:
    """Do what is asked for, and close the tracker however that ends."""
    if asked.to not in BACKENDS:
        raise ConfigError(f"--to={asked.to!r} must be one of {', '.join(BACKENDS)}.")
    kind = BACKENDS[asked.to]
    kind.check()
    try:
        with closing(kind(asked.project)) as backend:
            return track(asked.folders, backend, follow=asked.follow, interval=interval)
    except KeyboardInterrupt:
        raise ConfigError("stopped; what was sent is kept.") from None
    except ConfigError:
        raise
    except kind.errors() as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise ConfigError(f"{asked.to}: {reason}.") from error


if __name__ == "__main__":
    main()
