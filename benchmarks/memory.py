"""What each memory model costs: `python -m benchmarks.memory`, best when all is quiet.

Width 128, every model at its defaults. Acting is `step` on 64 streams inside a scan,
as in a rollout. Learning is the gradient of a sequence with respect to parameters and
inputs, an episode starting in every 50th step. Compiling is that of a whole PPO update
on RepeatPreviousEasy, or on TMazePlaces for models that read observation keys. Each
model's samples take turns with those of `gru`, so that the ratio holds on a machine
that changes from minute to minute. `--writes` tells instead what the writes of the
models with a segment clock cost.

Rows are kept in `benchmarks/results/memory.json`; see `rows`. docs/models.md is written
from them and from the models' cards.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp

import memory_models
from agents.running.updates import compile_updates, over_seeds
from benchmarks.common.rows import Row, Rows, arguments, fill, load
from benchmarks.speed import make_agent
from memory_models.attention import memformer, tokens
from memory_models.base import MemoryModel, parameter_count, state_bytes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
WIDTH = 128
COLUMNS = {"place": (0, 32), "cue": (32, 64), "raw/place": (64, 96)}
"""For models that read observation keys by name."""
SHAPES = {"step": (64, 64), "short": (128, 64), "long": (1024, 8), "writes": (256, 8)}
"""Steps and streams of each measurement."""
MINIMUM_SAMPLE = 0.3


def built(name: str, **options: Any) -> MemoryModel:
    """The model, at its defaults but for `options`, on features as wide as outputs."""
    build = memory_models.builder(name, output_size=WIDTH, **options)
    return eqx.filter_jit(build)(WIDTH, key=jax.random.key(0), columns=COLUMNS)


def data(time_steps: int, streams: int) -> tuple[jax.Array, jax.Array]:
    """Normal inputs `[streams, time, width]`, and starts spread over streams."""
    inputs = jax.random.normal(jax.random.key(1), (streams, time_steps, WIDTH))
    clock = jnp.arange(time_steps)[None] + 7 * jnp.arange(streams)[:, None]
    return inputs, clock % 50 == 0


def acting(model: MemoryModel) -> Callable[[], Any]:
    """One scan of `step` over a batch, compiled."""
    steps, streams = SHAPES["step"]
    inputs, starts = data(steps, streams)

    @eqx.filter_jit
    def run(model, state, inputs, starts):
        def body(state, element):
            state, output = jax.vmap(model.step)(state, *element)
            return state, output.sum()

        return jax.lax.scan(body, state, (inputs.swapaxes(0, 1), starts.T))

    state = _states(model, streams)
    return lambda: run(model, state, inputs, starts)


def learning(model: MemoryModel, shape: str) -> Callable[[], Any]:
    """A gradient with respect to parameters and inputs, compiled."""
    inputs, starts = data(*SHAPES[shape])
    state = _states(model, inputs.shape[0])

    @eqx.filter_jit
    def run(model, state, inputs, starts):
        def loss(differentiable):
            model, inputs = differentiable
            outputs = jax.vmap(model)(state, inputs, starts)[1]
            return jnp.square(outputs).mean()

        return eqx.filter_grad(loss)((model, inputs))

    return lambda: run(model, state, inputs, starts)


def _states(model: MemoryModel, streams: int) -> Any:
    return jax.tree.map(
        lambda x: jnp.broadcast_to(x, (streams, *x.shape)), model.initial_state()
    )


def seconds(function: Callable[[], Any]) -> float:
    """Seconds per call, over at least `MINIMUM_SAMPLE` seconds."""
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < MINIMUM_SAMPLE or not count:
        jax.block_until_ready(function())
        count += 1
    return elapsed / count


def in_turn(functions: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Medians of samples that take turns, after one call each to warm up."""
    for function in functions:
        jax.block_until_ready(function())
    samples = [[seconds(function) for function in functions] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*samples, strict=True)]


def compile_seconds(name: str) -> float:
    """Of a PPO update."""
    agent = make_agent(name, "RepeatPreviousEasy-v0", False)
    if memory_models.reads_columns(name):
        agent = make_agent(name, "TMazePlaces-v0", False)
        agent = dataclasses.replace(agent, raw_keys=("place",))
    keys = jnp.stack([jax.random.key(0)])
    state = jax.jit(over_seeds(agent.init, 1))(keys)
    return compile_updates(agent, 1, 1, state)[1]


def measure(name: str, rounds: int) -> Row:
    """Everything measured of one model."""
    model, gru = built(name), built("gru")
    found: Row = {
        "parameters": parameter_count(model),
        "state_bytes": state_bytes(model),
        "backend": jax.default_backend(),
    }
    pair = in_turn([acting(model), acting(gru)], rounds)
    found["step_us"] = 1e6 * pair[0] / SHAPES["step"][0]
    found["step_ratio"] = pair[0] / pair[1]
    for shape in ("short", "long"):
        pair = in_turn([learning(model, shape), learning(gru, shape)], rounds)
        found[f"{shape}_ms"] = 1e3 * pair[0]
        found[f"{shape}_ratio"] = pair[0] / pair[1]
    found["compile_s"] = compile_seconds(name)
    return found


