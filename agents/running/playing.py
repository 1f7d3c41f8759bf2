"""A saved run, played on other settings: what `python -m agents.evaluate` does."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from agents import evaluate
from agents.convert import ConfigError, nearest
from agents.running.configuration.config import Plan, build
from agents.running.evaluator import Evaluator
from agents.running.files.records import flat
from agents.running.files.resume import resumed_config
from agents.running.jobs.signals import StopRequest
from agents.running.output.results import across_seeds, score_record
from agents.running.overrides import compose_config
from agents.running.trained import restore
from envs.base import Card
from envs.words import value_of

SETTINGS = ("episodes", "exploration", "step_limit")
"""Settings of evaluations that may differ from the run's, beside the task's."""


@dataclasses.dataclass(frozen=True)
class Played:
    """How the newest policies of a run did.

    Attributes:
        run: the folder.
        plan: as the run's, with the settings that were given.
        updates: after which the policies were saved.
        seeds: that were played.
        scores: one per seed.
    """

    run: str
    plan: Plan
    updates: int
    seeds: list[int]
    scores: list[evaluate.Score]

    @property
    def card(self) -> Card:
        """Of the task that was played."""
        return self.plan.evaluation_env.card

    def rows(self) -> list[tuple[str, evaluate.Score, str]]:
        """Name, score and verdict of every seed, and of several together."""
        rows = [
            (f"seed {seed}", score, evaluate.verdict(score, self.card))
            for seed, score in zip(self.seeds, self.scores, strict=True)
        ]
        if len(rows) > 1:
            score = across_seeds(self.scores)
            rows.append(("together", score, evaluate.verdict(score, self.card)))
        return rows

    def describe(self) -> str:
        """One line: what was played, and how."""
        env, settings = self.plan.evaluation_env, self.plan.config["evaluation"]
        parameters = ", ".join(
            f"{name}={value}" for name, value in env.settings().items()
        )
        step = self.updates * self.plan.agent.steps_per_update
        way = "greedily" if settings["exploration"] == 0 else "as the policy samples"
        return (
            f"{self.plan.env_name} ({parameters}), {settings['episodes']:,} episodes "
            f"per seed, {way}, by {self.plan.memory_name} after {step:,} steps"
        )

    def record(self) -> dict[str, Any]:
        """The same as plain values, in the words of `result.json`."""
        card = self.card
        return {
            "run": self.run,
            "task": self.plan.env_name,
            "steps": self.updates * self.plan.agent.steps_per_update,
            "evaluation": self.plan.config["evaluation"],
            "measure": card.measure,
            "references": {
                name: getattr(card, name).value
                for name in ("floor", "memoryless", "recall", "oracle")
            },
            "seeds": [
                {"seed": seed, **score_record(score), "verdict": verdict}
                for seed, (_, score, verdict) in zip(
                    self.seeds, self.rows(), strict=False
                )
            ],
            "together": {
                **score_record(across_seeds(self.scores)),
                "verdict": self.rows()[-1][2],
            },
        }


def play_run(run: str, words: Sequence[str]) -> Played:
    """Play a run's newest policies, of every seed or of one.

    Args:
        run: the folder.
        words: settings, `name=value`.

    Raises:
        ConfigError: no run there, or a setting that cannot be.
    """
    config = resumed_config(run, (), compose_config)
    given = _read(words, config)
    seed = given.pop("seed", None)
    played = {**config["evaluation"], **given}
    played["env"] = {**config["evaluation"]["env"], **given.get("env", {})}
    try:
        plan = build({**config, "evaluation": played})
    except ConfigError as error:  # in the words that were given
        raise ConfigError(str(error).replace("evaluation.", "")) from None
    trained = restore(run, plan, seed)
    scores = Evaluator(plan, trained.keys)(trained.params, StopRequest())
    assert scores is not None  # nothing asked it to stop
    return Played(run, plan, trained.updates, trained.seeds, scores)


def _read(words: Sequence[str], config: dict[str, Any]) -> dict[str, Any]:
    """The settings given, `env.<name>` under `env`."""
    task = flat({"env": config["env"]})
    known = [*SETTINGS, "seed", *(n for n in task if n not in ("env.id", "env.target"))]
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        open_key = name.startswith("env.args.") and "target" in config["env"]
        if not equals or not (name in known or open_key):
            raise ConfigError(
                f"{word!r} is no setting of an evaluation.{nearest(name, known)}"
            )
        *groups, key = name.split(".")
        into = given
        for group in groups:
            into = into.setdefault(group, {})
        into[key] = value_of(text)
    return given
