"""Policies over Gymnasium action spaces, from the outputs of one linear head.

Every policy distinguishes the raw action, of which probabilities are taken, from the
action that the environment receives: they differ in Box spaces only.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

Squash = Literal["clip", "tanh"]

FORBIDDEN = -1e9
"""The logit of an action that a mask forbids."""

# Gauss-Hermite nodes for the one expectation without a closed form (TanhGaussian).
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Categorical(eqx.Module):
    """Independent categorical choices, one or several, with an optional mask.

    Attributes:
        logits: one normalised log-probability array `[..., n]` per choice.
        starts: the smallest action of each choice.
        scalar: whether the action is a scalar (Discrete) or a vector (MultiDiscrete).
    """

    logits: tuple[Float[Array, "..."], ...]
    starts: tuple[int, ...] = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def _stack(self, choices: list[Array]) -> Int[Array, "..."]:
        chosen = [
            c.astype(jnp.int32) + s for c, s in zip(choices, self.starts, strict=True)
        ]
        return chosen[0] if self.scalar else jnp.stack(chosen, axis=-1)

    def _columns(self, raw: Int[Array, "..."]) -> list[Int[Array, "..."]]:
        """The part of an action in each choice."""
        return [raw] if self.scalar else [raw[..., i] for i in range(len(self.starts))]

    def sample(self, key: Key[Array, "*batch"]) -> Int[Array, "..."]:
        """Draw a raw action per row, each from the key of its row."""

        def draw(key: Key[Array, ""], logits: tuple[Array, ...]) -> list[Array]:
            keys = [key] if len(logits) == 1 else jax.random.split(key, len(logits))
            return [
                jax.random.categorical(k, x) for k, x in zip(keys, logits, strict=True)
            ]

        return self._stack(_over_rows(draw, key)(key, self.logits))

    def mode(self) -> Int[Array, "..."]:
        """The likeliest raw action."""
        return self._stack([x.argmax(-1) for x in self.logits])

    def log_prob(self, raw: Int[Array, "..."]) -> Float[Array, "..."]:
        """Log-probability of a raw action."""
        columns = self._columns(raw)
        total = jnp.zeros(())
        for x, column, start in zip(self.logits, columns, self.starts, strict=True):
            picked = jnp.take_along_axis(x, (column - start)[..., None], axis=-1)
            total = picked[..., 0] + jnp.broadcast_to(total, picked.shape[:-1])
        return total

    def decision(self, action: Int[Array, "..."]) -> Float[Array, "... 1"]:
        """What an action was chosen by: its log-odds, summed over choices.

        They are `log p - log (1 - p)`, whose derivatives do not vanish where the policy
        is certain, as those of `log p` do; 0 where nothing else was allowed.
        """
        parts = []
        columns = self._columns(action)
        for x, column, start in zip(self.logits, columns, self.starts, strict=True):
            chosen = jax.nn.one_hot(column - start, x.shape[-1], dtype=bool)
            rest = jnp.where(chosen, jnp.asarray(FORBIDDEN, x.dtype), x)
            others = jax.nn.logsumexp(rest, axis=-1)
            odds = jnp.where(chosen, x, 0).sum(-1) - others
            parts.append(jnp.where(others > FORBIDDEN / 2, odds, 0))
        return sum(parts[1:], parts[0])[..., None]

    def entropy(self) -> Float[Array, "..."]:
        """Entropy in nats; masked actions contribute nothing."""
        parts = [-(jnp.exp(x) * x).sum(-1) for x in self.logits]
        return sum(parts[1:], parts[0])

    def action(self, raw: Int[Array, "..."]) -> Int[Array, "..."]:
        """The action that the environment receives."""
        return raw


class Gaussian(eqx.Module):
    """A diagonal Gaussian over a Box, clipped or squashed into its bounds.

    With 'clip' the environment receives the nearest action inside the bounds, and the
    log-probability is that of the unclipped one. With 'tanh' the action is
    `centre + radius * tanh(raw)` and the density is changed accordingly.

    Attributes:
        mean: `[..., n]`, n the flattened size of the Box.
        log_std: `[..., n]`.
        low, high: `[n]`, the bounds.
        shape: shape of one action.
        squash: how raw actions are fitted into the bounds.
    """

    mean: Float[Array, "... n"]
    log_std: Float[Array, "... n"]
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    squash: Squash = eqx.field(static=True)

    def sample(self, key: Key[Array, "*batch"]) -> Float[Array, "*batch n"]:
        """Draw a raw action per row, each from the key of its row."""

        def draw(key: Key[Array, ""]) -> Float[Array, " n"]:
            return jax.random.normal(key, self.mean.shape[-1:], self.mean.dtype)

        return self.mean + jnp.exp(self.log_std) * _over_rows(draw, key)(key)

    def mode(self) -> Float[Array, "... n"]:
        """The raw action at the Gaussian's centre."""
        return self.mean

    def log_prob(self, raw: Float[Array, "... n"]) -> Float[Array, "..."]:
        """Log-density of a raw action, per unit of the action if squashed."""
        z = (raw - self.mean) * jnp.exp(-self.log_std)
        density = -0.5 * jnp.square(z) - self.log_std - 0.5 * math.log(2 * math.pi)
        if self.squash == "tanh":
            density = density - self._log_slope(raw)
        return density.sum(-1)

    def decision(self, action: Any) -> Float[Array, "... n"]:
        """What an action was chosen by: the raw mean.

        At the mean itself the log-probability does not depend on it.
        """
        del action
        return self.mean

    def entropy(self) -> Float[Array, "..."]:
        """Differential entropy in nats, of the squashed variable if squashed.

        The squashed one is `H[raw] + E[log |d action / d raw|]`; the expectation is
        taken by 16-point Gauss-Hermite quadrature, so it is differentiable and needs
        no samples.
        """
        entropy = self.log_std + 0.5 * math.log(2 * math.pi * math.e)
        if self.squash == "tanh":
            nodes = jnp.asarray(_NODES, self.mean.dtype)
            weights = jnp.asarray(_WEIGHTS, self.mean.dtype)
            spread = jnp.exp(self.log_std)[..., None] * jnp.broadcast_to(
                nodes, (*self.mean.shape, len(_NODES))
            )
            raw = jnp.moveaxis(self.mean[..., None] + spread, -1, 0)
            entropy = entropy + jnp.tensordot(weights, self._log_slope(raw), axes=1)
        return entropy.sum(-1)

    def action(self, raw: Float[Array, "... n"]) -> Float[Array, "..."]:
        """The action that the environment receives, inside the bounds."""
        low = jnp.broadcast_to(self.low, raw.shape)
        high = jnp.broadcast_to(self.high, raw.shape)
        if self.squash == "tanh":
            fitted = low + (high - low) * 0.5 * (jnp.tanh(raw) + 1)
            fitted = jnp.clip(fitted, low, high)
        else:
            fitted = jnp.clip(raw, low, high)
        return fitted.reshape(*raw.shape[:-1], *self.shape)

    def _log_slope(self, raw: Float[Array, "... n"]) -> Float[Array, "... n"]:
        """Log of d action / d raw; log(1 - tanh^2 x) without cancellation."""
        radius = jnp.broadcast_to((self.high - self.low) * 0.5, raw.shape)
        return jnp.log(radius) + 2 * (math.log(2) - raw - jax.nn.softplus(-2 * raw))


