"""Dense rewards never pay for standing still where going on would solve the task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs

STEPS = 20
"""For how long it stands, or goes on."""
EPISODES = 8
TASKS = (
    "BlinkCountButtonPressEasy",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            *("RememberColor3", "ShellGameTouch", "ShellGamePush", "ShellGamePick"),
            *("InterceptMedium", "InterceptGrabMedium", "RotateLenientPos"),
            *("TakeItBack", "BunchOfColors3", "SeqOfColors3", "FindImposterColor3"),
            *("BlinkCountButtonPressMedium", "TimedTransferEasy", "TraceShapeEasy"),
            *("GatherAndRecall1", "GatherAndRecall3", "BatteriesCheckerEasy3"),
            "BatteriesCheckerHard3",
        )
    ),
)


def played(env, key, policy, state, steps):
    """Rewards, whether it has ended, success, and the states before each step."""

    def step(carry, key):
        state, over = carry
        _, after, reward, ended, _, info = env.step(key, state, policy(key, state))
        reward = jnp.where(over, 0.0, reward)
        return (after, over | ended), (reward, over, ~over & info["success"], state)

    keys = jax.random.split(key, steps)
    return jax.lax.scan(step, (state, jnp.zeros((), bool)), keys)[1]


def branches(env, key):
    """Of an episode of the script, and what standing pays from each of its states."""
    state = env.reset(key)[1]

    def stand(state):
        rest = played(env, key, lambda *_: jnp.zeros(5), state, STEPS)
        return rest[0].sum(), rest[2].any()

    rewards, over, success, states = played(env, key, env.oracle, state, env.max_steps)
    return rewards, over, success, *jax.lax.map(stand, states, batch_size=64)


@pytest.mark.parametrize("name", TASKS)
def test_standing_never_pays_more_than_going_on(name):
    """From each state of the script: its next steps beside as many at rest.

    Where resting solves the task it is the answer.
    """
    env = envs.make(f"{name}-v0")
    keys = jax.random.split(jax.random.key(0), EPISODES)
    played = jax.jit(jax.vmap(lambda key: branches(env, key)))(keys)
    rewards, over, success, standing, solves = map(np.asarray, played)
    assert success.any(1).mean() > 0.8
    ahead = np.pad(rewards, ((0, 0), (0, STEPS)))
    going = np.lib.stride_tricks.sliding_window_view(ahead, STEPS, axis=1).sum(-1)
    more = (standing - going[:, : env.max_steps]) / STEPS
    counts = ~over & ~solves & success.any(1, keepdims=True)
    assert counts.any()
    where = np.unravel_index(np.where(counts, more, -9).argmax(), more.shape)
    told = more[where], where[1], (~over).sum(1)[where[0]], standing[where] / STEPS
    assert more[counts].max() < 0.03, told
