"""How fast PPO trains, beside Stable-Baselines3 contrib: `python -m benchmarks.speed`.

64 environments x 128 steps, 4 epochs x 8 minibatches, width 128, RepeatPreviousEasy,
two threads each. Contestants take turns, one short piece of training per round; the
table gives medians. The peer needs `pip install -c constraints.txt -e
".[benchmarks]"`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from agents.running.config import build
from agents.running.overrides import compose_config
from agents.running.updates import compile_updates, over_seeds

STEPS = 64 * 128
UPDATES = 4
"""Updates of ours per round."""
FLOORS = {"lstm": 4.0, "gru": 5.0, "ffm": 8.0}
"""Ratios to the peer that must hold."""

Piece = Callable[[], float]
"""Trains a little; returns environment steps per second."""


def main() -> None:
    """Compile, take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", default="lstm,gru,ffm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", nargs="*", default=[], help="name=value ...")
    parser.add_argument("--no-peer", action="store_true")
    arguments = parser.parse_args()
    compiled: dict[str, float] = {}
    pieces: dict[str, Piece] = {}
    for memory in arguments.memories.split(","):
        pieces[memory], compiled[memory] = training(memory, arguments.settings)
    pieces["ffm, rollouts alone"] = rollouts("ffm")
    if not arguments.no_peer:
        pieces["sb3-contrib RecurrentPPO, LSTM"] = peer()
    for piece in pieces.values():
        piece()
    seen: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(arguments.rounds):
        for name, piece in pieces.items():
            seen[name].append(piece())
    tell(seen, compiled, None if arguments.no_peer else list(pieces)[-1])
    print(f"\nfloat32 matrix product, 2048^3: {matrix_rate():.0f} GFLOP/s")
    cold, warm = starts()
    print(
        f"the same configuration again, compiled from cache: {warm:.1f} s ({cold:.1f})"
    )


def tell(
    seen: dict[str, list[float]], compiled: dict[str, float], peer_name: str | None
) -> None:
    """Print a table of medians, ratios and floors."""
    print("| | steps/s | slowest | fastest | of the peer | floor | compile, s |")
    print("|---|---|---|---|---|---|---|")
    base = statistics.median(seen[peer_name]) if peer_name else float("nan")
    for name, rates in seen.items():
        middle = statistics.median(rates)
        ratio = f"{middle / base:.1f}" if name in compiled else ""
        floor = f"{FLOORS[name]:.0f}" if name in FLOORS else ""
        seconds = f"{compiled[name]:.1f}" if name in compiled else ""
        print(
            f"| {name} | {middle:,.0f} | {min(rates):,.0f} | {max(rates):,.0f} "
            f"| {ratio} | {floor} | {seconds} |"
        )


def plan_of(memory: str, settings: list[str]) -> Any:
    """The run that is timed."""
    words = ["env=repeat_previous_easy", f"memory={memory}", "memory.output_size=128"]
    return build(compose_config([*words, "agent.encoder_size=128", *settings]))


def training(memory: str, settings: list[str]) -> tuple[Piece, float]:
    """Our training, and the seconds it took to compile."""
    agent = plan_of(memory, settings).agent
    state = jax.jit(over_seeds(agent.init, 1))(jnp.stack([jax.random.key(0)]))
    update, seconds = compile_updates(agent, 1, UPDATES, state)
    held = [state]

    def piece() -> float:
        began = time.perf_counter()
        held[0], metrics = update(held[0], jnp.asarray(UPDATES, jnp.int32))
        jax.block_until_ready(metrics)
        return UPDATES * agent.steps_per_update / (time.perf_counter() - began)

    return piece, seconds


def rollouts(memory: str) -> Piece:
    """Our rollouts, without learning from them."""
    agent = plan_of(memory, []).agent
    state = jax.jit(agent.init)(jax.random.key(0))
    collect = jax.jit(lambda streams, key: agent.rollout(state.params, streams, key))
    held = [state.streams, 0]

    def piece() -> float:
        began = time.perf_counter()
        for _ in range(4 * UPDATES):
            held[1] += 1
            held[0], rollout = collect(held[0], jax.random.key(held[1]))
            jax.block_until_ready(rollout)
        return 4 * UPDATES * STEPS / (time.perf_counter() - began)

    return piece


def peer() -> Piece:
    """RecurrentPPO on the POPGym package's task, one LSTM for actor and critic."""
    try:
        import popgym.envs.repeat_previous as popgym_task
        import torch
        from sb3_contrib import RecurrentPPO
        from stable_baselines3.common.env_util import make_vec_env
    except ImportError as error:
        sys.exit(
            f"error: the peer needs {error.name}; pip install -c constraints.txt -e "
            "'.[benchmarks]', or pass --no-peer."
        )
    torch.set_num_threads(os.cpu_count() or 1)
    env = make_vec_env(lambda: popgym_task.RepeatPreviousEasy(), n_envs=64)
    model = RecurrentPPO(
        "MlpLstmPolicy",
        env,
        n_steps=128,
        batch_size=STEPS // 8,
        n_epochs=4,
        policy_kwargs={
            "net_arch": [128],
            "lstm_hidden_size": 128,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        device="cpu",
    )

    def piece() -> float:
        began = time.perf_counter()
        model.learn(STEPS)
        return STEPS / (time.perf_counter() - began)

    return piece


def matrix_rate() -> float:
    """Billions of float32 operations per second in a matrix product."""
    x = jax.random.normal(jax.random.key(0), (2048, 2048))
    multiply = jax.jit(lambda x: x @ x)
    multiply(x).block_until_ready()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        multiply(x).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * 2048**3 / statistics.median(seconds) / 1e9


def starts() -> tuple[float, float]:
    """Compile seconds of a fresh process, without and with a cache."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"run_directory={folder}/runs", "total_steps=8000"]
        words += ["evaluation.episodes=8", f"compilation_cache={folder}/cache"]
        seconds = []
        for _ in range(2):
            command = [sys.executable, "train.py", *words]
            root = Path(__file__).parent.parent
            done = subprocess.run(
                command, cwd=root, capture_output=True, text=True, check=True
            )
            line = next(x for x in done.stdout.splitlines() if x.startswith("compile"))
            seconds.append(float(line.split()[1]))
    return seconds[0], seconds[1]


if __name__ == "__main__":
    main()
