"""What each memory model can learn: `python -m benchmarks.capability`.

Supervised sequences in one vocabulary: two symbols in at each step, a class out where
one is asked for. Every task and every seed of a model is trained in one compiled
program (tasks one after the other in each step, seeds side by side) for a fixed number
of steps. A task that every seed has solved rests from then on; at the time limit all
stop. Accuracy is on new sequences, where an answer is asked for.

Rows are kept in `benchmarks/results/capability.json`; see `rows`.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import memory_models
from benchmarks.capability_theory import THEORY
from benchmarks.rows import Row, Rows, arguments, fill
from memory_models.base import MemoryModel
from memory_models.mechanisms.layers import Linear

TIME, BATCH, WIDTH, PLACES = 130, 16, 64, 32
SYMBOLS = 16
BLANK, QUERY, VALUES, VOCABULARY = SYMBOLS, SYMBOLS + 1, SYMBOLS + 2, 2 * SYMBOLS + 2
SEEDS, STEPS, STEPS_PER_CALL = 3, 1000, 25
LEARNING_RATE, WARM_UP = 2e-3, 50
SOLVED = 0.995
"""Accuracy in training, mean over a call, at which a task needs no more steps."""


class Episode(NamedTuple):
    """Two symbols a step, and the class asked for at each; -1 where none is."""

    tokens: Int[Array, "length two"]
    targets: Int[Array, " length"]


# Tasks ----------------------------------------------------------------------------


def alone(tokens: Int[Array, " length"]) -> Int[Array, "length two"]:
    """Steps with one symbol."""
    return jnp.stack([tokens, jnp.full_like(tokens, BLANK)], axis=-1)


def repeat_first(key: PRNGKeyArray, lag: int) -> Episode:
    """Which symbol came first, asked `lag` steps later; noise in between."""
    tokens = jax.random.randint(key, (lag + 1,), 0, SYMBOLS)
    targets = jnp.full(lag + 1, -1).at[-1].set(tokens[0])
    return Episode(alone(tokens.at[-1].set(QUERY)), targets)


def repeat_previous(key: PRNGKeyArray, lag: int, length: int) -> Episode:
    """Which symbol came `lag` steps ago, at every step."""
    tokens = jax.random.randint(key, (length,), 0, SYMBOLS)
    targets = jnp.where(jnp.arange(length) >= lag, jnp.roll(tokens, lag), -1)
    return Episode(alone(tokens), targets)


def associative_recall(key: PRNGKeyArray, pairs: int) -> Episode:
    """Pairs of key and value, then the keys in another order: the value of each.

    Both of a pair come in one step, so that a model is tested for its memory and not
    for seeing two neighbouring steps at once.
    """
    keys_key, values_key, order_key = jax.random.split(key, 3)
    keys = jax.random.permutation(keys_key, SYMBOLS)[:pairs]
    values = jax.random.randint(values_key, (pairs,), 0, SYMBOLS)
    order = jax.random.permutation(order_key, pairs)
    written = jnp.stack([keys, values + VALUES], axis=-1)
    asked = jnp.stack([keys[order], jnp.full(pairs, QUERY)], axis=-1)
    answers = jnp.concatenate([jnp.full(pairs, -1), values[order]])
    return Episode(jnp.concatenate([written, asked]), answers)


def running_sum(key: PRNGKeyArray, modulus: int, length: int) -> Episode:
    """The sum so far, modulo `modulus`; parity is that of bits."""
    tokens = jax.random.randint(key, (length,), 0, modulus)
    return Episode(alone(tokens), jnp.cumsum(tokens) % modulus)


def selective_copy(key: PRNGKeyArray, items: int, room: int) -> Episode:
    """Symbols strewn over blanks, to be given in order afterwards."""
    places_key, symbols_key = jax.random.split(key)
    places = jnp.sort(jax.random.permutation(places_key, room)[:items])
    symbols = jax.random.randint(symbols_key, (items,), 0, SYMBOLS)
    strewn = jnp.full(room, BLANK).at[places].set(symbols)
    tokens = jnp.concatenate([strewn, jnp.full(items, QUERY)])
    targets = jnp.concatenate([jnp.full(room, -1), symbols])
    return Episode(alone(tokens), targets)


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

    tokens: Int[Array, "batch time two"]
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
    tokens = episode.tokens.reshape(batch, -1, 2)
    tokens = jnp.pad(tokens, (*rest, (0, 0)), constant_values=BLANK)
    targets = jnp.pad(episode.targets.reshape(batch, -1), rest, constant_values=-1)
    begins = jnp.arange(time_steps) % length == 0
    begins &= jnp.arange(time_steps) < count * length
    return Sequences(tokens, targets, jnp.broadcast_to(begins, targets.shape))


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
        self.with_place = memory_models.reads_columns(name)
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
        self, state: Any, tokens: Int[Array, "batch time two"], starts: Array
    ) -> tuple[Any, Float[Array, "batch time classes"]]:
        """Logits of `TIME` steps of a batch."""
        features = self.embedding(jax.nn.one_hot(tokens, VOCABULARY).sum(-2))
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


# Training -------------------------------------------------------------------------


def loss(network: Network, data: Sequences) -> tuple[Array, Array]:
    """Mean cross-entropy where an answer is asked for, and accuracy there."""
    state = network.initial_state(data.tokens.shape[0])
    _, logits = network(state, data.tokens, data.starts)
    asked = data.targets >= 0
    scores = jnp.take_along_axis(
        jax.nn.log_softmax(logits), jnp.maximum(data.targets, 0)[..., None], axis=-1
    )[..., 0]
    right = (logits.argmax(-1) == data.targets).sum() / asked.sum()
    return -jnp.where(asked, scores, 0.0).sum() / asked.sum(), right


def make_programs(name: str) -> tuple[Any, Any, Any, Any]:
    """The initial runs, the training program, and the test of one batch of `TIME`."""
    rate = optax.linear_schedule(0.0, LEARNING_RATE, WARM_UP)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    rest = eqx.filter_eval_shape(lambda k: Network(name, key=k), jax.random.key(0))
    static = eqx.partition(rest, lambda x: hasattr(x, "dtype"))[1]

    def begin(key: PRNGKeyArray) -> Any:
        arrays = eqx.filter(Network(name, key=key), eqx.is_array)
        return arrays, optimizer.init(eqx.filter(arrays, eqx.is_inexact_array))

    def descend(run: Any, data: Sequences) -> tuple[Any, Array]:
        arrays, optimizer_state = run
        trained, fixed = eqx.partition(arrays, eqx.is_inexact_array)
        gradient, right = jax.grad(
            lambda x: loss(eqx.combine(x, fixed, static), data), has_aux=True
        )(trained)
        changes, optimizer_state = optimizer.update(gradient, optimizer_state, trained)
        trained = optax.apply_updates(trained, changes)
        return (eqx.combine(trained, fixed), optimizer_state), right

    tasks = list(TRAINED.values())

    def batches(key: PRNGKeyArray) -> Sequences:
        keys = jax.random.split(key, (len(tasks), SEEDS))
        each = [
            jax.vmap(lambda k, task=task: packed(task, k, BATCH))(keys[i])
            for i, task in enumerate(tasks)
        ]
        return jax.tree.map(lambda *x: jnp.stack(x), *each)

    def train(runs: Any, key: PRNGKeyArray, active: Array) -> tuple[Any, Array]:
        def rest(run: Any, data: Sequences) -> tuple[Any, Array]:
            return run, jnp.ones(SEEDS)

        def step(runs, key):
            return jax.lax.map(
                lambda x: jax.lax.cond(x[0], jax.vmap(descend), rest, *x[1:]),
                (active, runs, batches(key)),
            )

        runs, right = jax.lax.scan(step, runs, jax.random.split(key, STEPS_PER_CALL))
        return runs, right.mean(0)

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
    for begin in range(0, data.targets.shape[1], TIME):
        now = slice(begin, begin + TIME)
        state, classes = answer(
            arrays, state, every.tokens[..., now, :], every.starts[..., now]
        )
        given.append(classes)
    asked = data.targets >= 0
    right = (jnp.concatenate(given, axis=-1) == data.targets) & asked
    return [float(x) for x in right.sum((1, 2)) / asked.sum()]


def measure(name: str, minutes: float) -> Row:
    """Train one model on everything, and test it."""
    began = time.perf_counter()
    begin, train, answer, states = make_programs(name)
    keys = jax.random.split(jax.random.key(0), (len(TRAINED), SEEDS))
    runs = jax.jit(jax.vmap(jax.vmap(begin)))(keys)
    active = jnp.ones(len(TRAINED), bool)
    steps = dict.fromkeys(TRAINED, 0)
    for call in range(STEPS // STEPS_PER_CALL):
        key = jax.random.fold_in(jax.random.key(1), call)
        runs, right = train(runs, key, active)
        for task, trained in zip(steps, active.tolist(), strict=True):
            steps[task] += STEPS_PER_CALL * trained
        active &= right.min(-1) < SOLVED
        if not active.any() or time.perf_counter() - began > 60 * minutes:
            break
    found: Row = {"steps": steps}
    for index, (task, generate) in enumerate(TRAINED.items()):
        arrays = jax.tree.map(lambda x, i=index: x[i], runs[0])
        found[task] = accuracy(generate, arrays, answer, states)
        if task == "first 64":
            for other, lag in OTHER_LAGS.items():
                longer = functools.partial(repeat_first, lag=lag)
                found[other] = accuracy(longer, arrays, answer, states)
    found["seconds"] = round(time.perf_counter() - began)
    return found


def table(rows: Rows) -> str:
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
    parser = arguments(__doc__, "capability")
    parser.add_argument("--minutes", type=float, default=4.0, help="per model")
    asked = parser.parse_args()
    print(table(fill(asked, lambda name: measure(name, asked.minutes))))


if __name__ == "__main__":
    main()
