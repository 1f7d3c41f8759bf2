"""How a violation of the contract is told."""

from typing import Any


class CheckError(ValueError):
    """A task breaks the contract of `envs.base`.

    Attributes:
        wrong: the first sentence, what is wrong.
        rest: the others: why it matters, and what to do.
        method: of the task's class, where it is known to be at fault.
    """

    def __init__(self, wrong: str, rest: str, method: str | None = None):
        super().__init__(f"{wrong} {rest}")
        self.wrong, self.rest, self.method = wrong, rest, method


def problem(
    env: Any, what: str, why: str, remedy: str, method: str | None = None
) -> CheckError:
    """An error naming the task, what is wrong, why it matters and what to do."""
    return CheckError(f"{type(env).__name__} {what}", f"{why} {remedy}", method)
