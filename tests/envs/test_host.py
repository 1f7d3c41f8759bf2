"""Numpy environments in batches: what is refused, and what fails where."""

import os

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.host import HostVector
from tests.agents.experience import numpy_tasks

FAILING = "tests.agents.experience.numpy_tasks:Failing"


def failing(how="crash", **settings):
    arguments = {"how": how} | settings.pop("arguments", {})
    return envs.HostTask(FAILING, arguments, own=True, **settings)


def play(task, streams=2, steps=4):
    """Step a batch with zeros; the last step."""
    vector = HostVector(task, streams)
    try:
        vector.reset(list(range(streams)))
        for _ in range(steps):
            vector.send(np.zeros((streams, *task.action_space.shape), np.float32))
            step = vector.receive()
        return step
    finally:
        vector.close()


SENTENCES = {
    "crash": "the environment of stream [01] raised KeyError: 'no such room' when it "
    "stepped at its step 3",
    "reward": "the reward of stream 0 is nan at step 3",
    "observation": "an observation of stream 0 is not finite at step 3: inf",
    "shape": r"an observation of shape \(3,\), not \(2,\) \(stream 0, its step 3",
}


@pytest.mark.parametrize("how", SENTENCES)
def test_what_goes_wrong_is_told_with_stream_and_step(how):
    with pytest.raises(envs.HostError, match=SENTENCES[how]):
        play(failing(how))


@pytest.mark.parametrize("space", ["text", "sequence", "graph", "one of"])
def test_spaces_that_make_no_arrays_are_refused(space):
    with pytest.raises(ValueError, match=r"observation space has a part .* batched"):
        failing("", arguments={"space": space})


def test_a_hang_and_a_death_in_processes_are_told():
    hung = failing("hang", vectorization="async", step_timeout=1.0)
    with pytest.raises(envs.HostError, match=r"stream 0 took longer than env.step_tim"):
        play(hung)
    dead = failing("exit", vectorization="async")
    with pytest.raises(envs.HostError, match=r"stream [01] ended \(exit code 3"):
        play(dead)


def test_processes_play_what_this_one_plays():
    """The same rows bit for bit, final observations too, and errors cross."""
    before = os.environ.get("JAX_PLATFORMS")
    path, rows = "tests.agents.experience.numpy_tasks:Counting", {}
    for mode in ("sync", "async"):
        vector = HostVector(envs.HostTask(path, own=True, vectorization=mode), 2)
        seen = [vector.reset([5, 6])]
        for action in np.random.default_rng(0).integers(2, 5, (12, 2)):
            vector.send(action)
            seen += vector.receive()
        vector.close()
        rows[mode] = seen
    for found, expected in zip(rows["async"], rows["sync"], strict=True):
        np.testing.assert_equal(found, expected)
    assert os.environ.get("JAX_PLATFORMS") == before
    crash = failing("crash", vectorization="async")
    with pytest.raises(envs.HostError, match=SENTENCES["crash"]):
        play(crash)


def test_success_is_told_of_the_step_that_ended_an_episode():
    path = "tests.agents.experience.numpy_tasks:Telling"
    vector = HostVector(envs.HostTask(path, own=True), 2)
    vector.reset([5, 6])
    length, told = np.zeros(2, int), [[], []]
    for _ in range(60):
        vector.send(np.array([2, 3]))
        step = vector.receive()
        length += 1
        for stream in range(2):
            odd = bool(step.start[stream] and length[stream] % 2)
            assert step.success[stream] == odd
            if step.start[stream]:
                told[stream].append(odd)
                length[stream] = 0
    vector.close()
    assert {True, False} == set(told[0]) == set(told[1])
    assert play(failing("nothing")).success is None


def test_a_vectoriser_must_start_episodes_over():
    numpy_tasks.register()
    task = envs.HostTask("engram-tests/Ending-v0", vectorization="own")
    with pytest.raises(envs.HostError, match="starts no episodes over by itself"):
        HostVector(task, 2)


def test_a_card_knows_that_episodes_are_cut_off():
    task = envs.HostTask("tests.agents.experience.numpy_tasks:Carded", own=True)
    assert task.known and not numpy_tasks.Carded.card.truncates
    assert task.card.truncates and task.card.max_episode_steps == 8


def test_ids_name_their_packages():
    pytest.importorskip("popgym")
    task = envs.HostTask("popgym-RepeatPreviousEasy-v0")
    assert task.action_space == spaces.Discrete(4)
    assert not task.known and task.card.truncates
    assert envs.HostTask("popgym:popgym-RepeatPreviousEasy-v0").source is not None
    with pytest.raises(ValueError, match=r"RepeatPreviosEasy-v0'. Did you"):
        envs.HostTask("popgym-RepeatPreviosEasy-v0")
    with pytest.raises(ValueError, match="no_such cannot be imported: ModuleNotFound"):
        envs.HostTask("no_such:CartPole-v1")


def test_choices_that_there_are_not_are_told():
    task = envs.HostTask("tests.agents.experience.numpy_tasks:Wide", own=True)
    with pytest.raises(envs.HostError, match=r"0 is not in Discrete\(3\) at step"):
        play(task)
