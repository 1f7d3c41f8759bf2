"""A short run: what it prints and what it leaves."""

import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import agents
import envs
from agents.running.output.names import tag_of
from agents.running.output.plan import warning
from agents.running.output.tensorboard import (
    CURVE,
    FIRST,
    METRICS,
    REFERENCES,
    TAGS,
    Writer,
)
from agents.running.overrides import compose_config
from agents.running.updates import compile_updates, make_update_loop, over_seeds
from memory_models import Card as MemoryCard
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import Toy

TASK = "tmaze+env.length=5+evaluation.env.length=4"


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Two seeds of a smoke run: result, printed text, directory."""
    text = io.StringIO()
    config = compose_config(
        [
            "experiment=smoke",
            "env.length=5",
            "num_seeds=2",
            "total_steps=5000",
            "memory.output_size=16",
            "evaluation.episodes=256",
            "evaluation.env.length=4",
            f"run_directory={tmp_path_factory.mktemp('runs')}",
        ]
    )
    result = agents.run(config, Console(file=text, width=200))
    return result, text.getvalue(), result.directory


def events(directory):
    accumulator = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    return accumulator.Reload()


def test_prints_plan_and_verdict(short_run):
    result, text, _ = short_run
    for words in (
        "task    tmaze (length=5, active=False)",
        "demands object memory over 5 steps",
        "memoryless 0.50 (exact), recall 1.00 (exact)",
        "evaluated with length=4: floor ",
        "memory  ffm:",
        "bytes of state per stream",
        "device  ",
        "memory needed about",
        "10 updates x 512 = 5,120 per seed (5,000 asked for), 2 seed(s) from 0",
        "compile ",
    ):
        assert words in text
    assert re.search(r"returns \(floor .+, memoryless 0\.50, recall 1\.00\)", text)
    assert len(re.findall(r"^ seed [01] +-?\d\.\d\d ", text, re.MULTILINE)) == 2
    assert len(result.scores) == len(result.verdicts) == 2
    assert result.card == envs.make("TMaze-v0", length=4).card
    assert all(score.length <= result.card.max_episode_steps for score in result.scores)


OTHERS = {"exploration/epsilon", "replay/unknown", "policy/temperature"}
"""Tags of agents that value actions."""
OTHERS |= {tag_of(tag, TASK) for tag in (*CURVE, "evaluation/film")}
OTHERS |= {tag for tag in TAGS if tag.startswith("search/")}


def test_a_directory_per_seed_with_closed_tags(short_run):
    _, _, directory = short_run
    assert re.fullmatch(r"\d{8}-\d{6}", directory.name)
    assert directory.parent.parent.name == TASK
    curves = []
    for seed in (0, 1):
        tags = events(directory / f"seed_{seed}").Tags()["scalars"]
        known = {tag_of(tag, TASK) for tag in TAGS}
        assert set(tags) <= known
        assert known - set(tags) == OTHERS
        points = events(directory / f"seed_{seed}").Scalars("loss/total")
        assert [p.step for p in points] == [2048, 4096, 5120]
        curves.append([p.value for p in points])
    assert curves[0] != curves[1]


def test_references_are_of_the_task_that_is_evaluated(short_run):
    result, _, directory = short_run
    for name in REFERENCES:
        folder = directory.parents[1] / "reference" / name
        points = events(folder).Scalars(f"evaluation/{TASK}/return")
        value = getattr(result.card, name).value
        assert [p.step for p in points] == [0, 5120]
        assert [p.value for p in points] == pytest.approx([value] * 2)
        for bound in ("mean", "lower", "upper"):  # a line in charts of bands
            points = events(folder).Scalars(f"comparison/{TASK}/{bound}")
            assert [p.value for p in points] == pytest.approx([value] * 2)


def test_hparams_are_filled(short_run):
    _, _, directory = short_run
    accumulator = events(directory / "seed_1")
    data = accumulator.summary_metadata["_hparams_/session_start_info"].plugin_data
    parsed = plugin_data_pb2.HParamsPluginData.FromString(data.content)
    values = parsed.session_start_info.hparams
    assert values["memory.name"].string_value == "ffm"
    assert values["env.length"].number_value == 5
    assert values["seed"].number_value == 1
    assert values["agent.previous_reward"].WhichOneof("kind") == "bool_value"
    data = accumulator.summary_metadata["_hparams_/experiment"].plugin_data
    parsed = plugin_data_pb2.HParamsPluginData.FromString(data.content)
    infos = parsed.experiment.hparam_infos
    assert {info.name for info in infos if info.differs} == set(FIRST)
    assert {info.name for info in infos} == set(values)
    told = [info.name.tag for info in parsed.experiment.metric_infos]
    assert told == list(METRICS) and set(told) <= set(TAGS)


def test_the_table_of_runs_has_the_result(short_run):
    result, _, directory = short_run
    for index in (0, 1):
        seed = events(directory / f"seed_{index}")
        last = {tag: seed.Scalars(tag)[-1].value for tag in METRICS}
        assert last["result/return"] == pytest.approx(result.scores[index].mean)
        assert last["result/success"] == pytest.approx(result.scores[index].success)
        assert last["result/memory_used"] == (result.verdicts[index] == "memory used")
        assert last["result/parameters"] == result.record()["parameters"] > 1000
        assert last["result/state_bytes"] == result.record()["state_bytes"] > 1000
        assert last["time/steps_per_second"] > 0


def test_config_and_versions_are_kept(short_run):
    _, _, directory = short_run
    assert "length: 5" in (directory / "config.yaml").read_text()
    versions = json.loads((directory / "versions.json").read_text())
    assert versions["jax"] == jax.__version__ and versions["devices"]


def test_the_tag_list_is_closed_and_documented(tmp_path):
    writer = Writer(tmp_path, "tmaze")
    with pytest.raises(ValueError, match="not on the list of tags"):
        writer.scalars({"loss/new": 1.0}, 0)
    writer.finish(True)
    page = Path("docs/metrics.md").read_text()
    documented = re.findall(r"^\| `([a-z_/]+)` \|", page, re.MULTILINE)
    assert documented == list(TAGS)


def test_the_update_loop_compiles_once_for_any_count():
    agent = make_agent("none", num_envs=3, rollout_length=8)
    traces = []

    class Counted(type(agent)):
        def update(self, state):
            traces.append(1)
            return super().update(state)

    settings = {k: v for k, v in vars(agent).items() if k in agent.__match_args__}
    counted = Counted(**settings)
    loop = jax.jit(make_update_loop(counted, 4))
    state = jax.jit(agent.init)(jax.random.key(0))
    for count in (1, 4, 2):
        state, metrics = loop(state, jnp.asarray(count, jnp.int32))
        filled = ~np.isnan(metrics["loss/total"])
        assert filled.sum() == count
        if count == 1:
            first = len(traces)
    assert len(traces) == first
    assert loop._cache_size() == 1
    assert int(state.updates) == 7


def test_buffers_are_donated():
    agent = make_agent("none", num_envs=3)
    keys = jnp.stack([jax.random.key(0)])
    state = jax.jit(over_seeds(agent.init, 1))(keys)
    loop, seconds = compile_updates(agent, 1, 1, state)
    assert seconds > 0
    loop(state, jnp.asarray(1, jnp.int32))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


def horizon_card(steps):
    return dataclasses.replace(Toy().card, horizon=(1, steps))


@pytest.mark.parametrize(
    ("context", "option", "gradient", "expected"),
    [
        (None, None, 21, None),
        (None, None, None, None),
        (20, "num_frames", 21, None),
        (3, "num_frames", 128, "memory=m reaches 3 steps back (raise memory.num_fra"),
        (0, None, 128, "memory=m reaches 0 steps back (choose another memory)"),
        (None, None, 20, "gradients reach 19 steps back (raise agent.sequence_len"),
        (3, "num_frames", 8, "memory.num_frames) and gradients reach 7 steps"),
    ],
)
def test_horizon_warning(context, option, gradient, expected):
    card = MemoryCard("", "window", context, context_option=option)
    line = warning(horizon_card(20), card, "m", gradient)
    if expected is None:
        assert line is None
    else:
        assert expected in line and "\n" not in line


@dataclasses.dataclass(frozen=True)
class Poisoned(Toy):
    """A toy whose reward is, very rarely, not a number."""

    def step(self, key, state, action):
        observation, state, reward, *rest = super().step(key, state, action)
        bad = (state.noise[1] > 1.9985) & (state.noise[0] > 0)  # once in 8,192 steps
        return observation, state, jnp.where(bad, jnp.nan, reward), *rest


def run_poisoned(directory, *words):
    text = io.StringIO()
    settings = ["env=custom", "memory=none", "num_seeds=3", "total_steps=6000"]
    settings += [f"env.target={__name__}:Poisoned", "memory.output_size=8"]
    settings += ["agent.num_envs=16", "agent.rollout_length=32"]
    settings += [f"run_directory={directory}", "evaluation.interval=null", *words]
    settings += ["checkpoint.interval=512", "checkpoint.keep=99", "check=false"]
    settings += ["evaluation.episodes=4"]
    config = compose_config([*settings, "log_interval=1"])
    return agents.run(config, Console(file=text, width=300)), text.getvalue()


MINIBATCHES = ["agent.num_minibatches=4"]
REPLAY = ["agent.replay_size=4096", "agent.learning_starts=600", "agent.batch_size=8"]
REPLAY += ["agent.gradient_steps=2"]


@pytest.mark.shows("a seed that is not finite")
@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("ppo", MINIBATCHES),
        ("dqn", REPLAY),
        pytest.param("pqn", MINIBATCHES, marks=pytest.mark.slow),  # as ppo
        pytest.param("sac", REPLAY, marks=pytest.mark.slow),  # as dqn
    ],
)
def test_a_seed_that_stops_being_finite_is_frozen_and_named(agent, words, tmp_path):
    result, text = run_poisoned(tmp_path, f"agent={agent}", *words)
    assert 0 < len(result.frozen) < 3
    index, where = next(iter(result.frozen.items()))
    found = re.fullmatch(
        r"update (\d+) \(step [\d,]+\): first rollout.reward at step (\d+)", where
    )
    assert found, where
    assert f"seed {index} stopped being finite in update" in text
    assert result.verdicts[index] == f"no verdict (not finite in {where})"
    bad = int(found[1])

    # It stays as it was before that update, and its curves end there.
    for path in (result.directory / "checkpoints").iterdir():
        if int(path.name) >= bad:
            shutil.rmtree(path)
    before = agents.load(result.directory, seed=int(index)).params
    for long, short in zip(
        jax.tree.leaves(result.params), jax.tree.leaves(before), strict=True
    ):
        assert jnp.array_equal(long[index], short)
    curves = [
        [point.step for point in events(result.directory / f"seed_{seed}").Scalars(tag)]
        for seed in range(3)
        for tag in ["loss/total"]
    ]
    assert curves[index] == [512 * (n + 1) for n in range(bad - 1)]

    # The others go on.
    others = set(range(3)) - set(result.frozen)
    for seed in others:
        assert len(curves[seed]) == 12
        assert result.verdicts[seed].startswith("no verdict (4 evaluation episodes")


def test_what_went_wrong_in_learning_is_named(tmp_path):
    words = ["experiment=smoke", "memory=none", "env.length=5", "total_steps=3000"]
    words += ["agent.learning_rate=1e30", f"run_directory={tmp_path}"]
    text = io.StringIO()
    result = agents.run(compose_config(words), Console(file=text, width=300))
    assert re.search(r"update 1 \(step 512\): first learning.loss/", result.frozen[0])
    assert "at minibatch 1" in result.frozen[0]
    finite = [bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(result.params)]
    assert all(finite)
    with pytest.raises(agents.ConfigError, match="every seed stopped being finite"):
        agents.run({**compose_config(words), "resume": str(result.directory)})
