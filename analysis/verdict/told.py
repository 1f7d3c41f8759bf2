"""A verdict in sentences: which kind of memory was tested, and what was shown."""

import dataclasses
from pathlib import Path
from typing import Any

from agents import evaluate
from analysis.retention import Point, Retention
from analysis.verdict.kinds import (
    Experiment,
    Horizons,
    Knowledge,
    Reach,
    classify,
    horizons_of,
    knowledge_of,
    out_of_reach,
)
from analysis.verdict.proposals import Proposal
from envs.base import Card

USED = "memory used"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What kind of memory a run has tested, and what it has shown.

    Attributes:
        run: the folder.
        task, memory: as chosen on the command line.
        card: of the task that was evaluated.
        trained_on: the horizons of the task that it was trained on.
        reach: of the memory.
        gradient_steps: over which gradients flowed; None without end.
        seeds: what the run says of every seed: memory used, not shown, no verdict.
        proposals: experiments that tell short-term from long-term memory.
        impossible: why some of them cannot be had.
        tested: the trained agents beyond, where that was asked for.
    """

    run: Path
    task: str
    memory: str
    card: Card
    trained_on: Horizons
    reach: Reach
    gradient_steps: int | None
    seeds: dict[int, str]
    proposals: tuple[Proposal, ...]
    impossible: str
    tested: Retention | None = None

    @property
    def horizons(self) -> Horizons:
        """The task's correlation horizons."""
        return horizons_of(self.card)

    @property
    def experiment(self) -> Experiment:
        """What the run tests."""
        return classify(self.reach.context, self.horizons)

    @property
    def is_control(self) -> bool:
        """Whether no cue lies within its memory's reach, so that it must fail."""
        return out_of_reach(self.reach, self.horizons)

    @property
    def knowledge(self) -> Knowledge:
        """What is remembered."""
        return knowledge_of(self.card)

    @property
    def used(self) -> list[int]:
        """Seeds that used their memory."""
        return [seed for seed, told in self.seeds.items() if told == USED]

    def sentences(self) -> list[str]:
        """Everything that can be said, and why the rest cannot."""
        lines = [self._experiment(), self._knowledge(), self._shown(), *self._limits()]
        for proposal in self.proposals:
            how = f": {proposal.command}" if proposal.command else ""
            lines.append(f"to test {proposal.tests} memory, {proposal.why}{how}")
        if self.impossible:
            lines.append(f"not to be had: {self.impossible}")
        return [*lines, *self._tested()]

    def _experiment(self) -> str:
        context, span = self.reach.context, str(self.horizons)
        what = f"{self.memory} on {self.task}"
        match self.experiment:
            case "none":
                return f"no memory experiment: {what} has no cue to carry ({span})"
            case "short-term":
                return (
                    f"a short-term memory experiment: {what} has every cue in its "
                    f"context (K = {context}, {span}), so no success here speaks of "
                    "memory beyond it"
                )
            case "mixed":
                return (
                    f"a mixed experiment: {what} has some cues in its context and some "
                    f"beyond (K = {context}, {span}), so the two kinds of memory "
                    "cannot be told apart"
                )
        effective = self.reach.effective
        if self.is_control:
            return (
                f"a control: {what} has every cue beyond its context (K = {context}, "
                f"{span}) and beyond all that its memory reaches (K_eff = {effective}),"
                " so its memory must fail"
            )
        bridge = "the memory's state, which reaches back without limit"
        if effective is not None:
            bridge = f"the stack of its layers, which reaches back {effective} steps"
        return (
            f"a long-term memory experiment: {what} has every cue beyond its context "
            f"(K = {context}, {span}); what bridges it is {bridge}"
        )

    def _knowledge(self) -> str:
        return {
            "none": "no memory is demanded by the task's card",
            "declarative": "declarative memory: what is recalled was seen within the "
            f"same episode ({self.card.memory})",
            "procedural": "procedural memory: every episode has rules of its own, and "
            f"how to find them out was learned over many ({self.card.memory})",
        }[self.knowledge]

    def _shown(self) -> str:
        if not self.seeds:
            return "nothing is shown: the run has no result yet"
        told = "; ".join(f"seed {seed}: {text}" for seed, text in self.seeds.items())
        share = f"{len(self.used)} of {len(self.seeds)} seeds"
        if self.experiment == "none":
            return f"nothing is shown of memory, whatever was reached ({told})"
        if self.is_control:
            return (
                "nothing is shown of memory, which does not reach the cue: "
                f"{share} did without it ({told})"
            )
        mixed = self.experiment == "mixed"
        kind = "memory of either kind" if mixed else f"{self.experiment} memory"
        return f"shown: {kind} in {share} ({told})"

    def _limits(self) -> list[str]:
        lines, reach, horizons = [], self.reach, self.horizons
        if self.trained_on != horizons:
            lines.append(f"trained on another horizon: {self.trained_on}")
        if reach.effective is not None and reach.effective < horizons.most:
            lines.append(
                f"the memory reaches {reach.effective} steps, the current one "
                f"included, and xi is up to {horizons.most}: cues beyond are lost"
            )
        steps = self.gradient_steps
        if steps is not None and steps < horizons.most and self.experiment != "none":
            lines.append(
                f"gradients flowed over {steps} steps, and xi is up to {horizons.most}:"
                " no gradient spanned a whole cue to its use"
            )
        if self.card.outside_memory and self.experiment != "none":
            lines.append(
                "the agent can store information in what it will observe again, so K "
                "does not bound what it knows, and a success need not be its memory's"
            )
        return lines

    def _tested(self) -> list[str]:
        if self.tested is None:
            return []
        field = self.tested.dial.field
        lines = [self._played(field, point) for point in self.tested.points]
        return lines + [f"note: {note}" for note in self.tested.notes]

    def _played(self, field: str, point: Point) -> str:
        horizons = horizons_of(point.card)
        kind = classify(self.reach.context, horizons)
        if out_of_reach(self.reach, horizons):
            kind = "the control"
        told = evaluate.verdict(point.together, point.card)
        kept = ""
        if point.kept is not None:
            value, lower, upper = point.kept
            kept = f" ({value:.2f} of memory's gain kept, {lower:.2f} to {upper:.2f})"
        return (
            f"played with {field}={point.value}, K = {self.reach.context}, {horizons}, "
            f"{kind}: {told}{kept}"
        )

    def record(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "experiment": self.experiment,
            "control": self.is_control,
            "knowledge": self.knowledge,
            "context": self.reach.context,
            "effective_context": self.reach.effective,
            "correlation_horizon": list(self.horizons),
            "border": self.horizons.border,
            "seeds": {str(seed): told for seed, told in self.seeds.items()},
            "proposals": [proposal._asdict() for proposal in self.proposals],
            "sentences": self.sentences(),
        }
