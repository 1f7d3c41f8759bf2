"""What is searched over: ranges on the command line, and points in them."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from agents.convert import ConfigError, convert, nearest

KINDS = ("log", "uniform", "interval", "int", "choice")
"""What may stand before the parenthesis; `interval` is Hydra's word for `uniform`."""

_RANGE = re.compile(r"^\+*(?P<key>[\w./]+)=(?P<kind>\w+)\((?P<inside>.*)\)$")

_OF_HYDRA = (
    "range",
    "glob",
    "sort",
    "shuffle",
    "tag",
    "str",
    "bool",
    "float",
    "json_str",
)

DIGITS = 5
"""Significant digits of a number that is drawn, so that it can be read and typed."""

FIXED = {
    **dict.fromkeys(
        ("env", "partial", "evaluation"),
        "returns of different tasks cannot be compared; search on each by itself",
    ),
    **dict.fromkeys(
        ("seed", "num_seeds"),
        "the best seed is luck; num_seeds=3 makes the mean of three seeds a trial's "
        "value",
    ),
    **dict.fromkeys(
        ("run_directory", "resume", "device", "distributed", "plugins", "check"),
        "it changes no result",
    ),
}
"""Settings, or the groups of some, that are not searched over, and why."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a setting may take.

    Attributes:
        key: of the setting, such as `agent.learning_rate`.
        kind: `log` and `uniform` draw a number, `int` a whole one, both ends included,
            `choice` one of some values.
        low, high: ends of the first three.
        values: of `choice`, as they are written on the command line.
    """

    key: str
    kind: Literal["log", "uniform", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()

    def draw(self, trial: Any) -> str:
        """A value, as it is written on the command line.

        Args:
            trial: of Optuna; one that has a value for this setting keeps it.
        """
        if self.kind == "choice":
            return self.text(trial.suggest_categorical(self.key, self.values))
        if self.kind == "int":
            low, high = int(self.low), int(self.high)
            return self.text(trial.suggest_int(self.key, low, high))
        log = self.kind == "log"
        return self.text(trial.suggest_float(self.key, self.low, self.high, log=log))

    def text(self, value: Any) -> str:
        """A value as it is written: a number in few digits, and between the ends."""
        if self.kind in ("choice", "int"):
            return str(value)
        short = float(f"{value:.{DIGITS}g}")
        return repr(min(max(short, self.low), self.high))

    def ends(self) -> list[str]:
        """Values that must be possible: both ends, or every choice."""
        if self.kind == "choice":
            return list(self.values)
        if self.kind == "int":
            return [str(int(self.low)), str(int(self.high))]
        return [self.text(self.low), self.text(self.high)]

    def __str__(self) -> str:
        """As it is written on the command line."""
        ends = self.values if self.kind == "choice" else self.ends()
        return f"{self.key}={self.kind}({','.join(ends)})"


def range_of(word: str) -> Range | None:
    """The range that a word of the command line sets, None where it sets a value.

    Raises:
        ConfigError: a range that cannot be searched over.
    """
    match = _RANGE.match(word)
    if match is None:
        return None
    key, kind, inside = match.group("key", "kind", "inside")
    if kind not in KINDS:
        if kind in _OF_HYDRA:
            told = "belongs to sweeps of train.py; a search takes"
            raise ConfigError(f"{word!r}: {kind}() {told} {_forms()}.")
        raise ConfigError(f"{word!r}: there is no {kind}().{nearest(kind, KINDS)}")
    for name, why in FIXED.items():
        if key == name or key.startswith(f"{name}."):
            raise ConfigError(f"{word!r} is not searched over: {why}.")
    parts = _parts(inside)
    if kind == "choice":
        if len(parts) < 2 or len(set(parts)) < len(parts):
            raise ConfigError(f"{word!r} needs two values or more, all different.")
        return Range(key, "choice", values=tuple(parts))
    return _numbers(word, key, kind, parts)


def _numbers(word: str, key: str, kind: str, parts: Sequence[str]) -> Range:
    """A range between two numbers."""
    if len(parts) != 2:
        raise ConfigError(f"{word!r} needs two ends: {key}={kind}(low,high).")
    of = int if kind == "int" else float
    low, high = (float(convert(x, of, f"{key}: {kind}()")) for x in parts)
    if not low < high or not math.isfinite(high - low):
        raise ConfigError(f"{word!r}: the first end must be less than the second.")
    if kind == "log" and low <= 0:
        raise ConfigError(
            f"{word!r}: a logarithmic range has ends above 0; use uniform(), or a "
            "small first end."
        )
    if kind == "log":
        return Range(key, "log", low, high)
    return Range(key, "int" if kind == "int" else "uniform", low, high)


def _parts(inside: str) -> list[str]:
    """The values between commas, but for commas inside brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in inside:
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        depth += (letter in "[({") - (letter in "])}") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _forms() -> str:
    return "log(a,b), uniform(a,b), int(a,b) and choice(a,b,c)"
