"""What RecurrentPPO takes with a memory in it: `python -m benchmarks.sb3 [threads]`.

A rollout and an update of sb3-contrib's RecurrentPPO with its own LSTM, and of
MemoryRecurrentPPO with memories of the same width, which take turns. All play
RepeatPreviousEasy as a `JaxVecEnv`.
"""

import statistics
import sys
import time
from typing import Any

import torch
from sb3_contrib import RecurrentPPO

from agents.sb3 import JaxVecEnv, MemoryRecurrentPPO

STREAMS, STEPS, WIDTH, ROUNDS = 32, 128, 128, 7
SETTINGS: dict[str, Any] = {
    "n_steps": STEPS,
    "batch_size": 1024,
    "n_epochs": 4,
    "seed": 0,
}
MEMORIES = ("lstm", "gru", "ffm")


def make(memory: str | None) -> Any:
    """The model with a memory, or with sb3-contrib's own LSTM."""
    env = JaxVecEnv("RepeatPreviousEasy-v0", STREAMS, seed=0)
    if memory is None:
        kwargs = {"lstm_hidden_size": WIDTH}
        return RecurrentPPO(
            "MlpLstmPolicy", env, policy_kwargs=kwargs, device="cpu", **SETTINGS
        )
    kwargs = {"memory": memory, "output_size": WIDTH}
    return MemoryRecurrentPPO("MlpMemoryPolicy", env, policy_kwargs=kwargs, **SETTINGS)


def seconds(model: Any) -> tuple[float, float]:
    """Of a rollout, and of learning from it."""
    _, callback = model._setup_learn(STREAMS * STEPS, None, False)
    began = time.perf_counter()
    model.collect_rollouts(model.env, callback, model.rollout_buffer, STEPS)
    between = time.perf_counter()
    model.train()
    return between - began, time.perf_counter() - between


def main() -> None:
    """Print one line per memory."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    torch.set_num_threads(threads)
    models = {name or "its own LSTM": make(name) for name in (None, *MEMORIES)}
    for model in models.values():
        for _ in range(4):  # compile what minibatches of all sizes need
            seconds(model)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            taken[name].append(seconds(model))
    print(f"{STREAMS} streams x {STEPS} steps, width {WIDTH}, torch threads: {threads}")
    print("| memory | rollout, s | learning, s | steps/s | of its own LSTM |")
    print("|---|---|---|---|---|")
    rates = {}
    for name, samples in taken.items():
        rollout, learning = (
            statistics.median(column) for column in zip(*samples, strict=True)
        )
        rates[name] = STREAMS * STEPS / (rollout + learning)
        print(
            f"| {name} | {rollout:.2f} | {learning:.2f} | {rates[name]:,.0f} | "
            f"{rates[name] / rates['its own LSTM']:.2f} |"
        )


if __name__ == "__main__":
    main()
