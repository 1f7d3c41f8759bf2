"""Every message of `envs.check_env`, each by a small task that earns it."""

import dataclasses
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs import Card, Environment, Return, exact, unknown

KNOWN = exact(0.0)


def card(**changes):
    base = Card("none", "", (0, 0), False, KNOWN, KNOWN, KNOWN, KNOWN, 3)
    return dataclasses.replace(base, **changes)


@dataclasses.dataclass(frozen=True)
class Good(Environment):
    """Three steps without reward; the observation is drawn at the start."""

    def reset(self, key):
        value = jax.random.uniform(key, (1,), jnp.float32)
        return value, (value, jnp.zeros((), jnp.int32))

    def step(self, key, state, action):
        value, time = state[0], state[1] + 1
        reward = jnp.zeros((), envs.base.float_dtype())
        return value, (value, time), reward, time == 3, jnp.zeros((), bool), {}

    @property
    def observation_space(self):
        return spaces.Box(0.0, 1.0, (1,), np.float32)

    @property
    def action_space(self):
        return spaces.Discrete(2)

    @property
    def card(self):
        return card()


def broken(**members):
    """A class like `Good` with some members replaced."""
    return dataclasses.dataclass(frozen=True)(type("Broken", (Good,), members))()


def with_step(change):
    """`Good` whose step results pass through `change(state, *results)`."""

    def step(self, key, state, action):
        return change(state, *Good.step(self, key, state, action))

    return broken(step=step)


def with_card(**changes):
    return broken(card=property(lambda self: card(**changes)))


def with_wrong_word(**word):
    """A card with an entry that its own annotation forbids."""
    wrong = card()
    for name, value in word.items():
        object.__setattr__(wrong, name, value)
    return broken(card=property(lambda self: wrong))


def with_info(**info):
    return with_step(lambda state, *results: (*results[:5], info))


class Undecorated(Good):
    size: int = 3


@dataclasses.dataclass(frozen=True)
class Unhashable(Good):
    sizes: object = dataclasses.field(default_factory=list)


def numpy_reset(self, key):
    value = jnp.asarray(np.random.default_rng().uniform(size=1), jnp.float32)
    return value, (value, jnp.zeros((), jnp.int32))


def nan_reset(self, key):
    value, state = Good.reset(self, key)
    return value * jnp.nan, (value * jnp.nan, state[1])


def constant_key_reset(self, key):
    return Good.reset(self, jax.random.key(7))


ONE = exact(1.0)
COUNTER = iter(range(10**6))


def callback_reset(self, key):
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    count = jax.pure_callback(
        lambda: np.float32(next(COUNTER) % 7 / 10), shape, vmap_method="sequential"
    )
    value = (count + jax.random.uniform(key, (1,), jnp.float32)) / 2
    return value, (value, jnp.zeros((), jnp.int32))


def replaced(position, value):
    """Replace one of the six results of `step` by `value(results, state)`."""

    def change(state, *results):
        new = list(results)
        new[position] = value(new, state)
        return tuple(new)

    return with_step(change)


