"""All that an accelerator is for, in one command: `python -m benchmarks.accelerator`.

Environment steps, rollouts, training with each agent, ffm against gru over long
rollouts, and tasks as pictures, at sizes that fill a GPU. The most telling lines come
first; after `--limit` seconds (400, so that all is done within 480) no other line is
begun, and those that are missing are named. Every rate is the median of three samples
after one to warm up, and the seconds until that one, compiling included, are beside it.

Rows are kept in `benchmarks/results/accelerator.json`, one set per device; see `rows`.
`--small` takes sizes for a CPU, to see that every line runs: what it measures says
nothing, and is kept only where `--results` says.
"""

import argparse
import dataclasses
import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

import agents
import envs
import memory_models
from benchmarks.common.rows import RESULTS, Row, Rows, publish, save
from benchmarks.environment_speed import actions_of, rollout, timed
from benchmarks.speed import Sample, rollouts, training

WIDTH = 128
SAMPLES = 3
PICTURES = ("CountRecallEasyPixels", "AutoencodeEasyPixels", "MiniGridMemoryPixels")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        streams: environments of a batch, few and many, stepped at random.
        steps: of them at a time.
        training: environments that an agent learns from.
        long: steps of a long rollout, and environments that play it.
        pictures: environments seen as pictures, and steps of a rollout of them.
        replay: steps per environment that are kept.
        width: features of encoders and memories.
    """

    streams: tuple[int, int] = (4_096, 65_536)
    steps: int = 1_000
    training: int = 4_096
    long: tuple[int, int] = (1_024, 256)
    pictures: tuple[int, int] = (512, 128)
    replay: int = 256
    width: int = WIDTH


SMALL = Sizes((16, 32), 8, 32, (16, 8), (8, 8), 128, 8)


def lines(sizes: Sizes) -> Iterator[tuple[str, Callable[[], Sample]]]:
    """What is measured: its name, and what compiles it."""
    task = "RepeatPreviousEasy"
    for num_envs in sizes.streams:
        name = f"{task}, {num_envs:,} streams at random"
        yield name, lambda n=num_envs: stepping(task, n, sizes.steps)
    for memory in ("ffm", "gru"):
        made = _agent(sizes, "ppo", memory)
        yield (
            f"rollouts, {memory}, {sizes.training:,} streams",
            lambda a=made: rollouts(a(), 1),
        )
    for agent, memory in (
        *(("ppo", "ffm"), ("ppo", "gru"), ("dqn", "ffm"), ("pqn", "ffm")),
        *(("sac", "ffm"), ("ppo", "lstm"), ("dqn", "gru"), ("pqn", "gru")),
    ):
        made = _agent(sizes, agent, memory)
        yield (
            f"training, {agent}, {memory}, {sizes.training:,} streams",
            lambda a=made: training(a(), 1),
        )
    steps, num_envs = sizes.long
    for memory in ("ffm", "gru"):
        made = _agent(sizes, "ppo", memory, num_envs=num_envs, rollout_length=steps)
        yield (
            f"training, ppo, {memory}, {num_envs} streams x {steps:,} steps",
            lambda a=made: training(a(), 1),
        )
    num_envs, steps = sizes.pictures
    pictures = {"num_envs": num_envs, "rollout_length": steps}
    for task in PICTURES:
        made = _agent(sizes, "ppo", "ffm", task=task, **pictures)
        yield (
            f"training, ppo, ffm, {task}, {num_envs} streams",
            lambda a=made: training(a(), 1),
        )


def _agent(
    sizes: Sizes, name: str, memory: str, task: str = "RepeatPreviousEasy", **given: Any
) -> Callable[[], Any]:
    """What makes an agent of these sizes; settings that are not named are default."""
    num_envs = given.pop("num_envs", sizes.training)
    settings = {"num_envs": num_envs, "encoder_size": sizes.width, **given}
    if name in ("dqn", "sac"):
        settings |= {
            "replay_size": num_envs * sizes.replay,
            "learning_starts": 0,
            "batch_size": max(4, num_envs // 16),
        }
    return lambda: agents.make(
        name,
        env=envs.make(f"{task}-v0"),
        memory=memory_models.builder(memory, output_size=sizes.width),
        total_updates=1_000,
        **settings,
    )


def stepping(task: str, num_envs: int, steps: int) -> Sample:
    """Steps per second of random actions."""
    env = envs.make(f"{task}-v0")
    draw = actions_of(env, num_envs)
    function = jax.jit(lambda key: rollout(env, key, draw, num_envs, steps))
    return timed(function, jax.random.key(0), num_envs * steps)


def measure(make: Callable[[], Sample]) -> Row:
    """A rate, and how long it took until the first sample."""
    began = time.perf_counter()
    sample = make()
    sample()
    compiled = time.perf_counter() - began
    rates = [sample() for _ in range(SAMPLES)]
    return {
        "rate": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "first": round(compiled, 1),
    }


def hardware() -> str:
    """The device and what programs it."""
    device = jax.devices()[0]
    words = [device.device_kind, f"JAX {jax.__version__}"]
    for name in ("jax-cuda12-plugin", "jax-cuda13-plugin"):
        try:
            words.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(words)


def table(rows: Rows) -> str:
    """One table per device, its lines in the order in which they are measured."""
    kinds = list(dict.fromkeys(row["hardware"] for row in rows.values()))
    if not kinds:
        return "No accelerator has been at hand yet."
    parts = []
    for kind in kinds:
        found = [row for row in rows.values() if row["hardware"] == kind]
        found.sort(key=lambda row: row["place"])
        dates = sorted({row["date"] for row in found})
        parts.append(f"{kind}, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}:\n")
        parts.append("| | k steps/s | slowest | fastest | to the first sample, s |")
        parts.append("|---|---|---|---|---|")
        for row in found:
            rates = (row[x] / 1e3 for x in ("rate", "slowest", "fastest"))
            cells = [row["line"], *(f"{x:,.4g}" for x in rates), f"{row['first']}"]
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts).rstrip()


def main() -> None:
    """Measure line by line, until the time is up; then publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    parser.add_argument("--limit", type=float, default=400, help="seconds")
    parser.add_argument("--only", default="", help="lines with this text")
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    results = asked.results or (None if asked.small else RESULTS / "accelerator.json")
    if jax.default_backend() == "cpu" and not asked.small:
        parser.error("there is no accelerator here; --small measures on a CPU")
    began, kind = time.perf_counter(), hardware()
    left_out = []
    for place, (name, make) in enumerate(lines(SMALL if asked.small else Sizes())):
        if asked.only not in name:
            continue
        if time.perf_counter() - began > asked.limit:
            left_out.append(name)
            continue
        row = measure(make)
        row |= {"line": name, "hardware": kind, "place": place}
        if results is not None:
            save(results, f"{kind}: {name}", row)
        print(f"{name}: {row['rate'] / 1e3:,.4g} k steps/s", flush=True)
        jax.clear_caches()
    if left_out:
        print(f"not begun within {asked.limit:.0f} s: {'; '.join(left_out)}")
    if results is not None:
        publish(results, table)


if __name__ == "__main__":
    main()
