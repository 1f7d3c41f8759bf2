"""The T-maze in two keys is the T-maze."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs


def test_it_goes_and_pays_as_the_tmaze_does():
    places, maze = (envs.make(id, length=6) for id in ("TMazePlaces-v0", "TMaze-v0"))
    rng = np.random.default_rng(0)
    actions = rng.choice(4, (200, 7), p=(0.7, 0.15, 0.05, 0.1))
    actions[::2, :6], actions[::2, 6] = 0, rng.choice([1, 3], 100)

    def play(env, key, actions):
        first, state = env.reset(key)

        def body(state, action):
            observation, state, *rest = env.step(key, state, action)
            return state, (observation, *rest)

        state, steps = jax.lax.scan(body, state, actions)
        return first, steps, state

    keys = jax.random.split(jax.random.key(0), 200)
    ours, theirs = (
        jax.jit(jax.vmap(lambda k, a, env=env: play(env, k, a)))(
            keys, jnp.asarray(actions)
        )
        for env in (places, maze)
    )
    jax.tree.map(np.testing.assert_array_equal, ours[1][1:], theirs[1][1:])
    jax.tree.map(np.testing.assert_array_equal, ours[2], theirs[2])
    assert (np.asarray(theirs[1][1]) == 1).any()

    # What is seen is what the T-maze shows, and the cell.
    first, seen = ours[0], ours[1][0]
    goal = np.asarray(theirs[2].goal)
    np.testing.assert_array_equal(first["cue"], np.where(goal > 0, 1, 2))
    np.testing.assert_array_equal(first["place"], 0)
    assert not np.asarray(seen["cue"]).any()
    shown = np.asarray(theirs[1][0])
    place = np.asarray(seen["place"])
    np.testing.assert_array_equal(shown[..., 0] == 1, place >= 6)
    np.testing.assert_array_equal(shown[..., 1] == 1, place == 7)
    np.testing.assert_array_equal(shown[..., 1] == -1, place == 8)
    assert set(place.ravel()) == set(range(9))


def test_a_corridor_of_nothing_is_refused():
    with pytest.raises(ValueError, match="length"):
        envs.make("TMazePlaces-v0", length=0)
