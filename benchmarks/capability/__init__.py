"""What each memory model can learn: `python -m benchmarks.capability`.

Supervised sequences in one vocabulary: two symbols in at each step, a class out where
one is asked for. The memory's output is read through one hidden layer, as agents' heads
have one by default (`agent.head_size`), so an answer need not be there in linear form.
Every task and every seed of a model is trained in one compiled program (tasks one after
the other in each step, seeds side by side) for a fixed number of steps. A task that
every seed has solved rests from then on; at the time limit all stop. Accuracy is on new
sequences, where an answer is asked for.

Rows are kept in `benchmarks/results/capability.json`; see `rows`. Where a model falls
short of what it should manage, `--tasks`, `--steps` and `--layers` tell too little
training and too small a model from a fault: give those rows a file of their own by
`--results`.
"""

import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

import memory_models
from benchmarks.capability.tasks import (
    LAGS,
    SYMBOLS,
    TASKS,
    TIME,
    TRAINED,
    VOCABULARY,
    Sequences,
    Task,
    packed,
    repeat_first,
)
from benchmarks.capability.theory import BOUNDED, THEORY
from benchmarks.common.rows import Row, Rows, arguments, fill
from memory_models.base import MemoryModel
from memory_models.mechanisms.layers import Linear

BATCH, WIDTH, PLACES = 8, 64, 32
SEEDS, STEPS, STEPS_PER_CALL = 3, 1000, 25
LEARNING_RATE, WARM_UP = 3e-3, 50
NEW = 64
"""Sequences in a test."""
SOLVED = 0.995
"""Accuracy in training, mean over a call, at which a task needs no more steps."""


def batches(call: int) -> Sequences:
    """For each step of a call, task and seed: `[step, task, seed, batch, time]`."""
    random = np.random.default_rng((1, call))
    shape = (STEPS_PER_CALL, SEEDS, BATCH)
    each = [packed(task, random, *shape) for task in TRAINED.values()]
    return Sequences(*(np.stack(column, axis=1) for column in zip(*each, strict=True)))


# Network --------------------------------------------------------------------------


class Network(eqx.Module):
    """Embedding, memory, one hidden layer of `2 * WIDTH` units, classes.

    The place of a step, its number in the episode modulo 32, is a further input to the
    models that need places; others see only the embedded token.
    """

    embedding: Linear
    memory: MemoryModel
    hidden: Linear
    output: Linear
    with_place: bool = eqx.field(static=True)

    def __init__(self, name: str, layers: int, *, key: PRNGKeyArray):
        """Build around so many layers of the model `name` at its defaults."""
        keys = jax.random.split(key, 4)
        self.with_place = memory_models.reads_columns(name)
        size = WIDTH + (PLACES if self.with_place else 0)
        columns = {
            "cue": (0, WIDTH),
            "place": (WIDTH, size),
            "raw/place": (WIDTH, size),
        }
        self.embedding = Linear(VOCABULARY, WIDTH, key=keys[0])
        build = memory_models.builder(name, output_size=WIDTH, num_layers=layers)
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


def make_programs(name: str, layers: int) -> tuple[Any, Any, Any, Any]:
    """The initial runs, the training program, and the test of one batch of `TIME`."""
    rate = optax.linear_schedule(0.0, LEARNING_RATE, WARM_UP)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    rest = eqx.filter_eval_shape(
        lambda k: Network(name, layers, key=k), jax.random.key(0)
    )
    static = eqx.partition(rest, lambda x: hasattr(x, "dtype"))[1]

    def begin(key: PRNGKeyArray) -> Any:
        arrays = eqx.filter(Network(name, layers, key=key), eqx.is_array)
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

    def train(runs: Any, data: Sequences, active: Array) -> tuple[Any, Array]:
        def rest(run: Any, data: Sequences) -> tuple[Any, Array]:
            return run, jnp.ones(SEEDS)

        def step(runs, data):
            return jax.lax.map(
                lambda x: jax.lax.cond(x[0], jax.vmap(descend), rest, *x[1:]),
                (active, runs, data),
            )

        runs, right = jax.lax.scan(step, runs, data)
        return runs, right.mean(0)

    def answer(arrays: Any, state: Any, tokens: Array, starts: Array) -> Any:
        network = eqx.combine(arrays, static)
        state, logits = network(state, tokens, starts)
        return state, logits.argmax(-1)

    def states(arrays: Any) -> Any:
        return eqx.combine(arrays, static).initial_state(NEW)

    answers = jax.vmap(answer, in_axes=(0, 0, None, None))
    return begin, jax.jit(train, donate_argnums=0), jax.jit(answers), states


