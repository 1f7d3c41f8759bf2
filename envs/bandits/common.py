"""What tasks that switch share: limits of their parameters, and the empty payout."""

NOTHING = 2
"""What is observed before the first bit: neither 0 nor 1."""


def check_switching(name: str, length: int, hazard: float, longest: int) -> None:
    """Refuse episodes without anything to remember, and hazards that are none.

    Raises:
        ValueError: `length` or `hazard` is out of range.
    """
    if not 3 <= length <= longest:
        raise ValueError(
            f"{name} needs length of at least 3, for a bit that is no longer on show, "
            f"and at most {longest:,}, for which its card can be computed; not "
            f"{length}."
        )
    if not 0 < hazard < 1:
        raise ValueError(
            f"{name} needs a hazard between 0 and 1, both excluded: a probability of "
            f"change in each step; not {hazard}."
        )