TWO_PHASES = ("watch", "answer")
CASES = {
    "is not an envs.Environment": object(),
    "annotates 'size', which is not a field": Undecorated(),
    "holds a list in its field 'sizes', so it cannot be hashed": Unhashable(),
    r"holds an array, float32\[2\], in its field 'sizes'": Unhashable(
        jnp.zeros(2, jnp.float32)
    ),
    "has observation_space Text": broken(
        observation_space=property(lambda self: spaces.Text(3))
    ),
    r"has action_space\['a'\] .* with dtype float64": broken(
        action_space=property(
            lambda self: spaces.Dict({"a": spaces.Box(0.0, 1.0, (1,), np.float64)})
        )
    ),
    "has card None": broken(card=None),
    "has memoryless 1.0 above recall 0.0": with_card(memoryless=ONE),
    "claims to need 'object' memory": with_card(memory="object"),
    r"has horizon \(5, 4\)": with_card(horizon=(5, 4)),
    r"has horizon \(0, 4\) with max_episode_steps 3": with_card(horizon=(0, 4)),
    "claims to need no memory, but recall 1.0 is above": with_card(
        recall=ONE, oracle=ONE
    ),
    r"claims to need no memory, but has horizon \(0, 2\)": with_card(horizon=(0, 2)),
    "has measure 'steps' on its card": with_wrong_word(measure="steps"),
    r"has measure 'success' on its card and info \[\]": with_card(measure="success"),
    "has needs_previous_action=True and outside_memory=False": with_card(
        needs_previous_action=True
    ),
    "has memory 'objects' on its card": with_wrong_word(memory="objects"),
    "has truncates 0 on its card": with_wrong_word(truncates=0),
    "has floor 1.0 above recall 0.0": with_card(
        floor=ONE, memoryless=unknown("nobody tried")
    ),
    "has floor Return": with_card(floor=Return(None, "exact")),
    "has recall Return": with_card(recall=Return(1.0, "simulated")),
    "cannot trace step: Attempted boolean conversion": with_step(
        lambda state, *results: results[bool(state[1] > 0) * 6 :]
    ),
    r"returns tuple of length 5 from step, not 6 values": with_step(
        lambda state, *results: results[1:]
    ),
    "returns dict from reset, not 2 values": broken(
        reset=lambda self, key: {"observation": jnp.zeros(1)}
    ),
    "returns the state before the observation from step": with_step(
        lambda state, *results: (results[1], results[0], *results[2:])
    ),
    r"from step: observation is float32\[2\], not float32\[1\]": replaced(
        0, lambda results, state: jnp.zeros(2)
    ),
    r"from reset: observation is int32\[1\], not float32\[1\]": broken(
        reset=lambda self, key: (jnp.zeros(1, jnp.int32), Good.reset(self, key)[1])
    ),
    r"under jax.enable_x64: observation is float64": replaced(
        0, lambda results, state: results[0].astype(float)
    ),
    "changes the state's structure": replaced(
        1, lambda results, state: (results[1][0], results[1][1].astype(jnp.float32))
    ),
    r"terminated int32\[\]": replaced(
        3, lambda results, state: results[3].astype(jnp.int32)
    ),
    r"reward int32\[\]": replaced(2, lambda results, state: jnp.zeros((), jnp.int32)),
    "returns info": with_step(lambda state, *results: (*results[:5], {3: state[1]})),
    r"info\['success'\] as int32": with_info(success=jnp.zeros((), jnp.int32)),
    r"has phases \(\) on its card": with_info(phase=jnp.zeros((), jnp.int32)),
    "from oracle": broken(oracle=lambda self, key, state: jnp.zeros(2, jnp.int32)),
    "from render": broken(render=lambda self, state: jnp.zeros((8, 8, 3))),
    r"float32\[2\] from action_mask": broken(
        action_mask=lambda self, state: jnp.ones(2)
    ),
    "from hidden": broken(hidden=lambda self, state: {"value": state[0]}),
    "from next_episode": broken(
        next_episode=lambda self, key, state: (state[0], state[1])
    ),
    "traces reset to a different program": broken(reset=numpy_reset),
    "different keys give one and the same start": broken(reset=constant_key_reset),
    "gave two different starts for one key": broken(reset=callback_reset),
    r"from step an observation outside Box.*: its numbers were 0.* to 2\.": replaced(
        0, lambda results, state: jnp.where(state[1] == 2, 2.0, results[0])
    ),
    "from step an observation with nan in it": replaced(
        0, lambda results, state: jnp.where(state[1] == 2, jnp.nan, results[0])
    ),
    "from reset an observation with nan in it": broken(reset=nan_reset),
    "from reset an observation outside": broken(
        observation_space=property(lambda self: spaces.Box(0.0, 0.01, (1,), np.float32))
    ),
    "chose an action outside": broken(
        oracle=lambda self, key, state: jnp.full((), 2, jnp.int32)
    ),
    "returned a reward that is not finite": replaced(
        2, lambda results, state: results[2] / 0
    ),
    "was still in its first episode": with_card(max_episode_steps=2),
    "truncated an episode, but its card says": replaced(
        4, lambda results, state: results[3]
    ),
    "in the state it started in": broken(
        step=lambda self, key, state, action: auto_reset(self, key, state, action)
    ),
    r"has floor 1.0 on its card, but uniformly random play": with_card(
        floor=ONE, memoryless=ONE, recall=ONE, oracle=ONE
    ),
    r"has oracle 1.0 on its card, but the oracle returned 0.0": broken(
        oracle=lambda self, key, state: jnp.zeros((), jnp.int32),
        card=property(lambda self: card(oracle=ONE)),
    ),
}


