"""Room recall against its rules, told from what is observed alone."""

import collections
import fractions
import itertools

import jax
import numpy as np
import pytest

import envs
from envs.object_recall.room_recall import QUESTIONS, RoomRecall
from tests.envs.object_recall.playing import assert_uniform, episode, play

STREAMS = 300


@pytest.fixture(scope="module", params=QUESTIONS)
def played(request):
    env = RoomRecall(request.param, rooms=3, objects=4, visits=5, stay=2)
    return env, play(env, STREAMS)


def answer_of(question, places, cues, asked):
    """The answer, and the last visit at which it was on show."""
    shown, other = (cues, places) if question == "where" else (places, cues)
    times = [t for t, number in enumerate(shown) if number == asked]
    time = times[0] if question == "first" else times[-1]
    return other[time], time


def follow(env, steps):
    """Checks each step; returns the age, the answer and what is asked."""
    assert len(steps) == env.visits + env.stay + 1
    seen = [(int(s["seen"]["place"]), int(s["seen"]["cue"])) for s in steps]
    tour, stay, question = seen[: env.visits], seen[env.visits : -1], seen[-1]
    assert stay == [tour[-1]] * env.stay and np.all(tour)
    places, cues = zip(*tour, strict=True)
    assert all(one != other for one, other in itertools.pairwise(places))
    if env.question == "what":
        assert len(set(tour)) == len(set(places)), "a room keeps its object"
    else:
        assert all(one != other for one, other in itertools.pairwise(cues))
    asks_where = env.question == "where"
    asked, nothing = question[::-1] if asks_where else question
    last = (cues if asks_where else places)[-1]
    assert nothing == 0 and asked != last
    answer, told = answer_of(env.question, places, cues, asked)
    for time, step in enumerate(steps):
        info, ends = step["info"], time == len(steps) - 1
        right = ends and int(step["action"]) == answer - 1
        assert step["reward"] == float(right) == float(info["success"])
        assert (step["terminated"], step["truncated"]) == (ends, False)
        phase = 2 if ends else int(time >= env.visits)
        assert (info["phase"], info["decision"]) == (phase, ends)
        value, age = step["hidden"]["answer"]
        shows = [
            t
            for t in range(min(time + 1, env.visits))
            if (places[t] == asked if env.question == "what" else t == told)
        ]
        assert (value, age) == (answer - 1, time - shows[-1] if shows else -1)
    assert not any(np.any(part) for part in steps[-1]["after"].values())
    return int(age), answer - 1, asked - 1


def test_agrees_with_the_rules_step_by_step(played):
    env, trace = played
    ends = [follow(env, episode(trace, stream)) for stream in range(STREAMS)]
    ages, answers, asked = map(np.array, zip(*ends, strict=True))
    assert (ages.min(), ages.max()) == env.card.horizon == (4, 7)
    assert env.card.max_episode_steps == len(trace["reward"]) == 8
    # What is asked says nothing about the answer.
    assert_uniform(answers * (asked.max() + 1) + asked, 12)
    assert env.action_space.n == (3 if env.question == "where" else 4)


def test_actions_leave_no_trace(played):
    env, trace = played
    other = play(env, STREAMS, action_seed=1)
    for part in ("seen", "after", "hidden"):
        jax.tree.map(np.testing.assert_array_equal, trace[part], other[part])


def sequences(count, length):
    """All sequences below `count` without a number twice in a row."""
    for numbers in itertools.product(range(count), repeat=length):
        if all(one != other for one, other in itertools.pairwise(numbers)):
            yield numbers


def tours(question, rooms, objects, visits):
    """Every tour and question with its probability: places, cues, asked."""
    walks = list(sequences(rooms, visits))
    if question == "what":
        contents = list(itertools.product(range(objects), repeat=rooms))
        both = [(w, tuple(c[p] for p in w)) for w in walks for c in contents]
    else:
        both = list(itertools.product(walks, sequences(objects, visits)))
    for places, cues in both:
        shown = cues if question == "where" else places
        candidates = set(shown) - {shown[-1]}
        for asked in candidates:
            yield (
                places,
                cues,
                asked,
                fractions.Fraction(1, len(both) * len(candidates)),
            )


@pytest.mark.parametrize("question", QUESTIONS)
def test_memoryless_by_enumeration(question):
    """Over all tours of four visits: the best answer to what the question shows."""
    chances = collections.Counter()
    for places, cues, asked, chance in tours(question, 3, 3, 4):
        chances[asked, answer_of(question, places, cues, asked)[0]] += chance
    assert sum(chances.values()) == 1
    best = sum(max(chances[asked, a] for a in range(3)) for asked in range(3))
    card = RoomRecall(question, 3, 3, 4).card
    assert card.memoryless.value == card.floor.value == float(best)
    assert card.recall.value == card.oracle.value == 1.0


def test_tours_and_questions_are_drawn_as_enumerated(played):
    """Chi-squared of walks and questions together; and of cues."""
    env, trace = played
    place, cue = trace["seen"]["place"], trace["seen"]["cue"]
    shown, count = (cue, 4) if env.question == "where" else (place, 3)
    expected = collections.Counter()
    for numbers in sequences(count, env.visits):
        for asked in set(numbers) - {numbers[-1]}:
            chance = 1 / (count * (count - 1) ** 4 * len(set(numbers) - {numbers[-1]}))
            # Apart from the names of the rooms, the walk is told by its returns.
            pattern = tuple(numbers.index(n) for n in numbers), numbers.index(asked)
            expected[pattern] += chance * STREAMS
    observed = collections.Counter()
    for i in range(STREAMS):
        numbers = shown[: env.visits, i].tolist()
        first = numbers.index(shown[-1, i])
        observed[tuple(numbers.index(n) for n in numbers), first] += 1
    assert set(observed) <= set(expected)
    chi = sum((observed[p] - e) ** 2 / e for p, e in expected.items())
    freedom = len(expected) - 1
    assert chi < freedom + 5 * np.sqrt(2 * freedom)
    assert_uniform(shown[0] - 1, count)
    assert_uniform(shown[-1] - 1, count)


def test_ids():
    names = {"what": "", "first": "First", "last": "Last", "where": "Where"}
    for question, name in names.items():
        assert envs.make(f"RoomRecall{name}-v0") == RoomRecall(question)


def test_pictures():
    env = RoomRecall("what", rooms=4, objects=5, visits=3, stay=0)
    _, state = jax.jit(env.reset)(jax.random.key(0))
    picture = jax.jit(env.render)
    start, later = picture(state), picture(state._replace(time=state.time + 1))
    other = picture(state._replace(answer=(state.answer + 1) % 5))
    assert start.shape == (64, 160, 3)
    assert (start[:45] != later[:45]).any() and (start[48:] == later[48:]).all()
    assert (start[:48] == other[:48]).all() and (start[48:] != other[48:]).any()


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"question": "why"}, "cannot ask 'why'; set question to one of what, first"),
        ({"rooms": 2}, "rooms from 3 to"),
        ({"objects": 2}, "objects from 3 to"),
        ({"visits": 1}, "visits from 2 to"),
        ({"stay": -1}, "stay from 0 to"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        RoomRecall(**parameters)
