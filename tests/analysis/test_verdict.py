"""Short-term or long-term memory: definitions, proposals, what is told of a run."""

import dataclasses
import json
import shlex

import equinox as eqx
import jax
import numpy as np
import pytest

import analysis.__main__
import envs
from agents.convert import ConfigError
from agents.running.overrides import compose_config
from analysis import verdict as command
from analysis.retention.horizons import find_dial
from analysis.retention.playing import Point, Retention
from analysis.verdict import Verdict, kinds, play_beyond, proposals, verdict
from analysis.verdict.kinds import Horizons, Reach
from envs.mazes.tmaze import TMaze
from envs.popgym.diagnostic.repeat_first import RepeatFirst
from memory_models.registry import builder
from tests.analysis.runs_of_nothing import a_score, plan_of, write_run

# Definitions ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "fewest", "most", "tests"),
    [  # section 4.1 and figure 4 of the paper
        (15, 15, 15, "short-term"),
        (5, 15, 15, "long-term"),
        (5, 5, 5, "short-term"),
        (14, 15, 15, "long-term"),  # the border itself
        (16, 15, 15, "short-term"),
        (14, 7, 22, "mixed"),
        (22, 7, 22, "short-term"),
        (6, 7, 22, "long-term"),
        (7, 7, 22, "mixed"),
        (21, 7, 22, "mixed"),
        (1, 2, 104, "long-term"),  # recurrent, POPGym's Autoencode
        (1, 1, 51, "mixed"),  # not memory-intensive: some cues are still on show
        (1, 1, 1, "none"),
        (64, 1, 1, "none"),
    ],
)
def test_what_a_context_tests(context, fewest, most, tests):
    assert kinds.classify(context, Horizons(fewest, most)) == tests


def test_equals_the_definitions_written_out():
    random = np.random.default_rng(0)
    for _ in range(300):
        pairs = random.integers(1, 9, size=random.integers(1, 5))
        context = int(random.integers(1, 11))
        within = [pair <= context for pair in pairs]  # definition 4.5
        tests = "mixed"
        if all(pair == 1 for pair in pairs):  # corollary 1
            tests = "none"
        elif all(within):
            tests = "short-term"
        elif not any(within):
            tests = "long-term"
        horizons = Horizons(int(pairs.min()), int(pairs.max()))
        assert kinds.classify(context, horizons) == tests, (context, pairs)
        assert (horizons.border >= context) == (not any(within))  # theorem 2


def test_horizons_as_in_the_paper():
    """Table 2: L + 1 in the passive T-maze, whose episodes last L + 1 steps."""
    assert kinds.horizons_of(TMaze(20).card) == (21, 21)
    assert kinds.horizons_of(RepeatFirst().card) == (1, 51)
    assert kinds.horizons_of(TMaze(20).card).border == 20
    told = [str(Horizons(21, 21)), str(Horizons(1, 51))]
    assert told == ["xi = 21", "xi = 1 to 51"]


@pytest.mark.parametrize(
    ("name", "options", "reach"),
    [
        ("none", {}, (1, 1)),
        ("frame_stack", {"frames": 3}, (3, 3)),
        ("gru", {}, (1, None)),
        ("ffm", {}, (1, None)),
        ("attention", {"window": 8}, (8, 8)),
        ("attention", {"window": 8, "num_layers": 3}, (8, 22)),
        ("rmt", {"segment_length": 8}, (8, None)),
        ("rmt", {"segment_length": 8, "num_tokens": 0}, (8, 8)),
        ("rate", {"segment_length": 8, "cached_segments": 2}, (24, None)),
        ("memformer", {"segment_length": 8}, (8, None)),
        ("transformer_fam", {"block_length": 4, "history_blocks": 3}, (16, None)),
        ("griffin", {"window": 16}, (16, None)),
    ],
)
def test_how_far_back_a_memory_sees(name, options, reach):
    build = builder(name, output_size=16, **options)
    memory = eqx.filter_eval_shape(lambda key: build(4, key=key), jax.random.key(0))
    assert kinds.reach_of(memory) == reach


def test_an_agent_without_memory_sees_the_present():
    assert kinds.reach_of(None) == (1, 1)


