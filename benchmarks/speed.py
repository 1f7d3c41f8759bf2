"""How fast agents train: `python -m benchmarks.speed`, best when nothing else runs.

RepeatPreviousEasy, 64 environments x 128 steps, 4 epochs x 8 minibatches, width 128,
beside RecurrentPPO of sb3-contrib on the same task (one LSTM for actor and critic, the
same counts and widths). Every sample lasts a second or two, samples of all lines take
turns, and the machine's rate of float32 products is sampled with them; beside each of
ours stands at what rate its own products then run, which cannot be more. This process
keeps to `--threads` cores, for us and for the others alike. `--values` measures DQN and
PQN instead, beside the DQN of Stable-Baselines3: as many layers of the same width as
ours without memory, as many environments, and per step of the optimiser as many steps
played and learned from.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import agents
import envs
import memory_models
from agents import devices
from agents.algorithms.ppo import PPO
from agents.running.updates import compile_updates, over_seeds
from benchmarks.common.products import flops_per_step

NUM_ENVS, STEPS, EPOCHS, MINIBATCHES, WIDTH = 64, 128, 4, 8, 128
UPDATES = 4
"""Updates per sample of ours."""
STARTS = ("agent.encoder_size=128", "env=repeat_previous_easy", "total_steps=1")
PRODUCT = 2048
PRODUCT_LINE = f"a product of {PRODUCT}^3"

Sample = Callable[[], float]
"""Runs once and gives a rate."""


def make_agent(memory: str, task: str, separate: bool) -> PPO:
    """The agent of this page."""
    return PPO(
        env=envs.make(task),
        memory=memory_models.builder(memory, output_size=WIDTH),
        num_envs=NUM_ENVS,
        rollout_length=STEPS,
        num_epochs=EPOCHS,
        num_minibatches=MINIBATCHES,
        encoder_size=WIDTH,
        separate_memories=separate,
    )


def make_value_agent(name: str, memory: str, task: str) -> Any:
    """DQN or PQN at the defaults, but for the width."""
    return agents.make(
        name,
        env=envs.make(task),
        memory=memory_models.builder(memory, output_size=WIDTH),
        num_envs=NUM_ENVS,
        encoder_size=WIDTH,
        head_size=WIDTH,
        total_updates=10**6,
        **({"learning_starts": 0} if name == "dqn" else {}),
    )


def training(agent: Any, num_devices: int) -> Sample:
    """Steps per second of whole updates, as `train.py` compiles them."""
    mesh = devices.choose_devices(num_devices, agent)
    keys = jnp.stack([jax.random.key(0)])
    state = jax.jit(over_seeds(agent.init, 1))(keys)
    state = devices.place(state, agent, mesh)
    update, _ = compile_updates(agent, 1, UPDATES, state, mesh)
    standing = {"state": state}

    def sample() -> float:
        began = time.perf_counter()
        standing["state"], metrics = update(
            standing["state"], jnp.asarray(UPDATES, jnp.int32)
        )
        jax.block_until_ready(metrics)
        return UPDATES * agent.steps_per_update / (time.perf_counter() - began)

    return sample


def rollouts(agent: PPO, num_devices: int) -> Sample:
    """Steps per second of acting alone; everything collected is summed up."""
    mesh = devices.choose_devices(num_devices, agent)
    share = devices.share_of(agent, mesh)

    def collect(state: Any) -> tuple[Any, jax.Array]:
        key = jax.random.fold_in(state.key, state.updates)
        streams, rollout = share.rollout(state.params, state.streams, key)
        sums = [x.astype(jnp.float32).sum() for x in jax.tree.leaves(rollout)]
        total = jnp.stack(sums).sum()
        return state._replace(streams=streams, updates=state.updates + 1), total

    keys = jnp.stack([jax.random.key(0)])
    state = devices.place(jax.jit(over_seeds(agent.init, 1))(keys), agent, mesh)
    function = devices.split(over_seeds(collect, 1), agent, state, mesh)
    function = jax.jit(function, donate_argnums=0).lower(state).compile()
    standing = {"state": state}
    count = 10 * UPDATES

    def sample() -> float:
        began = time.perf_counter()
        for _ in range(count):
            standing["state"], total = function(standing["state"])
            jax.block_until_ready(total)
        return count * agent.steps_per_update / (time.perf_counter() - began)

    return sample


def peers(num_envs: int, threads: int) -> tuple[Any, Any, Any]:
    """DQN and RecurrentPPO of others, and their vector env of the task of this page."""
    try:
        import torch
        from popgym.envs.repeat_previous import RepeatPreviousEasy
        from sb3_contrib import RecurrentPPO
        from stable_baselines3 import DQN
        from stable_baselines3.common.env_util import make_vec_env
    except ImportError as error:
        sys.exit(
            f"error: {error.name} is not installed, so there is nothing to compare "
            'with; pip install -c constraints.txt -e ".[benchmarks]".'
        )
    torch.set_num_threads(threads)
    return DQN, RecurrentPPO, make_vec_env(RepeatPreviousEasy, n_envs=num_envs)


def learning(model: Any, steps: int) -> Sample:
    """Steps per second of a model of others."""

    def sample() -> float:
        began = time.perf_counter()
        model.learn(steps)
        return steps / (time.perf_counter() - began)

    return sample


def recurrent_ppo(threads: int) -> Sample:
    """Steps per second of RecurrentPPO, its environments in its own vector env."""
    _, recurrent, env = peers(NUM_ENVS, threads)
    model = recurrent(
        "MlpLstmPolicy",
        env,
        n_steps=STEPS,
        n_epochs=EPOCHS,
        batch_size=NUM_ENVS * STEPS // MINIBATCHES,
        policy_kwargs={
            "net_arch": [WIDTH],
            "lstm_hidden_size": WIDTH,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        device="cpu",
    )
    return learning(model, NUM_ENVS * STEPS)


def feed_forward_dqn(like: Any, threads: int) -> Sample:
    """Steps per second of Stable-Baselines3's DQN with the counts of ours.

    Args:
        like: a DQN of ours.
        threads: of PyTorch.
    """
    feed_forward, _, env = peers(like.num_envs, threads)
    model = feed_forward(
        "MlpPolicy",
        env,
        buffer_size=like.replay_size,
        learning_starts=0,
        train_freq=(like.rollout_length, "step"),
        gradient_steps=like.gradient_steps,
        batch_size=like.batch_size * like.sequence_length,
        policy_kwargs={"net_arch": [WIDTH] * 3},
        device="cpu",
    )

    return learning(model, UPDATES * like.steps_per_update)


def products() -> Sample:
    """Floating-point operations per second of float32 matrix products."""
    matrix = jnp.ones((PRODUCT, PRODUCT))
    multiply = jax.jit(jnp.matmul)

    def sample() -> float:
        began = time.perf_counter()
        multiply(matrix, matrix).block_until_ready()
        return 2 * PRODUCT**3 / (time.perf_counter() - began)

    return sample


def starts(memories: list[str]) -> dict[str, tuple[float, float]]:
    """Seconds that `train.py` says compiling took: first start, and second start."""
    seconds = {}
    for memory in memories:
        with tempfile.TemporaryDirectory() as folder:
            words = [f"memory={memory}", f"run_directory={folder}/runs", *STARTS]
            words.append(f"compilation_cache={folder}/cache")
            told = []
            for _ in range(2):
                process = subprocess.run(
                    [sys.executable, "train.py", *words],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                (found,) = re.findall(r"^compile ([\d.]+) s", process.stdout, re.M)
                told.append(float(found))
            seconds[memory] = (told[0], told[1])
    return seconds


def measure(lines: dict[str, Sample], rounds: int) -> dict[str, list[float]]:
    """`rounds` samples of every line, taken in turn, after one to warm up."""
    measured: dict[str, list[float]] = {name: [] for name in lines}
    for number in range(rounds + 1):
        for name, sample in lines.items():
            rate = sample()
            if number:
                measured[name].append(rate)
    return measured


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", default="lstm,gru,ffm")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--task", default="RepeatPreviousEasy-v0")
    parser.add_argument("--separate-memories", action="store_true")
    parser.add_argument("--values", action="store_true", help="DQN and PQN")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--without-starts", action="store_true")
    return parser.parse_args()


def main_values(asked: argparse.Namespace, memories: list[str]) -> None:
    """Measure DQN and PQN, and print a table."""
    lines: dict[str, Sample] = {}
    operations = {}
    for name in ("dqn", "pqn"):
        for memory in memories:
            agent = make_value_agent(name, memory, asked.task)
            lines[f"{name}, {memory}"] = training(agent, 1)
            operations[f"{name}, {memory}"] = flops_per_step(agent)
    peer = "Stable-Baselines3 DQN, feed-forward"
    if not asked.without_peer:
        like = make_value_agent("dqn", "none", asked.task)
        lines[peer] = feed_forward_dqn(like, asked.threads)
    lines[PRODUCT_LINE] = products()
    measured = measure(lines, asked.rounds)
    tell(asked, measured, operations, "one device", peer, "SB3's DQN")


def tell(
    asked: argparse.Namespace,
    measured: dict[str, list[float]],
    operations: dict[str, float],
    title: str,
    peer: str,
    short: str,
) -> None:
    """Print a table of rates, with ratios to those of the line `peer`.

    Args:
        asked: of the command line.
        measured: samples of every line.
        operations: of the products of a step of training, for lines that have any.
        title: of the first column.
        peer: the line that others are set beside.
        short: what it is called in the last column.
    """
    median = {name: statistics.median(rates) for name, rates in measured.items()}
    base = median.get(peer)
    print(
        f"{asked.task}, {asked.threads} threads, JAX {jax.__version__}, median of "
        f"{asked.rounds}\n"
    )
    print(f"| {title} | k steps/s | slowest | fastest | of {short} | GFLOP/s |")
    print("|---|---|---|---|---|---|")
    for name, rates in measured.items():
        if name == PRODUCT_LINE:
            continue
        low, middle, high = (x / 1e3 for x in (min(rates), median[name], max(rates)))
        ratio = f"{median[name] / base:.2g}" if base else ""
        of_products = median[name] * operations.get(name, 0.0) / 1e9
        own = f"{of_products:.0f}" if of_products else ""
        print(f"| {name} | {middle:.3g} | {low:.3g} | {high:.3g} | {ratio} | {own} |")
    print(f"| {PRODUCT_LINE} | | | | | {median[PRODUCT_LINE] / 1e9:.0f} |")


def main() -> None:
    """Measure and print tables."""
    asked = arguments()
    cores = set(sorted(os.sched_getaffinity(0))[: asked.threads])
    os.sched_setaffinity(0, cores)
    if len(cores) < asked.threads:
        sys.exit(f"error: --threads {asked.threads}, but there are {len(cores)} cores.")
    config: Any = jax.config
    config.update("jax_num_cpu_devices", asked.threads)
    memories = asked.memories.split(",")
    if asked.values:
        return main_values(asked, ["none", *memories])

    lines: dict[str, Sample] = {}
    operations: dict[str, float] = {}
    for memory in memories:
        agent = make_agent(memory, asked.task, asked.separate_memories)
        for count in (1, asked.threads):
            name = f"{memory}, {count} device{'s' if count > 1 else ''}"
            lines[name] = training(agent, count)
            operations[name] = flops_per_step(agent)
            if memory == "ffm":
                lines[f"{name}, rollouts alone"] = rollouts(agent, count)
    peer = "sb3-contrib RecurrentPPO, LSTM"
    if not asked.without_peer:
        lines[peer] = recurrent_ppo(asked.threads)
    lines[PRODUCT_LINE] = products()
    tell(asked, measure(lines, asked.rounds), operations, "PPO", peer, "RecurrentPPO")
    if not asked.without_starts:
        print("\n| `train.py` | compile, s | compile at the second start, s |")
        print("|---|---|---|")
        for memory, (first, second) in starts(memories).items():
            print(f"| {memory} | {first:.1f} | {second:.1f} |")


if __name__ == "__main__":
    main()
