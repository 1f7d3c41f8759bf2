"""The part of `check_env` that judges play: contract and card against what happened."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Environment, Return
from envs.checking.problem import problem
from envs.checking.watch import Play, equal, play_streams

_STEPS_IF_UNBOUNDED = 500
_SIGMAS = 4.5


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for a few executions: compiling is what takes the time here."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def check_play(env: Environment, episodes: int, seed: int) -> None:
    """Play at random and by the oracle, and compare with contract and card."""
    key = jax.random.key(seed)
    steps = env.card.max_episode_steps or _STEPS_IF_UNBOUNDED
    play = _compile(lambda flag, key: play_streams(env, episodes, steps, flag, key))
    random = play(np.bool_(False), key)
    _check_starts(env, random)
    _check_steps(env, random)
    _check_ends(env, random, steps)
    _check_mean(env, "floor", "uniformly random play", random)
    if env.oracle is None:
        return
    privileged = play(np.bool_(True), key)
    _check_steps(env, privileged)
    _check_ends(env, privileged, steps)
    _check_mean(env, "oracle", "the oracle", privileged)


def _check_steps(env: Environment, play: Play) -> None:
    always = play.always
    if not (play.start_inside and always["observation"]):
        raise problem(
            env,
            f"returned an observation outside {env.observation_space}.",
            "Encoders size one-hot codes and scale inputs by the space.",
            "Correct the bounds or the observation (NaN lies in no space); final "
            "observations count too.",
        )
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
        )
    if not always["phase"]:
        raise problem(
            env,
            f"returned info['phase'] outside 0..{len(env.card.phases) - 1}.",
            f"It is an index into card.phases, {env.card.phases}.",
            "Correct the index or name the missing phase.",
        )


def _check_ends(env: Environment, play: Play, steps: int) -> None:
    card = env.card
    if card.max_episode_steps is not None and play.running.any():
        raise problem(
            env,
            f"was still in its first episode after max_episode_steps={steps} steps "
            f"in {play.running.sum()} of {len(play.running)} streams.",
            "Evaluation plays that many steps and counts what ended.",
            "Correct max_episode_steps on the card (None where unbounded), or set "
            "terminated or truncated by then.",
        )
    if play.truncated.any() and not card.truncates:
        raise problem(
            env,
            "truncated an episode, but its card says truncates=False.",
            "Agents then compile no bootstrap for truncated episodes.",
            "Set truncates=True, or report the end as terminated if the task is over.",
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

    expected, all_equal = _compile(again)(play.restart_key)
    if all_equal and _draws(jax.make_jaxpr(env.reset)(play.restart_key[0])):
        raise problem(
            env,
            "draws random numbers in reset, and yet different keys give one and the "
            "same start.",
            "Every episode would be the same, and an agent could learn it by heart.",
            "Draw from the `key` that reset is given, not from one made inside, and "
            "use what is drawn.",
        )
    leaves = zip(jax.tree.leaves(expected), jax.tree.leaves(play.restart), strict=True)
    same = all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in leaves)
    if env.next_episode is None and not same:
        raise problem(
            env,
            "gave two different starts for one key.",
            "A run could not be repeated, and shards of a batch would not agree.",
            "Make reset a function of `key` alone: no callbacks, no state outside.",
        )


def _check_mean(env: Environment, name: str, who: str, play: Play) -> None:
    claim: Return = getattr(env.card, name)
    if claim.value is None or play.running.any():
        return
    returns = np.asarray(play.episode_return, np.float64)
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
            f"has {name} {claim.value} on its card, but {who} returned {mean:.4f} "
            f"over {len(returns)} episodes (tolerance {tolerance:.4f}).",
            "Percentages and verdicts are computed from the card.",
            f"Recompute {name}, or mark it envs.unknown(why).",
        )
