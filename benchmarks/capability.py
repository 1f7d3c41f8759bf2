"""What each memory model can learn: `python -m benchmarks.capability`.

Supervised sequences in one vocabulary: a token in, a class out where one is asked for.
Every task and every seed of a model is trained in one compiled program (tasks one after
the other in each step, seeds side by side), for a fixed number of steps or until the
time is up. Accuracy is on new sequences, where an answer is asked for.

Rows are kept in `benchmarks/results/capability.json` as they are finished; a model that
has one is passed over, unless it is named.
"""

import argparse
import functools
import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import memory_models
from benchmarks.capability_theory import THEORY
from memory_models.base import MemoryModel
from memory_models.mechanisms.layers import Linear

RESULTS = Path(__file__).resolve().parent / "results" / "capability.json"
TIME, BATCH, WIDTH, PLACES = 130, 16, 64, 32
SYMBOLS = 16
BLANK, QUERY, VALUES, VOCABULARY = SYMBOLS, SYMBOLS + 1, SYMBOLS + 2, 2 * SYMBOLS + 2
SEEDS, STEPS, STEPS_PER_CALL = 3, 1200, 50
LEARNING_RATE = 2e-3


class Episode(NamedTuple):
    """Tokens, and the class asked for at each; -1 where none is."""

    tokens: Int[Array, " length"]
    targets: Int[Array, " length"]


# Tasks ----------------------------------------------------------------------------


def repeat_first(key: PRNGKeyArray, lag: int) -> Episode:
    """Which symbol came first, asked `lag` steps later; noise in between."""
    tokens = jax.random.randint(key, (lag + 1,), 0, SYMBOLS)
    targets = jnp.full(lag + 1, -1).at[-1].set(tokens[0])
    return Episode(tokens.at[-1].set(QUERY), targets)


def repeat_previous(key: PRNGKeyArray, lag: int, length: int) -> Episode:
    """Which symbol came `lag` steps ago, at every step."""
    tokens = jax.random.randint(key, (length,), 0, SYMBOLS)
    targets = jnp.where(jnp.arange(length) >= lag, jnp.roll(tokens, lag), -1)
    return Episode(tokens, targets)


def associative_recall(key: PRNGKeyArray, pairs: int) -> Episode:
    """Keys and values in turn, then the keys in another order: the value of each."""
    keys_key, values_key, order_key = jax.random.split(key, 3)
    keys = jax.random.permutation(keys_key, SYMBOLS)[:pairs]
    values = jax.random.randint(values_key, (pairs,), 0, SYMBOLS)
    order = jax.random.permutation(order_key, pairs)
    written = jnp.stack([keys, values + VALUES], axis=1).reshape(-1)
    asked = jnp.concatenate([jnp.full(2 * pairs, -1), values[order]])
    return Episode(jnp.concatenate([written, keys[order]]), asked)


def running_sum(key: PRNGKeyArray, modulus: int, length: int) -> Episode:
    """The sum so far, modulo `modulus`; parity is that of bits."""
    tokens = jax.random.randint(key, (length,), 0, modulus)
    return Episode(tokens, jnp.cumsum(tokens) % modulus)


def selective_copy(key: PRNGKeyArray, items: int, room: int) -> Episode:
    """Symbols strewn over blanks, to be given in order afterwards."""
    places_key, symbols_key = jax.random.split(key)
    places = jnp.sort(jax.random.permutation(places_key, room)[:items])
    symbols = jax.random.randint(symbols_key, (items,), 0, SYMBOLS)
    strewn = jnp.full(room, BLANK).at[places].set(symbols)
    tokens = jnp.concatenate([strewn, jnp.full(items, QUERY)])
    return Episode(tokens, jnp.concatenate([jnp.full(room, -1), symbols]))


TRAINED: dict[str, Callable[[PRNGKeyArray], Episode]] = {
    "first 64": functools.partial(repeat_first, lag=64),
    "previous 4": functools.partial(repeat_previous, lag=4, length=TIME),
    "previous 16": functools.partial(repeat_previous, lag=16, length=TIME),
    "previous 64": functools.partial(repeat_previous, lag=64, length=TIME),
    "recall 4": functools.partial(associative_recall, pairs=4),
    "recall 16": functools.partial(associative_recall, pairs=16),
    "parity": functools.partial(running_sum, modulus=2, length=32),
    "sum mod 5": functools.partial(running_sum, modulus=5, length=32),
    "selective copy": functools.partial(selective_copy, items=8, room=57),
}
OTHER_LAGS = {"first 8": 8, "first 512": 512}
"""Tested only, with what was trained on 'first 64'."""
CHANCE = {"parity": 1 / 2, "sum mod 5": 1 / 5}
TASKS = ("first 8", "first 64", "first 512", *list(TRAINED)[1:])


