"""Annotated shapes and types are checked while tests run."""

import jax.numpy as jnp
import jaxtyping
import pytest

from agents.experience.returns import lambda_returns

ENDS = jnp.zeros((4, 2), bool)
RIGHT = {
    "reward": jnp.zeros((4, 2)),
    "next_value": jnp.zeros((4, 2)),
    "terminated": ENDS,
    "truncated": ENDS,
    "gamma": 0.9,
    "trace": 0.9,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"next_value": jnp.zeros((3, 2))},
        {"terminated": jnp.zeros((4, 2))},
        {"gamma": "0.9"},
    ],
    ids=["length", "kind", "type"],
)
def test_what_is_annotated_is_checked(wrong):
    assert lambda_returns(**RIGHT).shape == (4, 2)
    with pytest.raises(jaxtyping.TypeCheckError):
        lambda_returns(**{**RIGHT, **wrong})