@pytest.mark.parametrize(
    ("id", "knowledge"),
    [
        ("TMaze-v0", "declarative"),
        ("SwitchingBernoulli-v0", "procedural"),
        ("UmbrellaChain-v0", "none"),
    ],
)
def test_what_is_remembered(id, knowledge):
    assert kinds.knowledge_of(envs.make(id).card) == knowledge


def test_a_motion_of_the_same_episode_is_a_fact():
    """Definition 4.4: one task and one episode make declarative memory."""
    card = dataclasses.replace(TMaze().card, memory="procedural")
    assert kinds.knowledge_of(card) == "declarative"


# Proposals --------------------------------------------------------------------


def proposed(*words):
    plan = plan_of(*words)
    reach = kinds.reach_of(kinds.memory_of(plan.agent))
    experiment = kinds.classify(reach.context, kinds.horizons_of(plan.env.card))
    return proposals.propose(plan, reach, experiment)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (("memory=gru",), {"short-term": "memory=attention memory.window=21"}),
        pytest.param(
            ("memory=attention",),
            {"long-term": "env.length=64"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("memory=rmt", "env.length=10"),
            {"long-term": "env.length=32"},
            marks=pytest.mark.slow,
        ),
        (
            ("memory=attention", "env=n_back", "memory.num_layers=2"),
            {"long-term": "env.n=64 env.length=704"},
        ),
        (
            ("memory=gtrxl", "env=tmaze_places", "agent.gamma=0.9"),
            {"long-term": "agent.gamma=0.9 memory.window=20"},
        ),
        (
            ("memory=attention", "env=tmaze_noisy", "memory.window=12"),
            {"short-term": "env.length=10"},
        ),
        (
            ("memory=attention", "env=bakker_tmaze", "num_seeds=3"),
            {"short-term": "memory.window=1000", "long-term": "env.length=64"},
        ),
        (
            ("memory=hcam", "env=bakker_tmaze"),
            {"short-term": "memory.num_chunks=62", "long-term": "env.length=272"},
        ),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) else "",
)
def test_what_a_proposal_says_is_what_its_command_does(words, changed):
    pair, impossible = proposed(*words)
    assert impossible == ""
    assert [proposal.tests for proposal in pair] == ["short-term", "long-term"]
    given = {proposal.tests: proposal for proposal in pair if proposal.command}
    assert given.keys() == changed.keys()
    for tests, proposal in given.items():
        assert changed[tests] in proposal.command.replace("agent=ppo ", "")
        python, script, *settings = shlex.split(proposal.command)
        assert (python, script) == ("python", "train.py")
        compose_config(settings)
        plan = plan_of(*settings)
        context = kinds.reach_of(kinds.memory_of(plan.agent)).context
        horizons = kinds.horizons_of(plan.env.card)
        assert kinds.classify(context, horizons) == tests
        assert f"K = {context}" in proposal.why


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("memory=none",), "the control of either experiment"),
        (("memory=gru", "env=umbrella_chain"), "choose another"),
        (("memory=attention", "env=repeat_first_easy"), "cues that lie nearest"),
        (("memory=frame_stack", "memory.frames=2", "env=autoencode_easy"), "nearest"),
    ],
)
def test_what_cannot_be_had(words, told):
    assert told in proposed(*words)[1]


def test_a_horizon_beyond_all_reach_is_a_control():
    window, layers = proposed("memory=attention"), proposed("memory=rmt")
    assert window[0][1].why.endswith("the control, which must fail")
    assert "control" not in layers[0][1].why


@pytest.mark.parametrize(("trained", "played"), [(5, 50), (50, 5)])
def test_the_run_itself_is_told_by_what_it_was_evaluated_on(trained, played):
    task = (f"env.length={trained}", f"+evaluation.env.length={played}")
    plan = plan_of("memory=attention", "memory.window=16", *task)
    experiment = "long-term" if played > trained else "short-term"
    pair, _ = proposals.propose(plan, Reach(16, 16), experiment)
    (itself,) = [proposal for proposal in pair if not proposal.command]
    assert itself.tests == experiment
    assert itself.why.startswith(f"this run: K = 16, xi = {played + 1}")


def test_what_a_run_started_from_is_in_its_command():
    plan = plan_of("memory=gru", "env.length=4")
    plan.config["start_from"] = "runs/tmaze/gru-ppo/20261121-120000"
    longer = proposals.command_of(plan, {"env.length": 8})
    assert "start_from=runs/tmaze/gru-ppo/20261121-120000" in longer
    assert "start_from" not in proposals.command_of(plan, {"memory": "attention"})