def table(rows: Rows) -> str:
    """The cost table in Markdown."""
    lines = [
        "| memory | parameters | state, bytes | step, us | of gru | fwd+bwd [128, 64], "
        "ms | of gru | fwd+bwd [1024, 8], ms | of gru | compile, s |",
        "|" + "---|" * 10,
    ]
    for name in sorted(rows):
        x = rows[name]
        lines.append(
            f"| {name} | {x['parameters']:,} | {x['state_bytes']:,} | "
            f"{x['step_us']:.0f} | {x['step_ratio']:.2g} | {x['short_ms']:.3g} | "
            f"{x['short_ratio']:.2g} | {x['long_ms']:.3g} | {x['long_ratio']:.2g} | "
            f"{x['compile_s']:.1f} |"
        )
    return "\n".join(lines)


SEGMENTS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "rmt": ({"segment_length": 16}, {"segment_length": 64}),
    "rate": (
        {"segment_length": 16, "cached_segments": 3},
        {"segment_length": 64, "cached_segments": 0},
    ),
    "memformer": ({"segment_length": 16}, {"segment_length": 64}),
    "transformer_fam": (
        {"block_length": 16, "history_blocks": 11},
        {"block_length": 64, "history_blocks": 2},
    ),
}
"""The models with a segment clock, with segments of 16 and of 64 steps.

Those that see past segments, too, see equally many steps with either.
"""


def unwritten(parameters: Any, operand: tuple[Any, Any]) -> Any:
    """In the place of a write, a valve included: the memory as it was."""
    del parameters
    return operand[0]


def writes_table(rounds: int) -> None:
    """Acting with short and long segments; learning with and without the write."""
    print("| memory | step, 16 | 64 | times | fwd+bwd [256, 8] | no write | times |")
    print("|---" * 7 + "|")
    for name, settings in SEGMENTS.items():
        acts = [acting(built(name, **options)) for options in settings]
        short, long = in_turn(acts, rounds)
        learns = learning(built(name), "writes"), learning(built(name), "writes")
        with contextlib.ExitStack() as stack:
            for module in (memformer, tokens):
                stack.enter_context(mock.patch.object(module, "_write", unwritten))
            jax.block_until_ready(learns[1]())  # what is compiled now writes nothing
        whole, without = in_turn(list(learns), rounds)
        steps = SHAPES["step"][0]
        numbers = [1e6 * short / steps, 1e6 * long / steps, long / short]
        numbers += [1e3 * whole, 1e3 * without, whole / without]
        print("|", " | ".join([name, *(f"{x:.3g}" for x in numbers)]), "|", flush=True)
        jax.clear_caches()


HEAD = """# Memory models

Written by `python -m benchmarks.memory --publish` from the cards of the models. State
is what one stream carries at width 128; cost is a forward and backward pass over 1,024
steps of 8 streams, as a multiple of `gru`, on 2 CPU cores. `context` is how many steps
back an input can matter (`all`: no limit but forgetting).

"""


def page(rows: Rows) -> str:
    """The page of all models, by family."""
    families = (
        ("Controls", memory_models.controls),
        ("Recurrences", memory_models.recurrences),
        ("State-space models and linear attention", memory_models.linear),
        ("Attention and recurrent transformers", memory_models.attention),
        ("Slots and episodic buffers", memory_models.episodic),
        ("Hybrids", memory_models.hybrids),
    )
    lines = [HEAD]
    for title, family in families:
        lines.append(f"## {title}\n")
        lines.append(
            "| `memory=` | what it is | paper | mechanism | context | state, bytes | "
            "cost | when to use it |"
        )
        lines.append("|" + "---|" * 8)
        for name in family.MODELS:
            lines.append(card_row(name, rows.get(name)))
        lines.append("")
    return "\n".join(lines)


def card_row(name: str, measured: Row | None) -> str:
    """A model's line on the page."""
    build = memory_models.builder(name, output_size=WIDTH)
    model = eqx.filter_eval_shape(
        lambda key: build(WIDTH, key=key, columns=COLUMNS), jax.random.key(0)
    )
    card = model.card
    context = "all" if card.context is None else f"{card.context:,}"
    size = sum(
        x.size * x.dtype.itemsize
        for x in jax.tree.leaves(
            eqx.filter_eval_shape(lambda m: m.initial_state(), model)
        )
    )
    cost = f"{measured['long_ratio']:.2g}" if measured else ""
    return (
        f"| `{name}` | {card.summary} | {card.paper} | {card.mechanism} | {context} | "
        f"{size:,} | {cost} | {card.use} |"
    )


def main() -> None:
    """Measure what is asked for, row by row, and print the table."""
    parser = arguments(__doc__, "memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writes", action="store_true", help="of a segment clock")
    asked = parser.parse_args()
    if asked.writes:
        writes_table(asked.rounds)
        return
    fill(asked, lambda name: measure(name, asked.rounds), table)
    PAGE.write_text(page(load(asked.results)))


if __name__ == "__main__":
    main()
