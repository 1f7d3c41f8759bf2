"""What a search came to: lines, a table, a file, TensorBoard, and the best command."""

import csv
import math
import shlex
from typing import Any

from rich.console import Console

from agents.running.output.names import task_name
from agents.running.output.report import add_row, new_table, print_table
from agents.running.output.tensorboard import Writer
from agents.search.settings import Search
from agents.search.sharing import turn
from agents.search.study import Study
from agents.search.trial import Outcome
from envs.words import value_of

TABLE_FILE = "trials.csv"
BOARD = "trials"
"""Folder of the study with a row of TensorBoard's table of runs for each trial."""

SHOWN = 30
"""Rows of the table that is printed; the file has all."""

METRICS = ("search/value", "search/lower", "search/upper", "search/steps")
_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


def note(trial: Any, outcome: Outcome) -> None:
    """Keep with a trial what Optuna has no place for."""
    for name in ("seeds", "lower", "upper", "steps", "why"):
        value = getattr(outcome, name)
        if value not in (None, ()):
            kept = list(value) if isinstance(value, tuple) else value
            trial.set_user_attr(name, kept)


def line(number: int, outcome: Outcome) -> str:
    """How a trial ended, in one line."""
    told = outcome.why or value_and_spread(outcome.value, outcome.lower, outcome.upper)
    return f"trial {number:3}  {_WORDS[outcome.state]:8}  {told}"


def value_and_spread(
    value: float | None, lower: float | None, upper: float | None
) -> str:
    """A value, and between what its seeds lie."""
    if value is None or not math.isfinite(value):
        return ""
    spread = "" if lower is None or upper is None else f" [{lower:.3f} to {upper:.3f}]"
    return f"{value:.3f}{spread}"


def ordered(study: Study) -> list[Any]:
    """All trials: complete ones from the best, then the pruned, then the others."""
    states = ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]

    def key(trial: Any) -> tuple[int, float, int]:
        rank = states.index(trial.state.name)
        value = trial.value if trial.value is not None else -math.inf
        return rank, -value, trial.number

    return sorted(study.trials(), key=key)


def drawn(search: Search, trial: Any) -> dict[str, str]:
    """The values of a trial by setting, as on the command line."""
    known = {one.key: one for one in search.ranges}
    return {
        key: known[key].text(trial.params[key]) for key in known if key in trial.params
    }


def best(study: Study) -> Any | None:
    """The complete trial of the highest value, the first of equals; None without."""
    return next((t for t in ordered(study) if t.state.name == "COMPLETE"), None)


def command(search: Search, trial: Any) -> str:
    """The command that trains as a trial did, ready to paste."""
    words = [*search.words, *(f"{k}={v}" for k, v in drawn(search, trial).items())]
    return shlex.join(["python", "train.py", *words])


def tell(search: Search, study: Study, console: Console) -> None:
    """Print the table and the best command; write the file and TensorBoard's part."""
    rows = [cells(search, trial) for trial in ordered(study)]
    keys = [one.key for one in search.ranges]
    titles = ["trial", "ended", str(search.settings.metric), "seeds", "steps"]
    table = new_table(*titles, *keys)
    for row in rows[:SHOWN]:
        add_row(table, *row[:-1])  # the file says where the runs are
    print_table(table, console)
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN} more", highlight=False)
    with turn(search.folder):
        path = search.folder / TABLE_FILE
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([[*titles, *keys, "run"], *rows])
        write_board(search, study)
    counts = {word: sum(row[1] == word for row in rows) for word in _WORDS.values()}
    told = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    console.print(f"study   {search.settings.study}: {told}", highlight=False)
    board = search.folder / BOARD
    for text in (f"table   {path}", f"board   tensorboard --logdir {board}"):
        console.print(text, highlight=False, soft_wrap=True)
    winner = best(study)
    if winner is None:
        console.print("best    none: no trial is complete", highlight=False)
        return
    attrs = winner.user_attrs
    value = value_and_spread(winner.value, attrs.get("lower"), attrs.get("upper"))
    told = f"best    trial {winner.number}: {value}, {attrs.get('directory')}"
    console.print(told, highlight=False, soft_wrap=True)
    console.print(command(search, winner), highlight=False, soft_wrap=True)


def cells(search: Search, trial: Any) -> list[str]:
    """A trial as a row of the table."""
    attrs, values = trial.user_attrs, drawn(search, trial)
    failed = trial.state.name == "FAIL"
    spread = ""
    if "lower" in attrs and not failed:
        spread = f"{attrs['lower']:.3f} to {attrs['upper']:.3f}"
    has_value = trial.value is not None and not failed
    return [
        str(trial.number),
        _WORDS[trial.state.name],
        f"{trial.value:.3f}" if has_value else "",
        spread,
        f"{attrs['steps']:,}" if "steps" in attrs else "",
        *(values.get(one.key, "") for one in search.ranges),
        attrs["why"] if failed and "why" in attrs else attrs.get("directory", ""),
    ]


def write_board(search: Search, study: Study) -> None:
    """A row of TensorBoard's table of runs for each trial that ended; call in `turn`.

    The runs themselves are rows there too, with all their settings; here are only
    those that were searched over, beside the value and its spread.
    """
    for trial in study.trials("COMPLETE", "PRUNED"):
        folder = search.folder / BOARD / f"trial_{trial.number:03}"
        if folder.exists() or trial.value is None:
            continue
        steps = trial.user_attrs.get("steps", 0)
        writer = Writer(folder, task_name(search.config))
        settings = {k: value_of(v) for k, v in drawn(search, trial).items()}
        ended = {"ended": _WORDS[trial.state.name]}
        writer.hparams({**settings, **ended}, METRICS)
        scalars = {
            "search/value": trial.value,
            "search/lower": trial.user_attrs.get("lower", trial.value),
            "search/upper": trial.user_attrs.get("upper", trial.value),
            "search/steps": float(steps),
        }
        writer.scalars(scalars, steps)
        writer.finish(trial.state.name == "COMPLETE")
