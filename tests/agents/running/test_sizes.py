"""A run that cannot fit is told before it starts, with the figure, and at once."""

import dataclasses
import time

import jax
import pytest

import envs
from agents.algorithms.settings import divisors
from agents.convert import ConfigError
from agents.footprint import Part, bytes_of
from agents.running.configuration.config import build
from agents.running.files import records
from agents.running.files.records import peak_bytes
from agents.running.output import sizes
from agents.running.output.sizes import check_sizes, measure, show_bytes
from agents.running.overrides import compose_config
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import HiddenToy

TOO_LARGE = {
    "agent.num_envs=1e9": ("TB", "agent.num_envs=1000000000"),
    "agent.rollout_length=1e8": ("TB", "agent.rollout_length=100000000"),
    "memory=gru memory.output_size=1e6": ("TB", "lower memory.output_size=1000000."),
    "memory.output_size=1e6": ("GB", "memory.output_size=1000000"),
    "env=repeat_first_easy env.decks=1e9": ("at most 41,297,762", "decks"),
    "env=repeat_first_easy env.decks=4e7": ("GB", "what sizes the task"),
    "evaluation.episodes=1e7 num_seeds=1000": ("TB", "evaluation.episodes=10000000"),
    "num_seeds=10000 agent.num_envs=4096": ("TB", "or num_seeds=10000"),
    "agent.num_envs=1e10": ("10,000,000,000, more than the 2,147,483,647", "lower it"),
    "agent.rollout_length=3e9": ("3,000,000,000, more than", "lower it"),
    "env.length=1e10": ("at most 2,000,000,000", "length"),
    "env=memory_chain env.bits=1e9": ("at most 1,000,000", "bits"),
    "total_steps=1e15": ("counted in gradient steps", "raise agent.num_envs"),
    "agent.rollout_length=99999989 agent.sequence_length=7": ("does not divide", "1."),
    "agent.num_envs=99999989 agent.num_minibatches=7": ("does not divide", "1."),
}


@pytest.fixture(autouse=True)
def sixteen_gigabytes(monkeypatch):
    """The same verdict on any machine."""
    monkeypatch.setattr(sizes, "available_bytes", lambda: 16 * 10**9)


@pytest.mark.parametrize("line", TOO_LARGE)
def test_one_sentence_with_the_figure_at_once(line):
    before, began = peak_bytes(), time.process_time()
    with pytest.raises(ConfigError) as caught:
        check_sizes(build(compose_config(line.split())))
    assert time.process_time() - began < 2
    assert peak_bytes() - before < 300e6
    message = str(caught.value)
    for words in TOO_LARGE[line]:
        assert words in message
    assert "\n" not in message and message.endswith(".")


def test_the_estimate_is_what_the_compiler_arrives_at():
    agent = make_agent(
        env=HiddenToy(),
        num_envs=64,
        critic_sees_hidden=True,
        normalize_observation=True,
        normalize_reward=True,
    )
    estimate = measure(agent, num_seeds=1, episodes=1)
    state = jax.eval_shape(agent.init, jax.random.key(0))
    analysis = jax.jit(agent.update).lower(state).compile().memory_analysis()
    parts = {name: part.bytes for name, part in estimate.parts.items()}
    streams = parts["environments"] + parts["memories"]
    entering = parts["parameters"] + streams
    assert analysis.argument_size_in_bytes == entering + 12  # key and counter
    compiled = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
    assert 0.5 < estimate.needed / compiled < 1.5
    several = measure(agent, num_seeds=3, episodes=1)
    assert several.needed == 3 * estimate.needed
    many = measure(agent, num_seeds=1, episodes=64 * 10**6)
    assert many.evaluation == 10**6 * streams
    assert many.needed == entering + many.evaluation
    split = dataclasses.replace(estimate, devices=4)
    kept = parts["parameters"]
    assert split.needed - kept == (estimate.needed - kept) // 4


def test_a_run_that_fits_is_told_its_figure():
    found = check_sizes(build(compose_config(["experiment=smoke"])))
    assert 0 < found.needed < 100e6
    assert show_bytes(found.needed).endswith(" MB")
    for count, text in ((1, "1 MB"), (25 * 10**8, "2.5 GB"), (10**18, "1,000.0 PB")):
        assert show_bytes(count) == text


def test_available_memory_is_the_least_of_what_is_free_and_allowed(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    5000 kB\n",
        "/proc/self/cgroup": "0::/jobs/one\n",
        "/sys/fs/cgroup/memory.max": "max\n",
    }
    monkeypatch.setattr(records, "_read", lambda path: files.get(path, ""))
    assert records.available_bytes() == 5000 * 1024
    files["/sys/fs/cgroup/jobs/one/memory.max"] = "3000000\n"
    assert records.available_bytes() == 3_000_000


def test_divisors_without_trying_all():
    for total in range(1, 200):
        assert divisors(total) == [d for d in range(1, total + 1) if total % d == 0]
    assert divisors(10**17)[-1] == 10**17 and len(divisors(10**17)) == 18 * 18
    assert divisors(2**61 - 1) == [1, 2**61 - 1]  # a prime


def test_what_is_needed_at_once():
    bytes_of = {"kept": 10, "streams": 12, "experience": 7, "training": 160}
    parts = {kind: Part(count, kind, ()) for kind, count in bytes_of.items()}
    found = sizes.Sizes(parts, evaluation=30)
    assert found.needed == 10 + (12 + 7 + 160)
    assert dataclasses.replace(found, devices=4).needed == 10 + (12 + 7 + 160) // 4
    assert dataclasses.replace(found, evaluation=900).needed == 10 + 12 + 7 + 900


def test_an_evaluation_is_sized_by_the_task_it_plays():
    small, large = (envs.make("RepeatFirstEasy-v0", decks=decks) for decks in (1, 3))
    agent = make_agent("none", env=small)
    key = jax.random.key(0)
    start = [bytes_of(jax.eval_shape(env.reset, key)) for env in (small, large)]
    assert start[1] > start[0]
    own, other = (measure(agent, 2, 5, env) for env in (None, large))
    assert other.evaluation - own.evaluation == 2 * 5 * (start[1] - start[0])
