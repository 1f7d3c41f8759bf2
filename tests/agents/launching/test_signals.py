"""Which signal stops a run, and what a second one does."""

import os
import pickle
import signal

import pytest

from agents.running.jobs.signals import Stopped, StopRequest


@pytest.fixture
def ignored():
    """Signals do nothing outside of a request."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    came = []
    before = {n: signal.signal(n, lambda n, _: came.append(n)) for n in numbers}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"])
def test_each_is_noted_and_given_back(ignored, name):
    number = getattr(signal, name)
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
        assert stop.received == number and ignored == []
    os.kill(os.getpid(), number)
    assert ignored == [number]


def test_the_second_sigterm_is_not_held_back(ignored):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM and ignored == [signal.SIGTERM]


def test_a_batch_system_warns_twice(ignored):
    """SIGTERM and a warning come together: neither ends it before it has saved."""
    for order in ((signal.SIGTERM, signal.SIGUSR2), (signal.SIGUSR2, signal.SIGTERM)):
        with StopRequest() as stop:
            for number in order:
                os.kill(os.getpid(), number)
            assert stop.received == signal.SIGUSR2
            os.kill(os.getpid(), signal.SIGUSR2)
            assert stop.received == signal.SIGUSR2 and ignored == []


def test_it_can_be_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(Stopped(signal.SIGUSR1)))
    assert copy.signal_number == signal.SIGUSR1
    assert str(copy) == "stopped by SIGUSR1"