def test_a_class_of_ones_own_in_a_command():
    target = "tests.agents.toy:Toy"
    config = {"env": {"target": target}, "memory": {}, "agent": {}, "plugins": ("a",)}
    assert proposals._custom(config) == {"env.target": target, "plugins": ("a",)}
    texts = [proposals._text(x) for x in (True, None, ("a", "b"), 0.5, 3)]
    assert texts == ["true", "null", "[a,b]", "0.5", "3"]


# What is told -----------------------------------------------------------------


def a_verdict(context, effective, horizon=20, outside=False, **settings):
    card = dataclasses.replace(TMaze(horizon).card, outside_memory=outside)
    values = {
        "run": "run",
        "task": "tmaze",
        "memory": "gru",
        "card": card,
        "trained_on": kinds.horizons_of(card),
        "reach": Reach(context, effective),
        "gradient_steps": 128,
        "seeds": {0: "memory used", 1: "memory not shown"},
        "proposals": (),
        "impossible": "",
    }
    return Verdict(**{**values, **settings})


def test_long_term_is_not_said_where_the_context_covers_the_horizon():
    found = a_verdict(64, 64)
    text = " ".join(found.sentences())
    assert "a short-term memory experiment" in text
    assert "shown: short-term memory in 1 of 2 seeds" in text
    assert "long-term" not in text
    assert found.record()["experiment"] == "short-term"


@pytest.mark.parametrize(
    ("context", "effective", "told"),
    [
        (1, None, "a long-term memory experiment: gru on tmaze has every cue beyond"),
        (1, None, "shown: long-term memory in 1 of 2 seeds (seed 0: memory used; "),
        (1, None, "which reaches back without limit"),
        (8, 22, "which reaches back 22 steps"),
        (8, 22, "what bridges it is the stack of its layers"),
        (8, 21, "a long-term memory experiment"),
        (8, 20, "beyond all that its memory reaches (K_eff = 20), so its memory must"),
        (8, 8, "a control: gru on tmaze has every cue beyond its context"),
        (8, 8, "nothing is shown of memory, which does not reach the cue: 1 of 2"),
        (
            8,
            8,
            "the memory reaches 8 steps, the current one included, and xi is up to 21",
        ),
    ],
)
def test_beyond_the_context(context, effective, told):
    assert told in " ".join(a_verdict(context, effective).sentences())


def test_some_within_the_context():
    card = RepeatFirst().card
    text = " ".join(a_verdict(8, None, card=card).sentences())
    assert "a mixed experiment" in text
    assert "shown: memory of either kind in 1 of 2 seeds" in text


def test_no_memory_to_test():
    text = " ".join(
        a_verdict(8, None, card=envs.make("UmbrellaChain-v0").card).sentences()
    )
    assert "no memory experiment" in text
    assert "nothing is shown of memory" in text
    assert "no memory is demanded" in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"gradient_steps": 20}, "gradients flowed over 20 steps"),
        ({"outside": True}, "a success need not be its memory's"),
        ({"seeds": {}}, "nothing is shown: the run has no result yet"),
        ({"trained_on": Horizons(5, 5)}, "trained on another horizon: xi = 5"),
        ({"impossible": "long-term: why"}, "not to be had: long-term: why"),
    ],
)
def test_what_limits_it(settings, told):
    assert told in " ".join(a_verdict(1, None, **settings).sentences())
    assert told not in " ".join(a_verdict(1, None).sentences())


def test_a_gradient_that_just_spans_the_cue():
    text = " ".join(a_verdict(1, None, gradient_steps=21).sentences())
    assert "gradients" not in text


def test_what_was_played_beyond():
    points = [Point(x, x, TMaze(x).card, [a_score(0.9)]) for x in (4, 64)]
    dial = find_dial(TMaze(4))
    tested = Retention("run", "tmaze", dial, [0], points, 63, ("left out",))
    *_, within, beyond, note = a_verdict(64, 64, horizon=4, tested=tested).sentences()
    assert within.startswith("played with length=4, K = 64, xi = 5, short-term: memory")
    assert "length=64, K = 64, xi = 65, the control: memory used (0.80" in beyond
    assert note == "note: left out"
    found = a_verdict(16, 65, horizon=4, tested=tested)
    assert "xi = 65, long-term: memory used" in found.sentences()[-2]
    assert not found.record()["control"]