def auto_reset(env, key, state, action):
    """The classic: start over inside `step`, to the same first state."""
    observation, after, *rest = Good.step(env, key, state, action)
    first = (after[0], jnp.zeros((), jnp.int32))
    after = jax.tree.map(lambda a, b: jnp.where(rest[1], a, b), first, after)
    return observation, after, *rest


ONLY_THE_WHOLE_CHECK = ("has floor 1.0 on", "has oracle 1.0 on", "under jax.enable_x64")


@pytest.mark.parametrize("message", CASES)
def test_message(message):
    case = CASES[message]
    if not any(text in message for text in ONLY_THE_WHOLE_CHECK):
        with pytest.raises(envs.CheckError, match=message):
            envs.check_env(case, fast=True)
    with pytest.raises(envs.CheckError, match=message) as caught:
        envs.check_env(case, episodes=16)
    assert str(caught.value).count(". ") >= 2  # what, why, what to do
    assert str(caught.value) == f"{caught.value.wrong} {caught.value.rest}"


def test_phase_out_of_range():
    env = broken(
        card=property(lambda self: card(phases=TWO_PHASES)),
        step=lambda self, key, state, action: (
            *Good.step(self, key, state, action)[:5],
            {"phase": state[1]},
        ),
    )
    with pytest.raises(envs.CheckError, match=r"outside 0..1"):
        envs.check_env(env, episodes=16)


@dataclasses.dataclass(frozen=True)
class Rich(Good):
    """Nested spaces, a mask, hidden variables and unknown returns: all allowed."""

    def reset(self, key):
        value, state = super().reset(key)
        return {"a": (value, jnp.zeros((), jnp.int32)), "b": jnp.ones(2, int)}, state

    def step(self, key, state, action):
        _, after, *rest = super().step(key, state, action)
        seen = {"a": (after[0], after[1]), "b": action + 1}
        return seen, after, *rest

    def action_mask(self, state):
        return jnp.array([True, True, False, True, False])

    def hidden(self, state):
        return {"value": (state[0], state[1])}

    @property
    def observation_space(self) -> gymnasium.Space:
        inner = spaces.Tuple((super().observation_space, spaces.Discrete(4)))
        return spaces.Dict(a=inner, b=spaces.MultiDiscrete([3, 4]))

    @property
    def action_space(self):
        return spaces.MultiDiscrete([2, 3])

    @property
    def card(self):
        return card(max_episode_steps=None, recall=unknown("nobody tried"))


def test_good_tasks_pass():
    envs.check_env(Good(), episodes=16)
    envs.check_env(Rich(), episodes=16)
    envs.check_env(Good(), fast=True)
    began = time.process_time()  # processor time: a busy machine does not matter
    envs.check_env(Rich(), fast=True)
    assert time.process_time() - began < 4


def test_a_state_may_hold_nan_where_the_start_repeats():
    """It is no second start for one key."""
    env = broken(
        reset=lambda self, key: (Good.reset(self, key)[0], STATE_WITH_NAN),
        step=lambda self, key, state, action: (
            jnp.zeros(1, jnp.float32),
            (state[0], state[1] + 1),
            *Good.step(self, key, state, action)[2:],
        ),
    )
    envs.check_env(env, fast=True)


STATE_WITH_NAN = (jnp.full(1, jnp.nan, jnp.float32), jnp.zeros((), jnp.int32))
