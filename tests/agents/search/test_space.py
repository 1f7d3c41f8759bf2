"""Ranges on the command line: what they draw, and how mistakes in them are told."""

import pytest

from agents.convert import ConfigError
from agents.search.space import Range, range_of


class Trial:
    """Draws an end of the range, moved a little."""

    def __init__(self, share):
        self.share = share

    def suggest_float(self, name, low, high, log):
        assert name == "agent.gamma" and isinstance(log, bool)
        return low + (high - low) * self.share

    def suggest_int(self, name, low, high):
        assert type(low) is int and type(high) is int
        return high

    def suggest_categorical(self, name, values):
        return values[-1]


@pytest.mark.parametrize(
    "word, found",
    [
        ("a.b=log(1e-4,3e-3)", Range("a.b", "log", 1e-4, 3e-3)),
        ("a.b=uniform(-1, 2.5)", Range("a.b", "uniform", -1.0, 2.5)),
        ("a.b=interval(0,1)", Range("a.b", "uniform", 0.0, 1.0)),
        ("a=int(1,8)", Range("a", "int", 1.0, 8.0)),
        ("memory=choice(gru,ffm)", Range("memory", "choice", values=("gru", "ffm"))),
        ("a=choice([1,2],null)", Range("a", "choice", values=("[1,2]", "null"))),
        ("a=choice('x,y',z)", Range("a", "choice", values=("'x,y'", "z"))),
        ("a=3", None),
        ("a=[f(1)]", None),
    ],
)
def test_ranges_are_read(word, found):
    assert range_of(word) == found
    if found is not None:
        assert range_of(str(found)) == found


def test_numbers_are_short_and_stay_between_the_ends():
    one = Range("agent.gamma", "uniform", 0.9, 0.999996)
    assert one.draw(Trial(1.0)) == "0.999996"  # five digits would be 1
    assert one.draw(Trial(1 / 3)) == "0.93333"
    assert one.ends() == ["0.9", "0.999996"]
    assert Range("n", "int", 1.0, 8.0).draw(Trial(0)) == "8"
    assert Range("m", "choice", values=("gru", "ffm")).draw(Trial(0)) == "ffm"


@pytest.mark.parametrize(
    "word, told",
    [
        ("agent.gamma=lgo(1,2)", "there is no lgo(). Did you mean 'log'?"),
        ("agent.gamma=range(1,2)", "range() belongs to sweeps of train.py"),
        ("agent.gamma=log(0,1)", "ends above 0"),
        ("agent.gamma=uniform(1,1)", "the first end must be less"),
        ("agent.gamma=uniform(1)", "needs two ends"),
        ("agent.gamma=uniform(1,x)", "must be a number"),
        ("agent.gamma=int(1,2.5)", "must be a whole number"),
        ("memory=choice(gru)", "needs two values"),
        ("memory=choice(gru,gru)", "all different"),
        ("env=choice(tmaze,nback)", "different tasks cannot be compared"),
        ("env.length=int(3,5)", "different tasks cannot be compared"),
        ("seed=int(0,9)", "the best seed is luck"),
        ("device=choice(cpu,gpu)", "it changes no result"),
    ],
)
def test_mistakes_are_told(word, told):
    with pytest.raises(ConfigError) as error:
        range_of(word)
    assert told in str(error.value)
