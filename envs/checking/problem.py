"""How a violation of the contract is told."""

from typing import Any


class CheckError(ValueError):
    """A task breaks the contract of `envs.base`."""


def problem(env: Any, what: str, why: str, remedy: str) -> CheckError:
    """An error naming the task, what is wrong, why it matters and what to do."""
    return CheckError(f"{type(env).__name__} {what} {why} {remedy}")