def accuracy(
    task: Task, arrays: Any, answer: Any, states: Any, at: int | None = None
) -> list[float]:
    """Per seed, on new sequences read `TIME` steps at a time.

    With `at`, of the answers at that step of an episode only, its last.
    """
    data = packed(task, np.random.default_rng(2), NEW)
    state = jax.vmap(states)(arrays)
    given = []
    for begin in range(0, data.targets.shape[1], TIME):
        now = slice(begin, begin + TIME)
        state, classes = answer(arrays, state, data.tokens[:, now], data.starts[:, now])
        given.append(classes)
    asked = data.targets >= 0
    if at is not None:
        since = np.arange(data.targets.shape[1]) % (at + 1)
        asked = asked & (since == at)
    right = (np.concatenate(given, axis=-1) == data.targets) & asked
    return [float(x) for x in right.sum((1, 2)) / asked.sum()]


def measure(
    name: str, minutes: float, steps: int, tasks: list[str], layers: int
) -> Row:
    """Train one model on the given tasks, and test it."""
    began = time.perf_counter()
    begin, train, answer, states = make_programs(name, layers)
    keys = jax.random.split(jax.random.key(0), (len(TRAINED), SEEDS))
    runs = jax.jit(jax.vmap(jax.vmap(begin)))(keys)
    active = jnp.array([task in tasks for task in TRAINED])
    taken = dict.fromkeys(TRAINED, 0)
    for call in range(steps // STEPS_PER_CALL):
        called = time.perf_counter()
        runs, right = train(runs, batches(call), active)
        for task, trained in zip(taken, active.tolist(), strict=True):
            taken[task] += STEPS_PER_CALL * trained
        active &= right.min(-1) < SOLVED
        unsolved = bool(active.any())
        now = time.perf_counter()
        # The next call may last as long as this one, but for the first, which compiled.
        more = now - called if call else 0.0
        if not unsolved or now - began + more > 60 * minutes:
            break
    found: Row = {"steps": {task: taken[task] for task in tasks}}
    for index, (task, generate) in enumerate(TRAINED.items()):
        if task not in tasks:
            continue
        arrays = jax.tree.map(lambda x, i=index: x[i], runs[0])
        test = functools.partial(accuracy, arrays=arrays, answer=answer, states=states)
        if task not in LAGS:
            found[task] = test(generate)
            continue
        for other, lag in LAGS.items():
            found[other] = test(functools.partial(repeat_first, lag=lag), at=lag)
    found["seconds"] = round(time.perf_counter() - began)
    return found


def table(rows: Rows) -> str:
    """Most steps that a task took; accuracies, and beside them what theory says."""
    titles = ["memory", *TASKS, "steps"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name in sorted(rows):
        cells = [cell(name, task, rows[name].get(task)) for task in TASKS]
        steps = max(rows[name]["steps"].values())
        lines.append(f"| {' | '.join([name, *cells, f'{steps:,}'])} |")
    return "\n".join(lines)


def cell(name: str, task: str, accuracies: list[float] | None) -> str:
    """Mean, range over seeds, and +, - or ± for what theory says, if anything."""
    if accuracies is None:
        return ""
    mean = sum(accuracies) / len(accuracies)
    low, high = min(accuracies), max(accuracies)
    signs = {True: " +", False: " -", BOUNDED: " ±", None: ""}
    says = signs[THEORY.get(name, {}).get(task)]
    return f"{mean:.2f} ({low:.2f} to {high:.2f}){says}"


def main() -> None:
    """Measure what is asked for, row by row, and print the table."""
    parser = arguments(__doc__, "capability")
    parser.add_argument("--minutes", type=float, default=4.0, help="per model")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--tasks", help=f"comma-separated, of {', '.join(TRAINED)}")
    parser.add_argument("--layers", type=int, default=1, help="memory.num_layers")
    asked = parser.parse_args()
    tasks = asked.tasks.split(",") if asked.tasks else list(TRAINED)
    if not set(tasks) <= set(TRAINED):
        parser.error(f"--tasks {asked.tasks}: choose of {', '.join(TRAINED)}.")
    if asked.layers < 1:
        parser.error(f"--layers {asked.layers}: one or more.")
    given = asked.minutes, asked.steps, tasks, asked.layers
    fill(asked, lambda name: measure(name, *given), table)
