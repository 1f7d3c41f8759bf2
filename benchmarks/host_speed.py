"""How fast agents train on numpy environments: `python -m benchmarks.host_speed`.

POPGym's own RepeatPreviousEasy, 64 environments x 128 steps, beside RecurrentPPO of
sb3-contrib on the same environments, as `benchmarks.speed` does for compiled ones;
samples of all lines take turns. Then eight environments whose step sleeps for 5 ms, in
processes of their own: how near their steps come to the ideal of no other cost.
"""

import argparse
import os
import statistics
import time
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

import envs
import memory_models
from agents.algorithms.ppo import PPO
from agents.experience.host import HostSource
from agents.running.host_updates import HostUpdates
from agents.running.updates import over_seeds
from benchmarks.speed import (
    EPOCHS,
    MINIBATCHES,
    NUM_ENVS,
    STEPS,
    WIDTH,
    Sample,
    measure,
    recurrent_ppo,
)
from envs.host import HostVector

POPGYM = "popgym-RepeatPreviousEasy-v0"
SLEEP, SLEEPERS = 0.005, 8


class Sleeping(gymnasium.Env):
    """A step takes five milliseconds."""

    observation_space = spaces.Box(-1, 1, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        """Begin an episode without an end."""
        super().reset(seed=seed)
        return np.zeros(4, np.float32), {}

    def step(self, action: Any) -> Any:
        """Sleep."""
        time.sleep(SLEEP)
        return np.zeros(4, np.float32), 0.0, False, False, {}


def make_agent(memory: str, task: envs.HostTask, num_envs: int = NUM_ENVS) -> PPO:
    """The agent of this page."""
    return PPO(
        env=task,
        memory=memory_models.builder(memory, output_size=WIDTH),
        num_envs=num_envs,
        rollout_length=STEPS,
        num_epochs=EPOCHS,
        num_minibatches=MINIBATCHES,
        encoder_size=WIDTH,
    )


def training(memory: str) -> Sample:
    """Steps per second of whole updates."""
    agent = make_agent(memory, envs.HostTask(POPGYM))
    state = jax.jit(over_seeds(agent.init, 1))(jnp.stack([jax.random.key(0)]))
    update = HostUpdates(agent, seed=0, begun=0)
    update.compile(state)
    standing = {"state": state}

    def sample() -> float:
        began = time.perf_counter()
        standing["state"], _ = update(standing["state"], 2)
        return 2 * agent.steps_per_update / (time.perf_counter() - began)

    return sample


def rollouts(agent: PPO) -> Sample:
    """Steps per second of acting and stepping alone."""
    state = jax.jit(agent.init)(jax.random.key(0))
    source = HostSource(agent, seed=0)
    streams = source.begin(state.streams)
    how = jax.jit(lambda state: agent.gathering(state))(state)

    def sample() -> float:
        began = time.perf_counter()
        jax.block_until_ready(source.collect(state.params, how, streams))
        return agent.steps_per_update / (time.perf_counter() - began)

    return sample


def stepping(task: envs.HostTask) -> Sample:
    """Steps per second of the environments with nobody to act."""
    vector = HostVector(task, SLEEPERS)
    vector.reset(range(SLEEPERS))

    def sample() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            vector.send(np.zeros(SLEEPERS, np.int32))
            vector.receive()
        return SLEEPERS * STEPS / (time.perf_counter() - began)

    return sample


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-peer", action="store_true")
    asked = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: asked.threads]))
    peer = "sb3-contrib RecurrentPPO, LSTM"
    lines = {f"PPO, {memory}": training(memory) for memory in ("lstm", "gru")}
    acting = make_agent("gru", envs.HostTask(POPGYM))
    lines["gru, rollouts alone"] = rollouts(acting)
    if not asked.without_peer:
        lines[peer] = recurrent_ppo(asked.threads)
    measured = measure(lines, asked.rounds)
    median = {name: statistics.median(rates) for name, rates in measured.items()}
    print(f"{POPGYM}, {asked.threads} threads, median of {asked.rounds}\n")
    print(
        "| | k steps/s | slowest | fastest | of RecurrentPPO |\n|---|---|---|---|---|"
    )
    for name, rates in measured.items():
        low, middle, high = (x / 1e3 for x in (min(rates), median[name], max(rates)))
        ratio = "" if asked.without_peer else f"{median[name] / median[peer]:.2g}"
        print(f"| {name} | {middle:.3g} | {low:.3g} | {high:.3g} | {ratio} |")
    path = "benchmarks.host_speed:Sleeping"
    slow = envs.HostTask(path, own=True, vectorization="async")
    lines = {
        "PPO, gru, rollouts alone": rollouts(make_agent("gru", slow, SLEEPERS)),
        "Gymnasium alone": stepping(slow),
    }
    ideal = SLEEPERS / SLEEP
    print(f"\n{SLEEPERS} processes, {SLEEP * 1e3:g} ms a step, ideal {ideal:,.0f}\n")
    print("| | steps/s | of ideal |\n|---|---|---|")
    for name, rates in measure(lines, asked.rounds).items():
        rate = statistics.median(rates)
        print(f"| {name} | {rate:,.0f} | {rate / ideal:.2f} |")


if __name__ == "__main__":
    main()
