"""Where a run stands, as a checkpoint notes it."""

import json

from agents.evaluate import Score
from agents.running.output.standing import Standing


def standing():
    return Standing(
        updates=6,
        evaluated_at=40,
        saved_at=60,
        scores=[Score(0.5, 0.25, 0.75, 10, 3.0, None, 0)],
        frozen={1: "update 3 (step 30)"},
        frozen_after={1: 2},
        seconds=1.5,
    )


def test_what_is_noted_comes_back():
    notes = json.loads(json.dumps(standing().notes()))
    assert Standing.of(notes, 10) == standing()


def test_older_notes_know_less():
    notes = standing().notes()
    for name in ("scores", "frozen_after", "seconds"):
        del notes[name]
    found = Standing.of(notes, 10)
    assert (found.updates, found.saved_at, found.evaluated_at) == (6, 60, 40)
    assert found.frozen_after == {1: 6}
    assert (found.scores, found.seconds) == ([], 0)


def test_a_frozen_seed_learned_from_what_came_before():
    assert standing().seed_steps(2, 10) == [60, 20]
