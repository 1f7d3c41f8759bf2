"""A search whose runs train nothing: what a run leaves, without its hours."""

import copy
import functools
import io
import json
import math
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console

from agents.evaluate import Score
from agents.running.overrides import check
from agents.search.loop import search
from agents.search.settings import read
from agents.search.study import Study

WORDS = [
    *("memory=none", "memory.output_size=4", "agent.encoder_size=4", "num_seeds=2"),
    *("total_steps=400", "evaluation.interval=100", "env.length=3"),
]
RATE = "agent.learning_rate=log(1e-4,1e-2)"


def light_check(words):
    """As `check`, composing only once what differs in the learning rate alone."""
    *others, last = words
    name, _, value = last.partition("=")
    if name != "agent.learning_rate":
        return check(words)
    told = [word for word in others if not word.startswith("run_directory=")]
    (config,) = copy.deepcopy(_composed(tuple(told)))
    config["agent"]["learning_rate"] = float(value)
    folders = [x for x in others if x.startswith("run_directory=")]
    config["run_directory"] = folders[-1].partition("=")[2]
    return [config]


@functools.cache
def _composed(words):
    return check(words)


class Killed(BaseException):
    """What ends a process where it stands."""


class Run:
    """In place of `agents.run`: two seeds that reach what `value` says, step by step.

    Attributes:
        configs: of every call.
        evaluations: steps told to the watcher, of every call.
    """

    def __init__(self, value=None, dies=None):
        self.value = value or (lambda config: -abs(rate(config) + 3))
        self.dies = dies  # exception by number of the call, and the step it comes at
        self.configs, self.evaluations = [], []

    def __call__(self, config, console, watcher):
        call = len(self.configs)
        self.configs.append(config)
        self.evaluations.append([])
        directory = config["resume"]
        if directory is None:
            directory = (
                Path(config["run_directory"]) / "fake" / f"{rate(config)}-{call}"
            )
            directory.mkdir(parents=True)
            OmegaConf.save(OmegaConf.create(config), directory / "config.yaml")
        directory = Path(directory)
        watcher.began(directory)
        value, ended, step = self.value(config), "complete", 0
        for step in range(0, 401, 100):
            error, at = (self.dies or {}).get(call, (None, None))
            if step == at:
                raise error
            self.evaluations[-1].append(step)
            scores = [score(value + seed - step / 1000) for seed in (0.0, 0.5)]
            if not watcher.evaluated(step, scores) and step < 400:
                ended = "stopped early"
                break
        record = record_of([value, value + 0.5], ended, step)
        (directory / "result.json").write_text(json.dumps(record))
        return Result(record)


class Result:
    """A result that is its record."""

    def __init__(self, record):
        self._record = record

    def record(self):
        return self._record


def rate(config):
    """The exponent of the learning rate."""
    return math.log10(config["agent"]["learning_rate"])


def score(mean):
    return Score(mean, mean, mean, 100, 5.0, 0.5, 0, 0.4, 0.6)


def record_of(values, ended="complete", step=400):
    """What `result.json` says of seeds with these returns; nan is not finite."""
    seeds = [
        {
            "seed": number,
            "return": value,
            "success": 0.5,
            "not_finite": "the loss" if math.isnan(value) else None,
        }
        for number, value in enumerate(values)
    ]
    together = {"return_lower": -9.0, "return_upper": 9.0}
    return {
        "ended": ended,
        "evaluated_at": step,
        "seeds": seeds,
        "together": together,
    }


def start(folder, *words, run=None, ranges=(RATE,)):
    """Search, and return the exit status, what was printed, and the run function."""
    run = run or Run()
    text = io.StringIO()
    asked = read([*WORDS, *ranges, f"run_directory={folder}", *words])
    status = search(asked, Console(file=text, width=250), run)
    return status, text.getvalue(), run


def trials(folder, *words, ranges=(RATE,)):
    """The trials of the study, as they are kept."""
    study = Study(read([*WORDS, *ranges, f"run_directory={folder}", *words]))
    try:
        return study.own.get_trials()
    finally:
        study.close()
