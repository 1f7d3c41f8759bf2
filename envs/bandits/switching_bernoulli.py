"""SwitchingBernoulli: predict the bits of a coin that is exchanged now and then."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Float32, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.bandits.bernoulli_returns import recall_bounds
from envs.bandits.common import NOTHING, check_switching
from envs.base import Card, Environment, Transition, computed, exact, float_dtype

PRIORS = ("uniform", "jeffreys")
LONGEST = 1000


class BernoulliState(NamedTuple):
    """The coin, and what it showed.

    Attributes:
        bias: probability that the next bit is 1.
        bit: the last one; 2 before the first.
        age: steps since the bias was drawn.
        time: steps taken.
    """

    bias: Float32[Array, ""]
    bit: Int[Array, ""]
    age: Int[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class SwitchingBernoulli(Environment):
    """Predict a piecewise-stationary source (after Genewein et al. 2023).

    A bit is 1 with a probability that is drawn from the prior at the start and drawn
    anew after each bit with probability `hazard`, which nothing shows. The action is a
    prediction of the next bit and pays 1/length if it is right and -1/length if not;
    it changes nothing. The observation is the bit that came, 2 before the first. The
    episode terminates after `length` bits.

    Whoever remembers keeps a posterior over the time of the last change and, for each
    such time, the numbers of zeros and ones since.

    The paper trains predictors on the log loss, with change points drawn from the
    priors of two known algorithms; here the chance of a change is the same in every
    step, so that one number sets how long the past stays useful, and an action takes
    the place of the distribution. The paper's predictors are Bayes-optimal for biases
    from Jeffreys' prior, Beta(1/2, 1/2). The uniform prior, the default, has more
    coins that are nearly fair, and so more use for the past: repeating the last bit,
    the best without memory, is further from the best.

    Attributes:
        length: bits in an episode.
        hazard: probability that the bias is drawn anew after a bit.
        prior: of the bias: 'uniform' or 'jeffreys'.
    """

    length: int = 64
    hazard: float = 1 / 16
    prior: str = "uniform"

    def __post_init__(self) -> None:
        check_switching("SwitchingBernoulli", self.length, self.hazard, LONGEST)
        if self.prior not in PRIORS:
            raise ValueError(
                f"SwitchingBernoulli knows the priors {' and '.join(PRIORS)}, not "
                f"{self.prior!r}; set prior to one of these."
            )

    def _draw_bias(self, uniform: Float32[Array, ""]) -> Float32[Array, ""]:
        if self.prior == "uniform":
            return uniform
        return jnp.sin(math.pi / 2 * uniform) ** 2

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], BernoulliState]:
        """Draw the first bias."""
        bias = self._draw_bias(jax.random.uniform(key, (), jnp.float32))
        zero = jnp.zeros((), jnp.int32)
        state = BernoulliState(bias, zero + NOTHING, zero, zero)
        return state.bit, state

    def step(
        self, key: PRNGKeyArray, state: BernoulliState, action: Int[Array, ""]
    ) -> Transition:
        """Draw a bit, judge the prediction, and perhaps change the coin."""
        toss, change, fresh = jax.random.uniform(key, (3,), jnp.float32)
        bit = (toss < state.bias).astype(jnp.int32)
        right = action.astype(jnp.int32) == bit
        reward = jnp.where(right, 1 / self.length, -1 / self.length)
        changes = change < self.hazard
        after = BernoulliState(
            bias=jnp.where(changes, self._draw_bias(fresh), state.bias),
            bit=bit,
            age=jnp.where(changes, 0, state.age + 1),
            time=state.time + 1,
        )
        return (
            bit,
            after,
            reward.astype(float_dtype()),
            after.time >= self.length,
            jnp.zeros((), bool),
            {"decision": state.time > 1},
        )

    def oracle(self, key: PRNGKeyArray, state: BernoulliState) -> Int[Array, ""]:
        """The more probable bit."""
        del key
        return (state.bias > 0.5).astype(jnp.int32)

    def hidden(self, state: BernoulliState) -> dict[str, tuple[Array, Array]]:
        """The bias, which is never on show, and the steps since it was drawn."""
        return {"bias": (state.bias, state.age)}

    def render(self, state: BernoulliState) -> UInt8[Array, "64 64 3"]:
        """The last bit; in the strip the bias, a bar to the left or right."""
        coin = draw.select(state.bit == NOTHING, draw.MARK, draw.sign(state.bit == 1))
        scene = draw.canvas(draw.SCENE, 64)
        scene = draw.rectangle(scene, (10, 20), (24, 24), coin)
        return draw.frame(scene, draw.bars((2 * state.bias - 1)[None], 64))

    @property
    def observation_space(self) -> spaces.Discrete:
        """The bit that came, or 2."""
        return spaces.Discrete(3)

    @property
    def action_space(self) -> spaces.Discrete:
        """The bit predicted."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """Counts since the last change, and when that was.

        Two bits in a row belong to one coin with probability 1 - hazard, and then
        are alike with a mean surplus of E[(2 bias - 1)^2] over unlike.
        """
        surplus = 1 / 3 if self.prior == "uniform" else 1 / 2
        repeat = (1 - self.hazard) * surplus * (self.length - 1) / self.length
        low, high = recall_bounds(self.length, self.hazard, self.prior)
        useful = low > repeat + 1e-9
        return Card(
            memory="meta" if useful else "none",
            paper="after Genewein et al. 2023, "
            '"Memory-Based Meta-Learning on Non-Stationary Distributions"',
            horizon=(1, self.length - 2) if useful else (0, 0),
            truncates=False,
            floor=exact(0.0, "right half the time"),
            memoryless=exact(repeat, "repeat the last bit"),
            recall=computed(
                (low + high) / 2,
                f"Bayes-optimal prediction: between {low:.5f} and {high:.5f}, by "
                "search over pasts",
            ),
            oracle=exact(
                1 / 2 if self.prior == "uniform" else 2 / math.pi,
                "the mean of |2 bias - 1|",
            ),
            max_episode_steps=self.length,
            actions=("0", "1"),
        )