# A run ------------------------------------------------------------------------


def test_a_run_that_remembers(solved):
    found = verdict(solved)
    assert (found.experiment, found.knowledge) == ("long-term", "declarative")
    assert (found.reach, found.horizons) == ((1, None), (5, 5))
    assert found.used == [0, 1]
    assert found.proposals[0].command.endswith("memory.window=5")


def test_a_run_without_memory(tmp_path):
    words = ("memory=none", "env.length=4")
    found = verdict(write_run(tmp_path, *words, verdicts=["memory not shown"]))
    assert found.used == []
    assert found.sentences()[0].startswith("a control: none on tmaze")
    assert found.record()["control"]


def played_at(monkeypatch, found):
    asked = []

    def play_at(run, trained, dial, horizons, episodes, seconds):
        asked.append((horizons, episodes, seconds))
        points = [Point(x, x, TMaze(x).card, [a_score(1.0)]) for x in horizons]
        return Retention(run, "tmaze", dial, [0], points, None, ())

    monkeypatch.setattr(command, "play_at", play_at)
    play_beyond(found, 30, 9.0)
    return asked[0]


@pytest.mark.parametrize(
    ("reach", "gradient_steps", "horizons"),
    [
        (Reach(1, None), 128, [4, 8, 128]),  # where no gradient reached
        (Reach(1, None), 6, [4, 6, 8]),
        (Reach(1, None), 2, [4, 8]),
        (Reach(1, None), None, [4, 8]),
        (Reach(16, 16), 128, [4, 16]),  # the nearest that the context leaves out
        (Reach(5, None), 128, [4, 5]),
        (Reach(4, None), 2, [4, 8]),
    ],
)
def test_where_it_is_played(monkeypatch, reach, gradient_steps, horizons):
    monkeypatch.setattr(command, "load_plan", lambda run: plan_of("env.length=4"))
    monkeypatch.setattr(command, "restore", lambda run, plan: None)
    found = a_verdict(*reach, gradient_steps=gradient_steps)
    assert played_at(monkeypatch, found) == (horizons, 30, 9.0)


def test_too_few_episodes_for_an_interval():
    with pytest.raises(ConfigError, match="episodes=0 must be at least 2"):
        play_beyond(a_verdict(1, None), 0)


def test_the_command(tmp_path, monkeypatch, capsys):
    used = "memory used"
    run = write_run(tmp_path, "env.length=4", verdicts=(used, "memory not shown"))
    monkeypatch.setattr("sys.argv", ["analysis", "verdict", str(run)])
    analysis.__main__.main()
    assert "- a long-term memory experiment" in capsys.readouterr().out
    record = json.loads((run / "analysis" / "verdict.json").read_text())
    assert record["seeds"] == {"0": used, "1": "memory not shown"}
    assert record["context"] == 1
    assert record["correlation_horizon"] == [5, 5]
    assert list((run / "analysis" / "verdict").glob("*tfevents*"))


def test_the_command_plays(tmp_path, monkeypatch):
    asked, run = [], write_run(tmp_path)
    monkeypatch.setattr(command, "play_beyond", lambda *x: asked.append(x[1:]) or x[0])
    words = ["verdict", str(run), "--test", "--episodes", "7", "--seconds", "5"]
    monkeypatch.setattr("sys.argv", ["analysis", *words])
    analysis.__main__.main()
    assert asked == [(7, 5.0)]


def test_a_run_that_has_not_ended(tmp_path):
    assert (
        verdict(write_run(tmp_path))
        .sentences()[2]
        .startswith("nothing is shown: the run")
    )


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "analysis").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        command.write(a_verdict(1, None, run=tmp_path))


def test_a_numpy_task_has_no_horizon(monkeypatch, tmp_path):
    plan = dataclasses.replace(
        plan_of("env.length=4"), evaluation_env=envs.HostTask("CartPole-v1")
    )
    monkeypatch.setattr(command, "load_plan", lambda run: plan)
    with pytest.raises(ConfigError, match="numpy environment, whose horizon nobody"):
        verdict(write_run(tmp_path))
