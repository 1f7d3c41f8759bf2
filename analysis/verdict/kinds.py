"""Which kind of memory an experiment tests: the definitions of Cherepanov et al. 2024.

"Unraveling the Complexity of Memory in RL Agents", arXiv:2412.06531, section 4. Numbers
of steps are the paper's: a context K counts the current step, and so does a correlation
horizon xi, which is one more than the steps from cue to use that a task's card tells.
"""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax

from agents.running.output.plan import memories_of
from envs.base import Card
from memory_models import MemoryModel
from memory_models.stack import Stack

Experiment = Literal["short-term", "long-term", "mixed", "none"]
"""What it tests: short-term memory, long-term, both at once, or no memory at all."""

Knowledge = Literal["declarative", "procedural", "none"]
"""What is remembered: a fact within one episode, or a skill over several (def. 4.4)."""


class Reach(NamedTuple):
    """How far back an agent can see.

    Attributes:
        context: K, the most steps it takes in at once, the current one included
            (definition 4.1): 1 for a recurrent memory, a window's length for attention.
        effective: K_eff, how far its memory mechanism extends that (definition 4.7);
            None without limit.
    """

    context: int
    effective: int | None


class Horizons(NamedTuple):
    """The correlation horizons of a task (definition 4.5), fewest and most steps."""

    fewest: int
    most: int

    def __str__(self) -> str:
        """Such as `xi = 21`, or `xi = 2 to 51`."""
        one = self.fewest == self.most
        return f"xi = {self.most}" if one else f"xi = {self.fewest} to {self.most}"

    @property
    def border(self) -> int:
        """The largest context that leaves every cue outside (theorem 2, equation 4)."""
        return self.fewest - 1


def memory_of(agent: Any) -> MemoryModel | None:
    """The memory of an agent, by its shapes; None where it does without."""
    network = eqx.filter_eval_shape(agent.build_network, jax.random.key(0))
    return next(iter(memories_of(network)), None)


def horizons_of(card: Card) -> Horizons:
    """The correlation horizons of a task: a cue one step ago has xi = 2."""
    fewest, most = card.horizon
    return Horizons(fewest + 1, most + 1)


def reach_of(memory: MemoryModel | None) -> Reach:
    """How far back an agent with this memory sees; None is one without.

    A limited memory holds the last steps themselves, and they are its context. One
    without limit has a state beside what it takes in at once, and the state is its
    memory mechanism. The layers of a stack each see the outputs of those below: its
    context is the largest of theirs, and what they reach together is its effective one.
    """
    if memory is None:
        return Reach(1, 1)
    if isinstance(memory, Stack):
        context = max(reach_of(layer).context for layer in memory.layers)
    elif memory.card.context is not None:
        context = memory.card.context + 1
    else:
        context = _at_once(memory)
    limit = memory.card.context
    return Reach(context, None if limit is None else limit + 1)


def _at_once(memory: MemoryModel) -> int:
    """Steps that a memory with a state attends to beside it."""
    if memory.card.mechanism != "segment clock":
        return 1  # the paper, below definition 4.1: recurrent networks have K = 1
    layer = getattr(memory, "layer", memory)
    return (getattr(layer, "history", 0) + 1) * getattr(layer, "segment_length", 1)


def classify(context: int, horizons: Horizons) -> Experiment:
    """What an agent with this context tests on these horizons (section 4.1).

    K up to the border: long-term memory only; K from the most steps on: short-term
    only; between them some cues lie in the context and some beyond it. Where no cue
    lies further back than the current step the task is Markov (corollary 1).
    """
    if horizons.most <= 1:
        return "none"
    if context >= horizons.most:
        return "short-term"
    return "long-term" if context <= horizons.border else "mixed"


def out_of_reach(reach: Reach, horizons: Horizons) -> bool:
    """Whether every cue lies beyond K_eff, which makes it a control (equation 6)."""
    return reach.effective is not None and reach.effective < horizons.fewest


def knowledge_of(card: Card) -> Knowledge:
    """Declarative where one episode of one task is enough, procedural over several.

    A meta task draws new rules for every episode, over which the agent has learned how
    to find them out. A motion to be repeated within an episode is a fact of it.
    """
    if card.memory == "none":
        return "none"
    return "procedural" if card.memory == "meta" else "declarative"
