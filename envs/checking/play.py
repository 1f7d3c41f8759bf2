"""The part of `check_env` that judges play: contract and card against what happened."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Environment, Return
from envs.checking.compiling import compile_quickly
from envs.checking.problem import CheckError, problem
from envs.checking.watch import Play, equal, play_streams

_STEPS_IF_UNBOUNDED = 500
_SIGMAS = 4.5


def check_play(
    env: Environment, episodes: int, seed: int, most_steps: int | None = None
) -> None:
    """Play at random and by the oracle, and compare with contract and card.

    Args:
        env: the task.
        episodes: how many, side by side.
        seed: of the play.
        most_steps: to take at most; the mean returns are then not compared.
    """
    key = jax.random.key(seed)
    steps = env.card.max_episode_steps or _STEPS_IF_UNBOUNDED
    taken = steps if most_steps is None else min(steps, most_steps)
    play = compile_quickly(
        lambda flag, key: play_streams(env, episodes, taken, flag, key)
    )
    random = play(np.bool_(False), key)
    _check_starts(env, random)
    _judge(env, random, taken == steps)
    if most_steps is None:
        _check_mean(env, "floor", "uniformly random play", random)
    if env.oracle is None:
        return
    privileged = play(np.bool_(True), key)
    _judge(env, privileged, taken == steps)
    if most_steps is None:
        _check_mean(env, "oracle", "the oracle", privileged)


def _judge(env: Environment, play: Play, to_the_end: bool) -> None:
    _check_steps(env, play)
    _check_ends(env, play, to_the_end)


def _outside(env: Environment, method: str, extents: Any) -> CheckError:
    """Where an observation left its space, as exactly as is known."""
    advice = "Correct the bounds or the observation; final observations count too."
    for path, leaf in jax.tree_util.tree_flatten_with_path(extents)[0]:
        place = f"observation{jax.tree_util.keystr(path)}"
        if np.isnan(leaf).any():
            return problem(
                env,
                f"returned from {method} an {place} with nan in it.",
                "nan lies in no space, and one such number poisons every parameter "
                "that it reaches.",
                "Look for divisions by zero, logarithms and roots.",
                method,
            )
    told = ", ".join(
        f"{jax.tree_util.keystr(path)} {leaf[0]:g} to {leaf[1]:g}".strip()
        for path, leaf in jax.tree_util.tree_flatten_with_path(extents)[0]
    )
    return problem(
        env,
        f"returned from {method} an observation outside {env.observation_space}: its "
        f"numbers were {told}.",
        "Encoders size one-hot codes and scale inputs by the space.",
        advice,
        method,
    )


def _check_steps(env: Environment, play: Play) -> None:
    always = play.always
    if not play.start_inside:
        raise _outside(env, "reset", play.start_extents)
    if not always["observation"]:
        raise _outside(env, "step", play.extents)
    if not always["action"]:
        raise problem(
            env,
            f"chose an action outside {env.action_space} in oracle or action_mask.",
            "The oracle and the mask stand for what a policy could do.",
            "Return elements of the space.",
        )
    if not always["reward"]:
        raise problem(
            env,
            "returned a reward that is not finite.",
            "One such number poisons every parameter it reaches.",
            "Look for divisions by zero and logarithms.",
            "step",
        )
    if not always["phase"]:
        raise problem(
            env,
            f"returned info['phase'] outside 0..{len(env.card.phases) - 1}.",
            f"It is an index into card.phases, {env.card.phases}.",
            "Correct the index or name the missing phase.",
            "step",
        )


def _check_ends(env: Environment, play: Play, to_the_end: bool) -> None:
    card, steps = env.card, env.card.max_episode_steps
    if steps is not None and to_the_end and play.running.any():
        raise problem(
            env,
            f"was still in its first episode after max_episode_steps={steps} steps "
            f"in {play.running.sum()} of {len(play.running)} streams.",
            "Evaluation plays that many steps and counts what ended.",
            "Correct max_episode_steps on the card (None where unbounded), or set "
            "terminated or truncated by then.",
            "card",
        )
    if play.truncated.any() and not card.truncates:
        raise problem(
            env,
            "truncated an episode, but its card says truncates=False.",
            "Agents then compile no bootstrap for truncated episodes.",
            "Set truncates=True, or report the end as terminated if the task is over.",
            "card",
        )
    ended = ~play.running
    lengths = play.length[ended]
    fixed = ended.all() and lengths.min() == lengths.max() and lengths.min() > 1
    if fixed and play.returned.all():
        raise problem(
            env,
            f"ended every episode of {lengths[0]} steps in the state it started in.",
            "It looks as if step starts over by itself, to the same start each time; "
            "starting over, with a fresh key, is the vectoriser's work, and the "
            "final observation would be lost.",
            "Return the state that the last action led to.",
            "step",
        )


def _draws(jaxpr: Any) -> bool:
    """Whether a program draws random numbers, in any of its sub-programs."""
    return "random_bits" in str(jaxpr) or "random_seed" in str(jaxpr)


def _check_starts(env: Environment, play: Play) -> None:
    """Starts differ where chance has a part, and repeat on the same key."""

    def again(keys: Any) -> Any:
        starts = jax.vmap(env.reset)(keys)
        first = jax.tree.map(lambda x: jnp.broadcast_to(x[0], x.shape), starts)
        return starts, equal(first, starts)

    expected, all_equal = compile_quickly(again)(play.restart_key)
    if all_equal and _draws(jax.make_jaxpr(env.reset)(play.restart_key[0])):
        raise problem(
            env,
            "draws random numbers in reset, and yet different keys give one and the "
            "same start.",
            "Every episode would be the same, and an agent could learn it by heart.",
            "Draw from the `key` that reset is given, not from one made inside, and "
            "use what is drawn.",
            "reset",
        )
    leaves = zip(jax.tree.leaves(expected), jax.tree.leaves(play.restart), strict=True)
    near = functools.partial(np.allclose, rtol=1e-4, atol=1e-5, equal_nan=True)
    same = all(near(a, b) for a, b in leaves)
    if env.next_episode is None and not same:
        raise problem(
            env,
            "gave two different starts for one key.",
            "A run could not be repeated, and shards of a batch would not agree.",
            "Make reset a function of `key` alone: no callbacks, no state outside.",
            "reset",
        )


def _check_mean(env: Environment, name: str, who: str, play: Play) -> None:
    claim: Return = getattr(env.card, name)
    if claim.value is None or play.running.any():
        return
    counts = env.card.measure == "success"
    reached = play.success if counts else play.episode_return
    returns = np.asarray(reached, np.float64)
    mean = returns.mean()
    error = returns.std() / math.sqrt(len(returns))
    # A rare reward may be absent from every episode played: the rule of three.
    values = [getattr(env.card, other).value for other in ("floor", "oracle")]
    spread = abs(values[1] - values[0]) if None not in values else 0.0
    rare = 5 * spread / len(returns) if name == "floor" else 0.0
    tolerance = _SIGMAS * error + rare + (claim.half_width or 0.0) + 1e-4
    if abs(mean - claim.value) > tolerance:
        raise problem(
            env,
            f"has {name} {claim.value} on its card, but {who} "
            f"{'succeeded in a share of' if counts else 'returned'} {mean:.4f} "
            f"over {len(returns)} episodes (tolerance {tolerance:.4f}).",
            "Percentages and verdicts are computed from the card.",
            f"Recompute {name}, or mark it envs.unknown(why).",
            "card",
        )
