"""How fast tasks step with random actions: `python -m benchmarks.environment_speed`.

Every line is the whole vectoriser (starting over, final observations, statistics) in
one compiled scan, and the median of five runs taken in turn with the others. What a
step produces is summed, so that nothing measured can be optimised away. `--popgym`
gives a table of POPGym's tasks instead, each in turn with one process of its package,
`--others` one of all others, and `--pixels` one of tasks as pictures, in turn with
POPGym Arcade where it is installed.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envs
from agents.spaces import is_image, observation_keys
from envs import spaces
from envs.catalogue import classes
from envs.popgym import TASKS
from envs.popgym.cards import Deal, value_at
from envs.popgym.diagnostic.repeat_previous import RepeatPrevious

NUM_ENVS = 1024
STEPS = 2000
SEEDS = 4
REPEATS = 5
POPGYM_STEPS = 5000


class Staggered(RepeatPrevious):
    """RepeatPrevious whose first episodes start at random cards.

    Later episodes have full length, so the ends stay scattered over the steps.
    """

    def reset(self, key: Any) -> tuple[Any, Deal]:
        """Start at a random card."""
        _, state = super().reset(key)
        last = 52 * self.decks - 2
        cursor = jax.random.randint(key, (), 0, last, jnp.int32)
        state = state._replace(cursor=cursor)
        return value_at(state, cursor), state

    def next_episode(self, key: Any, state: Deal) -> tuple[Any, Deal]:
        """Start at the first card."""
        del state
        return super().reset(key)


def total(tree: Any) -> jax.Array:
    """One number that depends on every array of a pytree, per row."""
    leaves = [leaf.astype(jnp.float32) for leaf in jax.tree.leaves(tree)]
    return sum(
        (leaf.reshape(leaf.shape[0], -1).sum(1) for leaf in leaves),
        start=jnp.zeros(leaves[0].shape[0]),
    )


def four_actions(key: jax.Array) -> jax.Array:
    """For the tasks with four actions: the two lowest bits of a byte."""
    bits = jax.random.bits(key, (NUM_ENVS,), jnp.uint8)
    return (bits & 3).astype(jnp.int32)


def actions_of(
    env: envs.Environment, num_envs: int = NUM_ENVS
) -> Callable[[jax.Array], Any]:
    """Random actions of any task; those of discrete spaces from one draw of bits."""
    space = env.action_space
    sizes = getattr(space, "nvec", getattr(space, "n", None))
    shape = tuple(space.shape or ())

    def draw(key: jax.Array) -> Any:
        if sizes is None:
            keys = jax.random.split(key, num_envs)
            return jax.vmap(lambda key: spaces.sample(space, key))(keys)
        bits = jax.random.bits(key, (num_envs, *shape), jnp.uint32)
        return (bits % np.asarray(sizes, np.uint32)).astype(jnp.int32)

    return draw


def rollout(
    env: envs.Environment,
    key: jax.Array,
    draw: Callable[[jax.Array], Any],
    num_envs: int = NUM_ENVS,
    steps: int = STEPS,
) -> jax.Array:
    """Steps of all streams under random actions, all summed up."""
    batch = envs.VectorEnv(env, num_envs)
    reset_key, key = jax.random.split(key)
    _, state = batch.reset(reset_key)

    def body(carry: Any, step_key: jax.Array) -> tuple[Any, None]:
        state, sums = carry
        action_key, step_key = jax.random.split(step_key)
        state, step = batch.step(step_key, state, draw(action_key))
        return (state, sums + total(step)), None

    sums = jnp.zeros(num_envs)
    keys = jax.random.split(key, steps)
    return jax.lax.scan(body, (state, sums), keys)[0][1].sum()


def compiled(
    env: envs.Environment,
    seeds: int = 1,
    draw: Callable[[jax.Array], Any] = four_actions,
) -> Callable[[], float]:
    """A function that runs once and gives millions of steps per second."""
    function = jax.jit(jax.vmap(lambda key: rollout(env, key, draw)))
    keys = jax.random.split(jax.random.key(0), seeds)
    if seeds == 1:
        function, keys = jax.jit(lambda key: rollout(env, key, draw)), keys[0]
    return timed(function, keys, seeds * NUM_ENVS * STEPS / 1e6)


def pictures(env: envs.Environment, num_envs: int, steps: int) -> Callable[[], float]:
    """A function that steps a task seen as pictures; thousands of steps per second."""
    draw = actions_of(env, num_envs)
    function = jax.jit(lambda key: rollout(env, key, draw, num_envs, steps))
    return timed(function, jax.random.key(0), num_envs * steps / 1e3)


def timed(
    function: Callable[[Any], jax.Array], keys: jax.Array, steps: float
) -> Callable[[], float]:
    """A function that runs a compiled one once, and gives `steps` per second."""
    function(keys).block_until_ready()

    def run() -> float:
        start = time.perf_counter()
        function(keys).block_until_ready()
        return steps / (time.perf_counter() - start)

    return run


def arcade(
    num_envs: int = 64, size: int = 128, steps: int = 8
) -> Callable[[], float] | None:
    """POPGym Arcade's CountRecallEasy, stepped and started over by its own code."""
    try:
        package = importlib.import_module("popgym_arcade")
    except ImportError:
        return None
    env, parameters = package.make("CountRecallEasy", partial_obs=True, obs_size=size)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    sample = jax.vmap(env.action_space(parameters).sample)

    def function(key: jax.Array) -> jax.Array:
        def body(carry: Any, key: jax.Array) -> tuple[Any, None]:
            state, sums = carry
            keys = jax.random.split(key, 2 * num_envs)
            actions = sample(keys[:num_envs])
            seen, state, reward, *_ = step(keys[num_envs:], state, actions, parameters)
            return (state, sums + total((seen, reward))), None

        _, state = reset(jax.random.split(key, num_envs), parameters)
        start = (state, jnp.zeros(num_envs))
        return jax.lax.scan(body, start, jax.random.split(key, steps))[0][1].sum()

    return timed(jax.jit(function), jax.random.key(0), num_envs * steps / 1e3)


