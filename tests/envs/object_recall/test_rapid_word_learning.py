"""Rapid word learning against its rules, told from what is observed alone."""

import collections
import itertools

import jax
import numpy as np
import pytest

import envs
from envs.object_recall.common import distinct, draw_below, ranks_below
from envs.object_recall.rapid_word_learning import RapidWordLearning
from tests.envs.object_recall.playing import assert_uniform, episode, play

STREAMS = 250
SETTINGS = {
    "range": RapidWordLearning(distractors=(0, 2), trials=2),
    "episodes": RapidWordLearning(
        distractors=1, episodes=3, objects=2, trials=3, words=6, shapes=2, colours=4
    ),
    "short": RapidWordLearning(distractors=0, words=3, shapes=1, colours=3),
}


@pytest.fixture(
    scope="module",
    params=["range", "episodes", pytest.param("short", marks=pytest.mark.slow)],
)
def played(request):
    env = SETTINGS[request.param]
    return env, play(env, STREAMS)


def pairs(row):
    return [tuple(map(int, pair)) for pair in np.reshape(row, (-1, 2))]


def follow(env, steps):
    """The rules, as a listener applies them who writes down every lesson.

    Checks each step of an episode; returns the phases that it went through, the number
    of rounds, and the age of each answer.
    """
    known, lessons, turn, ages = {}, [[]], 0, []
    phases = []
    for time, step in enumerate(steps):
        seen, action = step["seen"], int(step["action"])
        word, choices = int(seen["word"]), pairs(seen["choices"])
        held = pairs(seen["object"])[0]
        paid, decides = 0.0, False
        if held != (0, 0):
            assert not np.any(choices) and 1 <= word <= env.words
            assert word not in known, "a name is bound once"
            assert held not in [look for look, _ in known.values()]
            known[word] = held, time
            lessons[-1].append(held)
            phase = 0
        elif word > env.words:
            right = [i for i, (_, c) in enumerate(choices) if c == word - env.words]
            assert len(right) == 1 and np.all(choices)
            paid, phase = 0.1 / env.trials * (action == right[0]), 1
        else:
            look, told = known[word]
            own = look in lessons[turn]
            assert own == (turn < env.episodes - 1 or env.episodes == 1)
            [about] = [group for group in lessons if look in group]
            assert sorted(choices) == sorted(about)
            paid, phase, decides = float(choices[action] == look), 2, True
            assert tuple(step["hidden"]["object"][0]) == look
            ages.append(time - told)
            turn += 1
            lessons.append([])
        about, age = step["hidden"]["object"]
        lesson = {look: told for look, told in known.values()}.get(tuple(about))
        assert age == (-1 if lesson is None else time - lesson)
        phases.append(phase)
        ends = decides and turn == env.episodes
        np.testing.assert_allclose(step["reward"], paid, rtol=1e-6)
        assert (step["terminated"], step["truncated"]) == (ends, False)
        info = step["info"]
        assert (info["phase"], info["decision"]) == (phase, decides)
        assert info["success"] == (ends and paid == 1)
    return phases, ages


