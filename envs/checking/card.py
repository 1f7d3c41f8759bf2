"""The part of `check_env` that reads the card: it must not contradict itself."""

import itertools
from typing import get_args

from envs.base import Card, Environment, MemoryKind, Return
from envs.checking.problem import problem


def check_card(env: Environment) -> None:
    """Its entries are what they should be, and agree with each other."""
    card = env.card
    if not isinstance(card, Card):
        raise problem(
            env,
            f"has card {card!r}.",
            "Plots and verdicts read the card.",
            "Return an envs.Card.",
            "card",
        )
    _check_words(env, card)
    names = ("floor", "memoryless", "recall", "oracle")
    for name in names:
        _check_return(env, name, getattr(card, name))
    known = [(name, getattr(card, name).value) for name in names]
    known = [(name, value) for name, value in known if value is not None]
    for (lower, low), (upper, high) in itertools.pairwise(known):
        if low > high + 1e-9:
            raise problem(
                env,
                f"has {lower} {low} above {upper} {high} on its card.",
                "Each of floor <= memoryless <= recall <= oracle may use all that the "
                "one before it may.",
                "Recompute them, or mark one envs.unknown(why).",
                "card",
            )
    least, most = card.horizon
    longest = card.max_episode_steps
    if not 0 <= least <= most or (longest is not None and most > longest):
        raise problem(
            env,
            f"has horizon {card.horizon} with max_episode_steps {longest}.",
            "It counts steps between a cue and the action that uses it, fewest and "
            "most, within an episode.",
            "Correct the two numbers.",
            "card",
        )
    _check_claims(env, card)


def _check_words(env: Environment, card: Card) -> None:
    kinds = get_args(MemoryKind)
    if card.memory not in kinds:
        raise problem(
            env,
            f"has memory {card.memory!r} on its card.",
            "Tables and plots sort tasks by it.",
            f"Choose one of {', '.join(kinds)}.",
            "card",
        )
    if card.measure not in ("return", "success"):
        raise problem(
            env,
            f"has measure {card.measure!r} on its card.",
            "It says what floor, memoryless, recall and oracle are numbers of.",
            "Make it 'return', or 'success' where info says when an episode succeeds.",
            "card",
        )
    for name in ("truncates", "needs_previous_action", "outside_memory"):
        if not isinstance(getattr(card, name), bool):
            raise problem(
                env,
                f"has {name} {getattr(card, name)!r} on its card.",
                "It decides what is compiled, so it must be known to Python.",
                "Make it True or False.",
                "card",
            )


def _check_claims(env: Environment, card: Card) -> None:
    """What the card says of memory must not contradict itself."""
    memoryless, recall = card.memoryless.value, card.recall.value
    worth = None if memoryless is None or recall is None else recall - memoryless
    if card.memory != "none" and worth is not None and worth <= 0:
        raise problem(
            env,
            f"claims to need {card.memory!r} memory, but memoryless {memoryless} "
            f"reaches recall {recall}.",
            "Then no result on it can show memory.",
            "Set memory='none' on the card, or change the task.",
            "card",
        )
    if card.memory == "none" and worth is not None and worth > 1e-9:
        raise problem(
            env,
            f"claims to need no memory, but recall {recall} is above memoryless "
            f"{memoryless} on its card.",
            "Recall is better than memoryless by what memory is worth.",
            "Name the kind of memory on the card, or correct the two returns.",
            "card",
        )
    if card.memory == "none" and card.horizon != (0, 0):
        raise problem(
            env,
            f"claims to need no memory, but has horizon {card.horizon} on its card.",
            "The horizon is how long something must be remembered.",
            "Set horizon=(0, 0), or name the kind of memory.",
            "card",
        )
    if card.needs_previous_action and not card.outside_memory:
        raise problem(
            env,
            "has needs_previous_action=True and outside_memory=False on its card.",
            "Agents then see their previous action, in which one without memory can "
            "keep what it must remember.",
            "Set outside_memory=True, or needs_previous_action=False.",
            "card",
        )


def _check_return(env: Environment, name: str, value: Return) -> None:
    simulation = (value.episodes is not None) and (value.half_width is not None)
    honest = (value.value is None) == (value.how == "unknown")
    if not honest or simulation != (value.how == "simulated"):
        raise problem(
            env,
            f"has {name} {value} on its card.",
            "A return is known and says how, or is unknown and says why.",
            "Build it with envs.exact, envs.computed, envs.simulated or envs.unknown.",
            "card",
        )