Distribution = Categorical | Gaussian


def _over_rows(draw: Callable[..., Any], key: Key[Array, "*batch"]) -> Any:
    """`draw` for one row, mapped over the axes that `key` has."""
    for _ in range(key.ndim):
        draw = jax.vmap(draw)
    return draw


class PolicySpec(eqx.Module):
    """How head outputs of width `outputs` become a policy over an action space.

    Raises:
        ValueError: a space that no policy here covers, or unbounded with 'tanh'.
    """

    kind: Literal["categorical", "gaussian"] = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)
    starts: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)
    squash: Squash = eqx.field(static=True)

    def __init__(self, space: gymnasium.Space, squash: Squash = "clip"):
        """Read an action space."""
        self.low = self.high = ()
        self.squash = squash
        if isinstance(space, gymnasium.spaces.Discrete):
            self.kind, self.shape = "categorical", ()
            self.sizes, self.starts = (int(space.n),), (int(space.start),)
        elif isinstance(space, gymnasium.spaces.MultiDiscrete):
            self.kind, self.shape = "categorical", space.nvec.shape
            if space.nvec.ndim != 1:
                raise ValueError(
                    f"MultiDiscrete actions of shape {space.nvec.shape} are not "
                    "supported; flatten the space to one axis."
                )
            self.sizes = tuple(int(n) for n in space.nvec)
            self.starts = tuple(int(n) for n in space.start)
        elif isinstance(space, gymnasium.spaces.Box):
            self.kind, self.shape = "gaussian", space.shape
            self.sizes = self.starts = ()
            self.low = tuple(float(x) for x in space.low.reshape(-1))
            self.high = tuple(float(x) for x in space.high.reshape(-1))
            if squash == "tanh" and not np.isfinite([*self.low, *self.high]).all():
                raise ValueError(
                    f"squash='tanh' needs a bounded Box, but {space} is unbounded; "
                    "use squash='clip'."
                )
        else:
            raise ValueError(
                f"no policy for action space {space}; use Discrete, MultiDiscrete or "
                "Box."
            )

    @property
    def outputs(self) -> int:
        """Width of the head."""
        return sum(self.sizes) if self.kind == "categorical" else len(self.low)

    @property
    def scalar(self) -> bool:
        """Whether the action is a single choice."""
        return self.shape == ()

    def distribution(
        self,
        outputs: Float[Array, "... n"],
        log_std: Float[Array, "*spread"],
        mask: Bool[Array, "... n"] | None = None,
    ) -> Distribution:
        """The policy for head outputs; a mask rules actions out (probability 0)."""
        if self.kind == "gaussian":
            return Gaussian(
                mean=outputs,
                log_std=jnp.broadcast_to(log_std, outputs.shape),
                low=jnp.asarray(self.low, outputs.dtype),
                high=jnp.asarray(self.high, outputs.dtype),
                shape=self.shape,
                squash=self.squash,
            )
        if mask is not None:
            # A large finite number: -inf would give 0 * -inf = nan in the entropy.
            outputs = jnp.where(mask, outputs, jnp.asarray(FORBIDDEN, outputs.dtype))
        edges = np.cumsum(self.sizes)[:-1].tolist()
        parts = jnp.split(outputs, edges, axis=-1)
        logits = tuple(jax.nn.log_softmax(x) for x in parts)
        return Categorical(logits=logits, starts=self.starts, scalar=self.scalar)

    def features(self, action: Any) -> Float[Array, "... n"]:
        """An action as network input: one-hot (it may already be), or the Box's values.

        Args:
            action: as in the space; of choices also as floats, one per option.
        """
        if self.kind == "gaussian":
            lead = action.ndim - len(self.shape)
            return action.reshape(*action.shape[:lead], -1).astype(float)
        if jnp.issubdtype(action.dtype, jnp.floating):
            return action
        columns = (
            [action]
            if self.scalar
            else [action[..., i] for i in range(len(self.sizes))]
        )
        return jnp.concatenate(
            [
                jax.nn.one_hot(column - start, size)
                for column, start, size in zip(
                    columns, self.starts, self.sizes, strict=True
                )
            ],
            axis=-1,
        )
