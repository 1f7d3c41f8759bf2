"""Numpy environments that tell what was done to them, and some that fail."""

import time

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs

LENGTHS = (1, 1, 2, 3, 5, 8)


class Counting(gymnasium.Env):
    """Observes its own calls; episodes of drawn lengths end either way, or both."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, longest=8, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = spaces.Dict(
            calls=spaces.Box(-1e6, 1e6, (4,), np.float64), choice=spaces.Discrete(3)
        )
        self.action_space = spaces.Discrete(3, start=2)
        self.lengths = [n for n in LENGTHS if n <= longest]
        self.resets = self.steps = 0

    def render(self):
        return np.full((4, 6, 3), 20 * self.time, np.uint8)

    def _observed(self):
        seen = [self.resets, self.steps, self.time, self.noise]
        return {
            "calls": np.array(seen, np.float64),
            "choice": (self.resets + self.steps) % 3,
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.resets = self.steps = 0
        self.resets += 1
        self.time = 0
        self.length = int(self.np_random.choice(self.lengths))
        self.ending = int(self.np_random.integers(3))
        self.noise = float(np.float32(self.np_random.normal()))
        return self._observed(), {"why": "reset"}

    def step(self, action):
        assert self.action_space.contains(action) and self.time < self.length
        self.steps += 1
        self.time += 1
        self.noise = float(np.float32(self.np_random.normal())) + int(action)
        over = self.time == self.length
        terminated = over and self.ending != 1
        truncated = over and self.ending != 0
        reward = float(action) + 10 * over + self.resets
        return self._observed(), reward, terminated, truncated, {"time": self.time}


def next_step(num_envs, **arguments):
    """A vectoriser that ignores the action of the step after an end."""
    making = [lambda: Counting(**arguments)] * num_envs
    return SyncVectorEnv(making, autoreset_mode=AutoresetMode.NEXT_STEP)


def uneven(num_envs, **arguments):
    """The same with episodes of one step in the first stream, of up to 8 in others."""
    making = [lambda: Counting(1)] + [lambda: Counting(8)] * (num_envs - 1)
    return SyncVectorEnv(making, autoreset_mode=AutoresetMode.NEXT_STEP)


def own_ending(num_envs, **arguments):
    """A vectoriser that starts nothing over."""
    making = [lambda: Counting(**arguments)] * num_envs
    return SyncVectorEnv(making, autoreset_mode=AutoresetMode.DISABLED)


def register():
    vectorisers = {"Counting": next_step, "Uneven": uneven, "Ending": own_ending}
    for name, vectoriser in vectorisers.items():
        if f"engram-tests/{name}-v0" not in gymnasium.registry:
            gymnasium.register(
                f"engram-tests/{name}-v0",
                entry_point=Counting,
                vector_entry_point=vectoriser,
            )


class Telling(Counting):
    """Says at the end of every episode of odd length that it succeeded."""

    def step(self, action):
        *returned, terminated, truncated, _ = super().step(action)
        told = bool((terminated or truncated) and self.length % 2)
        return *returned, terminated, truncated, {"is_success": told}


class Carded(Telling):
    """Says what it demands."""

    card = envs.Card(
        *("sequential", "", (1, 2), False),
        *(envs.exact(x) for x in (0.0, 1.0, 2.0, 2.0)),
        max_episode_steps=8,
    )


class Wide(Counting):
    """Observes a choice that there is not."""

    def _observed(self):
        return super()._observed() | {"choice": 3 + self.steps}


class Echoing(gymnasium.Env):
    """Observes its last action, in nested spaces."""

    def __init__(self, action):
        self.action_space = {
            "box": spaces.Box(-1, 1, (2,), np.float64),
            "choices": spaces.MultiDiscrete([2, 3], start=[1, 0]),
        }[action]
        self.observation_space = spaces.Tuple(
            (
                spaces.Dict(pixels=spaces.Box(0, 255, (8, 8, 3), np.uint8)),
                spaces.MultiBinary(3),
                spaces.Box(-9, 9, self.action_space.shape, np.float64),
            )
        )

    def _observed(self, action):
        flags = np.array([self.time % 2, 0, self.time % 3 == 0], np.int8)
        picture = np.full((8, 8, 3), 10 * self.time, np.uint8)
        return {"pixels": picture}, flags, np.asarray(action, np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._observed(np.zeros(self.action_space.shape)), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        return self._observed(action), 0.0, False, self.time == 3, {}


class Failing(gymnasium.Env):
    """Does wrong whatever `how` says, at the third step of the stream that draws it."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, how="crash", space=None):
        self.how, self.time = how, 0
        if space is not None:
            self.observation_space = {
                "text": spaces.Text(3),
                "sequence": spaces.Dict(a=spaces.Sequence(spaces.Discrete(2))),
                "graph": spaces.Graph(spaces.Discrete(2), None),
                "one of": spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]),
            }[space]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        observation, reward = np.zeros(2, np.float32), 0.0
        if self.time == 3:
            if self.how == "crash":
                raise KeyError("no such room")
            if self.how == "exit":
                raise SystemExit(3)
            if self.how == "hang":
                time.sleep(60)
            if self.how == "reward":
                reward = float("nan")
            if self.how == "observation":
                observation = np.array([0, np.inf], np.float32)
            if self.how == "shape":
                observation = np.zeros(3, np.float32)
        return observation, reward, False, False, {}


class Sleeping(Failing):
    """A step takes five milliseconds."""

    def step(self, action):
        time.sleep(0.005)
        return np.zeros(2, np.float32), 0.0, False, False, {}


def make_counting(longest=8):
    """A function that makes one."""
    return Counting(longest)
