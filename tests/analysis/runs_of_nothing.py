"""Plans, scores and folders that no run was made for."""

import json

from agents import evaluate
from agents.running.configuration.config import build
from agents.running.files.records import write_records
from agents.running.output.results import RESULT_FILE
from agents.running.overrides import compose_config


def plan_of(*words):
    """What a command line describes, without a check of the user's classes."""
    return build({**compose_config(words), "check": False})


def write_run(folder, *words, verdicts=()):
    """The folder of a run that trained nothing: settings, and a result by seeds."""
    write_records(plan_of(*words), folder)
    if verdicts:
        seeds = [{"seed": n, "verdict": told} for n, told in enumerate(verdicts)]
        names = ("ended", "measure", "references")
        record = {**dict.fromkeys(names, "return"), "seeds": seeds}
        (folder / RESULT_FILE).write_text(json.dumps(record))
    return folder


def a_score(mean, success=0.5, unfinished=0):
    """Of one seed, with narrow intervals."""
    known = success is not None
    return evaluate.Score(
        mean=mean,
        lower=mean - 1e-9,
        upper=mean + 1e-9,
        episodes=400,
        length=5.0,
        success=success,
        unfinished=unfinished,
        success_lower=success - 0.02 if known else None,
        success_upper=success + 0.02 if known else None,
    )
