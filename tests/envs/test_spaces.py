"""Sampling and membership on the device, against Gymnasium's own spaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.spaces import contains, sample

DRAWS = 400

SPACES = {
    "discrete": spaces.Discrete(3, start=-1),
    "multi": spaces.MultiDiscrete([2, 3], start=[5, -2]),
    "whole": spaces.Box(-2, 1, (2,), np.int32),
    "pixels": spaces.Box(253, 255, (1,), np.uint8),
    "box": spaces.Box(np.float32([-3, 1]), np.float32([-1, 1.5])),
}


def draws(space, mask=None):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return jax.vmap(lambda key: sample(space, key, mask))(keys)


@pytest.mark.parametrize("name", SPACES)
def test_samples_fill_the_space(name):
    space, drawn = SPACES[name], np.asarray(draws(SPACES[name]))
    assert all(space.contains(x.astype(space.dtype)) for x in drawn)
    if name == "box":
        share = (drawn - space.low) / (space.high - space.low)
        assert (share.min(0) < 0.02).all() and (share.max(0) > 0.98).all()
        return
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
    else:
        low = space.start
        high = low + (space.n if name == "discrete" else space.nvec) - 1
    np.testing.assert_array_equal(drawn.min(0), low)
    np.testing.assert_array_equal(drawn.max(0), high)


def test_an_unbounded_box_is_normal():
    drawn = draws(spaces.Box(-np.inf, np.inf, (2,), np.float32))
    assert np.abs(drawn.mean(0)).max() < 0.2 and np.abs(drawn.std(0) - 1).max() < 0.15


def test_masked_samples_are_allowed():
    mask = jnp.asarray([True, False, True])
    assert set(np.asarray(draws(SPACES["discrete"], mask)).tolist()) == {-1, 1}
    mask = jnp.asarray([False, True, True, True, False])
    drawn = np.asarray(draws(SPACES["multi"], mask))
    assert set(drawn[:, 0].tolist()) == {6}
    assert set(drawn[:, 1].tolist()) == {-2, -1}


def test_parts_of_a_sample_are_independent():
    whole = spaces.Tuple([SPACES["box"], SPACES["box"], SPACES["multi"]])
    first, second, multi = map(np.asarray, draws(whole))
    columns = np.concatenate([first, second, multi], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 0.2
    named = draws(spaces.Dict({"a": SPACES["whole"], "b": SPACES["discrete"]}))
    assert list(named) == ["a", "b"] and named["a"].shape == (DRAWS, 2)


def test_bounds_are_inside_and_nan_is_not():
    inside = {
        "discrete": [-1, 1],
        "multi": [[5, -2], [6, 0]],
        "whole": [[-2, -2], [1, 1]],
        "box": [[-3.0, 1.0], [-1.0, 1.5]],
    }
    outside = {
        "discrete": [-2, 2],
        "multi": [[4, -2], [7, 0], [5, 1], [5, -3]],
        "whole": [[-3, 0], [0, 2]],
        "box": [[-3.1, 1.0], [-1.0, 1.6], [np.nan, 1.2]],
    }
    for elements, expected in ((inside, True), (outside, False)):
        for name, several in elements.items():
            for element in several:
                dtype = np.float32 if name == "box" else np.int32
                found = contains(SPACES[name], jnp.asarray(element, dtype))
                assert bool(found) == expected, (name, element)
    both = spaces.Dict({"a": SPACES["discrete"], "b": SPACES["discrete"]})
    one = {"a": jnp.asarray(0, jnp.int32), "b": jnp.asarray(2, jnp.int32)}
    assert not contains(both, one)
    assert contains(both, {**one, "b": one["a"]})
    assert contains(spaces.Dict({}), {})


def test_other_spaces_are_refused():
    with pytest.raises(TypeError, match="cannot sample from"):
        sample(spaces.Text(3), jax.random.key(0))
    with pytest.raises(TypeError, match="cannot look into"):
        contains(spaces.Text(3), "a")
