"""The spread of tasks on which defaults are chosen: scores, rows and tables."""

import jax
import numpy as np
import pytest

import agents
import envs
import memory_models
from agents.running.overrides import compose_config
from benchmarks import spread

CARTPOLE = "PositionOnlyCartPoleEasy"


def test_scores_run_from_the_memoryless_return_to_the_recall():
    card = envs.make("TMaze-v0").card
    low, high = card.memoryless.value, card.recall.value
    returns = [low, high, (low + high) / 2, low - 1, high + 1]
    np.testing.assert_allclose(spread.scores("TMaze", returns), [0, 1, 0.5, 0, 1])


def test_what_a_card_does_not_know_has_a_stand_in():
    card = envs.make(f"{CARTPOLE}-v0").card
    assert card.memoryless.value is None
    assert spread.bounds(card) == (card.floor.value, card.recall.value)
    card = envs.make("MultiarmedBanditEasy-v0").card
    assert card.recall.value is None
    assert spread.bounds(card)[1] == card.oracle.value


def test_every_task_has_two_bounds_apart():
    for task in spread.TASKS:
        low, high = spread.bounds(envs.make(f"{task}-v0").card)
        assert high > low


@pytest.mark.parametrize("agent", spread.SEARCHES)
def test_a_setting_is_written_out_whole(agent):
    search = spread.SEARCHES[agent]
    for setting, changes in search.changes.items():
        config = compose_config(spread.words_of(agent, setting))["agent"]
        assert config["name"] == agent
        for name, value in (dict(search.first) | changes).items():
            assert config[name] == value
        assert set(changes) <= set(search.first)


@pytest.mark.parametrize("agent", spread.SEARCHES)
def test_an_agent_is_searched_on_the_tasks_that_it_can_play(agent):
    for task in spread.TASKS:
        env = envs.make(f"{task}-v0")
        memory = memory_models.builder("none", output_size=4)
        try:
            built = agents.make(agent, env=env, memory=memory)
            jax.eval_shape(built.build_network, jax.random.key(0))
            plays = True
        except ValueError:
            plays = False
        assert plays == (task in spread.SEARCHES[agent].tasks)


def rows_of(stage, agent, setting, returns):
    seeds = spread.STAGES[stage].num_seeds
    row = {"returns": [returns] * seeds, "seconds": 60}
    return {name: row for name, _, _ in spread.cells(stage, agent, setting)}


def test_tables_rank_what_was_run_whole():
    rows = rows_of("search", "ppo", "first", -9.0)
    rows |= rows_of("search", "ppo", "heads", 9.0)
    rows |= rows_of("search", "dqn", "first", 9.0)
    assert "3 seeds" not in spread.table(rows)
    rows |= rows_of("full", "ppo", "heads", 9.0)
    part = rows_of("search", "ppo", "scaled", 9.0)
    rows |= dict(list(part.items())[1:])
    lines = spread.table(rows).splitlines()
    minutes = len(spread.TASKS)
    assert lines[2:4] == [
        f"| heads | 1.000 | {minutes} |",
        f"| first | 0.000 | {minutes} |",
    ]
    of_dqn = lines.index("| dqn | score, gru, 1 seed, 0.5 M steps | minutes |")
    tasks = len(spread.SEARCHES["dqn"].tasks)
    assert lines[of_dqn + 2] == f"| first | 1.000 | {tasks} |"
    assert "| ppo, 3 seeds, 2 M steps | heads |" in lines
    assert "scaled" not in "".join(lines) and "| all | 1.00 ± 0.00 |" in lines


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(stage, agent, setting, task, memory, words):
        measured.append((agent, setting, task, memory, words))
        return {"returns": [0.0] * stage.num_seeds, "seconds": 1}

    monkeypatch.setattr(spread, "measure", measure)
    words = ["spread", "--stage", "search", "--agent", "dqn", "--tasks", "TMaze"]
    words += ["--results", str(tmp_path / "rows.json"), "seed=1"]
    monkeypatch.setattr("sys.argv", words)
    spread.main()
    first = list(measured)
    settings = spread.SEARCHES["dqn"].changes
    assert first == [("dqn", s, "TMaze", "gru", ["seed=1"]) for s in settings]
    spread.main()
    assert measured == first
    monkeypatch.setattr("sys.argv", [*words[:-1], "--settings", "n 5", "--", "seed=1"])
    spread.main()
    assert measured[len(first) :] == [("dqn", "n 5", "TMaze", "gru", ["seed=1"])]


@pytest.mark.parametrize("words", [["--tasks", "Nothing"], ["--settings", "nothing"]])
def test_unknown_names(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["spread", *words])
    with pytest.raises(SystemExit):
        spread.main()
    assert "they are" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_of_two_updates(tmp_path):
    words = ["agent.num_envs=8", "agent.rollout_length=8", "evaluation.episodes=8"]
    words += [f"run_directory={tmp_path}", "compilation_cache=null"]
    stage = spread.Stage(("gru",), 2, 100)
    row = spread.measure(stage, "ppo", "heads", "TMaze", "gru", words)
    assert len(row["returns"]) == 2 and row["settings"]["head_size"] == 128