def test_agrees_with_the_rules_step_by_step(played):
    env, trace = played
    low, high = env._range
    counts, all_ages = collections.Counter(), []
    for stream in range(STREAMS):
        steps = episode(trace, stream)
        phases, ages = follow(env, steps)
        number = (len(steps) // env.episodes - env.objects - 1) // env.trials
        one = [0] * env.objects + [1] * (number * env.trials) + [2]
        assert phases == one * env.episodes
        # Nothing is on show when all is over.
        assert not any(np.any(part) for part in steps[-1]["after"].values())
        counts[number] += 1
        all_ages += ages
    assert set(counts) == set(range(low, high + 1))
    expected = STREAMS / len(counts)
    assert all(abs(n - expected) < 5 * np.sqrt(expected) for n in counts.values())
    assert (min(all_ages), max(all_ages)) == env.card.horizon
    longest = env.episodes * (env.objects + high * env.trials + 1)
    assert env.card.max_episode_steps == longest == len(trace["reward"])


def test_actions_leave_no_trace(played):
    env, trace = played
    other = play(env, STREAMS, action_seed=1)
    assert (other["action"] != trace["action"]).any()
    for part in ("seen", "after", "terminated", "hidden"):
        jax.tree.map(np.testing.assert_array_equal, trace[part], other[part])


def test_what_is_drawn_is_uniform(played):
    """Places and words of distractors, and places of answers, alone and together."""
    env, trace = played
    trials, answers, names = [], [], []
    for stream in range(STREAMS):
        known = {}
        for step in episode(trace, stream):
            word, choices = int(step["seen"]["word"]), pairs(step["seen"]["choices"])
            if word > env.words:
                colour = word - env.words
                place = [c for _, c in choices].index(colour)
                trials.append((colour - 1) * env.objects + place)
            elif step["info"]["decision"]:
                answers.append(choices.index(known[word]))
            else:
                known[word] = pairs(step["seen"]["object"])[0]
                names.append(word - 1)
    if trials:
        assert_uniform(trials, env.colours * env.objects)
    assert_uniform(answers, env.objects)
    if env.words > env.episodes * env.objects:  # else each comes once an episode
        assert_uniform(names, env.words)


def test_floor(played):
    env, trace = played
    ended = trace["terminated"].cumsum(0) - trace["terminated"] > 0
    returns = np.where(ended, 0, trace["reward"]).sum(0)
    error = returns.std() / np.sqrt(STREAMS)
    assert abs(returns.mean() - env.card.floor.value) < 4.5 * error


@pytest.mark.parametrize("episodes", [1, 2])
def test_memoryless_by_enumeration(episodes):
    """All bindings, questions and orders of two objects a round: the best guesses."""
    bindings = 2 * episodes
    sequences = list(itertools.permutations(range(bindings)))
    score = 0.0
    for turn in range(episodes):
        about = range(episodes - 1) if turn == episodes - 1 > 0 else [turn]
        views, total = collections.Counter(), 0
        for names, looks in itertools.product(sequences, sequences):
            for which, item, order in itertools.product(
                about, (0, 1), ((0, 1), (1, 0))
            ):
                shown = tuple(looks[2 * which + i] for i in order)
                view = names[2 * which + item], shown
                views[view, order.index(item)] += 1
                total += 1
        best = collections.defaultdict(int)
        for (view, _), count in views.items():
            best[view] = max(best[view], count)
        score += sum(best.values()) / total
    env = RapidWordLearning(
        distractors=(1, 4), episodes=episodes, objects=2, words=4, shapes=2, colours=2
    )
    # A distractor's answer is on show; 2.5 phases a round of 0.1 each.
    assert env.card.memoryless.value == pytest.approx(score + 0.25 * episodes)
    assert env.card.recall.value == pytest.approx(1.25 * episodes)
    assert env.card.oracle == env.card.recall


@pytest.mark.parametrize("count, of", [(3, 4), (4, 4), (1, 24)])
def test_distinct(count, of):
    limits = np.tile(ranks_below(count, of), (3000, 1))
    drawn = np.asarray(distinct(*draw_below(jax.random.key(2), limits)))
    sequences = {s: i for i, s in enumerate(itertools.permutations(range(of), count))}
    assert len(sequences) == 24
    assert_uniform([sequences[tuple(map(int, row))] for row in drawn], 24)


def test_levels_of_the_paper():
    """Train on no, one and two distractors; then longer, and several episodes."""
    one = {f"D{n}": (n, 1) for n in (0, 1, 2, 10, 20)}
    several = {f"E{e}D{n}": (n, e) for e, n in ((2, 5), (3, 5), (4, 0), (4, 1))}
    ids = {id for id in envs.names() if id.startswith("RapidWordLearning")}
    levels = {f"RapidWordLearning{name}-v0": v for name, v in (one | several).items()}
    assert ids == {"RapidWordLearning-v0", *levels}
    for id, (distractors, episodes) in levels.items():
        assert envs.make(id) == RapidWordLearning(distractors, episodes)
    assert envs.make("RapidWordLearning-v0")._range == (0, 2)
    assert envs.make("RapidWordLearningE4D0-v0").card.max_episode_steps == 16


def test_pictures():
    env = SETTINGS["episodes"]
    _, state = jax.jit(env.reset)(jax.random.key(0))
    picture = jax.jit(env.render)
    start = picture(state)
    other = picture(state._replace(objects=state.objects[::-1]))
    assert start.shape[0] == 64
    assert (start[:48] == other[:48]).all() and (start[48:] != other[48:]).any()
    hidden = state._replace(screen=state.screen._replace(object=state.objects[1]))
    assert (picture(hidden)[:48] != start[:48]).any()


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"objects": 1}, "objects from 2 to"),
        ({"colours": 1}, "colours from 2 to"),
        ({"trials": 0}, "trials from 1 to"),
        ({"episodes": 0}, "episodes from 1 to"),
        ({"distractors": -1}, "distractors of at least 0"),
        ({"distractors": (2, 1)}, "fewest and the most, not"),
        ({"distractors": (1, 2, 3)}, "fewest and the most, not"),
        ({"episodes": 7}, r"episodes \* objects = 21 words"),
        ({"shapes": 1, "colours": 2}, "there are 2"),
        ({"distractors": 10**9}, "fits into 32 bits"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        RapidWordLearning(**parameters)


def test_a_range_may_be_a_list():
    """As it comes from a file."""
    assert RapidWordLearning([0, 2]) == RapidWordLearning((0, 2))
    assert hash(RapidWordLearning([0, 2])) == hash(RapidWordLearning((0, 2)))
    assert RapidWordLearning([7]) == RapidWordLearning(7)