def pixels_table(ids: Sequence[str]) -> None:
    """Tasks as pictures of 128 for 64 streams, in turn with POPGym Arcade's.

    CountRecallEasy also as pictures of 64, and for 1,024 streams.
    """
    theirs = arcade()
    print("| task | picture | streams | k steps/s | twin | Arcade's | times | twin |")
    print("|---|---|---|---|---|---|---|---|")
    for id in ids:
        task = id.removesuffix("Pixels-v0")
        for size, num_envs in ((128, 64), (128, 1024), (64, 64), (64, 1024)):
            if task != "CountRecallEasy" and (size, num_envs) != (128, 64):
                continue
            runs = [theirs] if theirs else []
            for partial_obs in (True, False):
                env = envs.make(id, image_size=size, partial_obs=partial_obs)
                runs.append(pictures(env, num_envs, max(8, 2048 // num_envs)))
            rounds = [[run() for run in runs] for _ in range(3)]
            *peer, seen, whole = map(statistics.median, zip(*rounds, strict=True))
            beside = ["", "", ""]
            if peer:
                numbers = peer[0], seen / peer[0], whole / peer[0]
                beside = [f"{number:.3g}" for number in numbers]
            cells = (task, size, num_envs, f"{seen:.3g}", f"{whole:.3g}", *beside)
            print("|", " | ".join(map(str, cells)), "|", flush=True)


def popgym_process(id: str) -> Callable[[], float] | None:
    """The same task in one process of the POPGym package, where it has it."""
    try:
        from popgym import envs as theirs
    except ImportError:
        return None
    name = id.removesuffix("-v0")
    found: dict[str, Any] = {t.__name__: t for t in list[Any](theirs.ALL)}
    if name not in found:
        return None
    env = found[name]()
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(POPGYM_STEPS)]

    def run() -> float:
        env.reset(seed=0)
        start = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return POPGYM_STEPS / (time.perf_counter() - start) / 1e6

    return run


def others() -> list[str]:
    """The first and the last id of each class of the other tasks, but pictures."""

    def shown(id: str) -> bool:
        seen = envs.make(id).observation_space
        return not any(map(is_image, observation_keys(seen).values()))

    ends = [
        id
        for family in envs.FAMILIES
        if family not in (envs.popgym, envs.pixels, envs.probing)
        for ids in classes(family).values()
        for id in (ids[0], ids[-1])
    ]
    return list(filter(shown, dict.fromkeys(ends)))


def symbols_table(ids: Sequence[str]) -> None:
    """Tasks, beside one process of POPGym's package where it has them."""
    print("| task | M steps/s | package, k steps/s | times |")
    print("|---|---|---|---|")
    for id in ids:
        env = envs.make(id)
        ours, theirs = compiled(env, draw=actions_of(env)), popgym_process(id)
        rounds = [(ours(), theirs() if theirs else None) for _ in range(3)]
        mine = statistics.median(own for own, _ in rounds)
        other = [1e3 * found for _, found in rounds if found is not None]
        beside = ["", ""]
        if other:
            median = statistics.median(other)
            beside = [f"{median:.3g}", f"{1e3 * mine / median:.3g}"]
        print(f"| {id} | {mine:.3g} | {' | '.join(beside)} |", flush=True)
        jax.clear_caches()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    tables = parser.add_mutually_exclusive_group()
    tables.add_argument("--popgym", action="store_true", help="POPGym's tasks")
    tables.add_argument("--others", action="store_true", help="all others")
    tables.add_argument("--pixels", action="store_true", help="tasks as pictures")
    parser.add_argument(
        "--families",
        default="",
        help="with one of these three: beginnings of ids, comma-separated",
    )
    chosen = parser.parse_args()
    if chosen.popgym or chosen.others or chosen.pixels:
        families = tuple(chosen.families.split(","))
        faces = [id for id in envs.names() if "Pixels" in id]
        ids = faces if chosen.pixels else others() if chosen.others else list(TASKS)
        if unknown := [x for x in families if not any(id.startswith(x) for id in ids)]:
            parser.error(f"no such task begins with {unknown[0]!r}")
        table = pixels_table if chosen.pixels else symbols_table
        table([id for id in ids if id.startswith(families)])
        return
    repeat = envs.make("RepeatPreviousEasy-v0")
    lines = {
        "RepeatPreviousEasy, lock-step": compiled(repeat),
        f"RepeatPreviousEasy, {SEEDS} vmapped seeds": compiled(repeat, SEEDS),
        "RepeatPreviousEasy, scattered ends": compiled(Staggered()),
        "TMaze, length 20": compiled(envs.make("TMaze-v0")),
        "RepeatPreviousEasy, POPGym package, one process": popgym_process(
            "RepeatPreviousEasy-v0"
        ),
    }
    runs = {name: run for name, run in lines.items() if run is not None}
    measured = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            measured[name].append(run())
    median = {name: statistics.median(values) for name, values in measured.items()}
    base = next(iter(median.values()))
    print(f"{NUM_ENVS} streams, {jax.devices()[0].platform}, median of {REPEATS}\n")
    print("| task | M steps/s | slowest | fastest | of the first line |")
    print("|---|---|---|---|---|")
    for name, value in median.items():
        low, high = min(measured[name]), max(measured[name])
        print(f"| {name} | {value:.3g} | {low:.3g} | {high:.3g} | {value / base:.3g} |")


if __name__ == "__main__":
    main()