class Sequences(NamedTuple):
    """`[batch, time]`: episodes one after the other, blanks where none fits."""

    tokens: Int[Array, "batch time"]
    targets: Int[Array, "batch time"]
    starts: Bool[Array, "batch time"]


def packed(
    task: Callable[[PRNGKeyArray], Episode], key: PRNGKeyArray, batch: int
) -> Sequences:
    """A batch of sequences of `TIME` steps of whole episodes."""
    length = jax.eval_shape(task, key).tokens.shape[0]
    count = max(1, TIME // length)
    keys = jax.random.split(key, (batch, count))
    episode = jax.vmap(jax.vmap(task))(keys)
    time_steps = -(-count * length // TIME) * TIME
    rest = ((0, 0), (0, time_steps - count * length))
    tokens = jnp.pad(episode.tokens.reshape(batch, -1), rest, constant_values=BLANK)
    targets = jnp.pad(episode.targets.reshape(batch, -1), rest, constant_values=-1)
    begins = jnp.arange(time_steps) % length == 0
    begins &= jnp.arange(time_steps) < count * length
    return Sequences(tokens, targets, jnp.broadcast_to(begins, tokens.shape))


# Network --------------------------------------------------------------------------


class Network(eqx.Module):
    """Embedding, memory, one hidden layer, classes.

    The place of a step, its number in the episode modulo 32, is a further input to the
    models that need places; others see only the embedded token.
    """

    embedding: Linear
    memory: MemoryModel
    hidden: Linear
    output: Linear
    with_place: bool = eqx.field(static=True)

    def __init__(self, name: str, *, key: PRNGKeyArray):
        """Build around the model `name` at its defaults."""
        keys = jax.random.split(key, 4)
        self.with_place = name in PLACED
        size = WIDTH + (PLACES if self.with_place else 0)
        columns = {
            "cue": (0, WIDTH),
            "place": (WIDTH, size),
            "raw/place": (WIDTH, size),
        }
        self.embedding = Linear(VOCABULARY, WIDTH, key=keys[0])
        build = memory_models.builder(name, output_size=WIDTH)
        self.memory = build(size, key=keys[1], columns=columns)
        self.hidden = Linear(WIDTH, 2 * WIDTH, key=keys[2])
        self.output = Linear(2 * WIDTH, SYMBOLS, key=keys[3])

    def __call__(
        self, state: Any, tokens: Int[Array, "batch time"], starts: Array
    ) -> tuple[Any, Float[Array, "batch time classes"]]:
        """Logits of `TIME` steps of a batch."""
        features = self.embedding(jax.nn.one_hot(tokens, VOCABULARY))
        if self.with_place:
            step = jnp.arange(tokens.shape[1])[None]
            began = jax.lax.cummax(jnp.where(starts, step, 0), axis=1)
            place = jax.nn.one_hot((step - began) % PLACES, PLACES)
            features = jnp.concatenate([features, place], axis=-1)
        state, outputs = jax.vmap(self.memory)(state, features, starts)
        return state, self.output(jax.nn.relu(self.hidden(outputs)))

    def initial_state(self, batch: int) -> Any:
        """Memory states of `batch` sequences."""
        return jax.tree.map(
            lambda x: jnp.broadcast_to(x, (batch, *x.shape)),
            self.memory.initial_state(),
        )


PLACED = {
    name
    for name in memory_models.names()
    if "columns" in inspect.signature(memory_models.lookup(name)).parameters
}
"""Models that read the key `place`."""


# Training -------------------------------------------------------------------------


def loss(network: Network, data: Sequences) -> Array:
    """Mean cross-entropy where an answer is asked for."""
    state = network.initial_state(data.tokens.shape[0])
    _, logits = network(state, data.tokens, data.starts)
    asked = data.targets >= 0
    scores = jnp.take_along_axis(
        jax.nn.log_softmax(logits), jnp.maximum(data.targets, 0)[..., None], axis=-1
    )[..., 0]
    return -jnp.where(asked, scores, 0.0).sum() / asked.sum()


def make_programs(name: str) -> tuple[Any, Any, Any, Any]:
    """The initial runs, the training program, and the test of one batch of `TIME`."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LEARNING_RATE))
    rest = eqx.filter_eval_shape(lambda k: Network(name, key=k), jax.random.key(0))
    static = eqx.partition(rest, lambda x: hasattr(x, "dtype"))[1]

    def begin(key: PRNGKeyArray) -> Any:
        arrays = eqx.filter(Network(name, key=key), eqx.is_array)
        return arrays, optimizer.init(eqx.filter(arrays, eqx.is_inexact_array))

    def descend(run: Any, data: Sequences) -> Any:
        arrays, optimizer_state = run
        trained, fixed = eqx.partition(arrays, eqx.is_inexact_array)
        gradient = jax.grad(
            lambda x: loss(eqx.combine(x, fixed, static), data), allow_int=True
        )(trained)
        changes, optimizer_state = optimizer.update(gradient, optimizer_state, trained)
        trained = optax.apply_updates(trained, changes)
        return eqx.combine(trained, fixed), optimizer_state

    tasks = list(TRAINED.values())

    def batches(key: PRNGKeyArray) -> Sequences:
        keys = jax.random.split(key, (len(tasks), SEEDS))
        each = [
            jax.vmap(lambda k, task=task: packed(task, k, BATCH))(keys[i])
            for i, task in enumerate(tasks)
        ]
        return jax.tree.map(lambda *x: jnp.stack(x), *each)

    def train(runs: Any, key: PRNGKeyArray) -> Any:
        def step(runs, key):
            one = jax.vmap(descend)
            return jax.lax.map(lambda x: one(*x), (runs, batches(key))), None

        return jax.lax.scan(step, runs, jax.random.split(key, STEPS_PER_CALL))[0]

    def answer(arrays: Any, state: Any, tokens: Array, starts: Array) -> Any:
        network = eqx.combine(arrays, static)
        state, logits = network(state, tokens, starts)
        return state, logits.argmax(-1)

    def states(arrays: Any) -> Any:
        return eqx.combine(arrays, static).initial_state(4 * BATCH)

    return begin, jax.jit(train, donate_argnums=0), jax.jit(jax.vmap(answer)), states


def accuracy(task: Any, arrays: Any, answer: Any, states: Any) -> list[float]:
    """Per seed, on 64 new sequences read `TIME` steps at a time."""
    data = jax.jit(lambda k: packed(task, k, 4 * BATCH))(jax.random.key(99))
    every = jax.tree.map(lambda x: jnp.broadcast_to(x, (SEEDS, *x.shape)), data)
    state = jax.vmap(states)(arrays)
    given = []
    for begin in range(0, data.tokens.shape[1], TIME):
        now = slice(begin, begin + TIME)
        state, classes = answer(
            arrays, state, every.tokens[..., now], every.starts[..., now]
        )
        given.append(classes)
    asked = data.targets >= 0
    right = (jnp.concatenate(given, axis=-1) == data.targets) & asked
    return [float(x) for x in right.sum((1, 2)) / asked.sum()]


def measure(name: str, minutes: float) -> dict[str, Any]:
    """Train one model on everything, and test it."""
    began = time.perf_counter()
    begin, train, answer, states = make_programs(name)
    keys = jax.random.split(jax.random.key(0), (len(TRAINED), SEEDS))
    runs = jax.jit(jax.vmap(jax.vmap(begin)))(keys)
    steps = 0
    while steps < STEPS:
        runs = train(runs, jax.random.fold_in(jax.random.key(1), steps))
        jax.block_until_ready(runs)
        steps += STEPS_PER_CALL
        if time.perf_counter() - began > 60 * minutes:
            break
    found: dict[str, Any] = {"steps": steps}
    for index, (task, generate) in enumerate(TRAINED.items()):
        arrays = jax.tree.map(lambda x, i=index: x[i], runs[0])
        found[task] = accuracy(generate, arrays, answer, states)
        if task == "first 64":
            for other, lag in OTHER_LAGS.items():
                longer = functools.partial(repeat_first, lag=lag)
                found[other] = accuracy(longer, arrays, answer, states)
    found["seconds"] = round(time.perf_counter() - began)
    found["jax"] = jax.__version__
    found["date"] = time.strftime("%Y-%m-%d")
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Mean accuracy and its range over seeds, beside what theory says."""
    lines = ["| memory | " + " | ".join(TASKS) + " |", "|---" * (len(TASKS) + 1) + "|"]
    for name in sorted(rows):
        cells = [cell(name, task, rows[name][task]) for task in TASKS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(name: str, task: str, accuracies: list[float]) -> str:
    """`.97 (.95-.99)`, then + or - for what theory says, if it says anything."""
    mean = sum(accuracies) / len(accuracies)
    low, high = min(accuracies), max(accuracies)
    says = {True: " +", False: " -", None: ""}[THEORY.get(name, {}).get(task)]
    return f"{mean:.2f} ({low:.2f} to {high:.2f}){says}"


def main() -> None:
    """Measure what is asked for, row by row, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", help="comma-separated; these are measured anew")
    parser.add_argument("--minutes", type=float, default=4.0, help="per model")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    path = asked.results
    rows = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in memory_models.names() if name not in rows]
    for name in asked.memories.split(",") if asked.memories else missing:
        rows[name] = measure(name, asked.minutes)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        print(name, json.dumps(rows[name]), flush=True)
        jax.clear_caches()
    print(table(rows))


if __name__ == "__main__":
    main()
