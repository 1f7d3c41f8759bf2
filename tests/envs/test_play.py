"""Playing by hand: keys, pictures in a terminal, and what a player is not shown."""

import functools
import io
import os
import pty
import re
import signal
import sys
import termios
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

import envs
from envs import draw
from envs.play import __main__ as program
from envs.play import controls, keys, pictures, screen, window
from envs.play.game import Game
from envs.play.telling import Played, card_of, summary

UP = "\x1b[A"


def play(capsys, *words):
    """What the program prints, line by line."""
    program.main(words)
    return capsys.readouterr().out.splitlines()


@functools.cache
def game(id, **parameters):
    """A game whose task is compiled once for all tests; each starts it over."""
    return Game(envs.make(id, **parameters), id)


def started(id, **parameters):
    found = game(id, **parameters)
    found.secret, found.ended, found.played = False, False, []
    found.restart()
    return found


def pressed(id, text, **parameters):
    found = started(id, **parameters)
    for key in keys.split(text):
        found.press(key)
    return found


# Keys ---------------------------------------------------------------------------------


def test_keys_of_a_text():
    text = (
        f"aB {UP}\x1b[1;2D\x1bOC\x1b[5~\x1b[6;2~\x1b[15~\r\x7f<up><shift left><nosuch>"
    )
    names = ["a", "B", "space", "up", "shift left", "right", "pageup"]
    names += ["shift pagedown", "enter", "backspace", "up", "shift left"]
    assert keys.split(text) == names
    assert keys.split("\x1b") == ["escape"]
    assert [keys.incomplete(x) for x in ("\x1b", "\x1b[", "\x1b[1;2", UP, "a")] == [
        *(True, True, True, False, False)
    ]


# Actions ------------------------------------------------------------------------------


def test_discrete():
    """Letters, digits, and the arrows that names mean."""
    choice = controls.Choice(spaces.Discrete(4), ("right", "up", "left", "down"))
    for key, action in {"a": 0, "d": 3, "2": 2, "up": 1, "left": 2, "down": 3}.items():
        assert choice.press(key) == action, key
    assert all(choice.press(key) is None for key in ("e", "4", "space", "h"))
    assert choice.help[1] == "b or 1 or up: up" and choice.tell(2) == "left"


def test_numbers_of_two_digits_end_with_enter():
    choice = controls.Choice(spaces.Discrete(52), ())
    assert [choice.press(key) for key in keys.split("51\n")] == [None, None, 51]
    assert [choice.press(key) for key in keys.split("12\x7f3 ")][-1] == 13
    assert choice.press("a") is None  # there are more than letters
    assert [choice.press(key) for key in keys.split("52\n")][-1] is None
    assert choice.refusal == "52 is not from 0 to 51" and choice.pending == ""
    few = controls.Choice(spaces.Discrete(20), ())
    assert few.press("a") == 0 and few.press("w") is None
    # h and r are left out: the 18th letter that counts is the 20th of all.
    assert few.press("v") == 19 and "h" not in controls.LETTERS


def test_multi_discrete():
    """One digit each where no number needs two; a number and Enter elsewhere."""
    two = controls.Numbers(spaces.MultiDiscrete([8, 8]))
    assert two.press("3") is None and two.help == ["number 2 of 2: 0 to 7"]
    assert two.press("9") is None and two.refusal == "9 is not from 0 to 7"
    action = two.press("4")
    np.testing.assert_array_equal(action, [3, 4])
    assert action.dtype == jnp.int32
    wide = controls.Numbers(spaces.MultiDiscrete([12, 12]))
    found = [wide.press(key) for key in keys.split("11,7 ")]
    np.testing.assert_array_equal(found[-1], [11, 7])
    back = [wide.press(key) for key in keys.split("11,\x7f2,3\n")]
    np.testing.assert_array_equal(back[-1], [2, 3])


def test_box():
    axes = controls.Axes(spaces.Box(-2.0, 2.0, (2,), np.float32))
    for key, action in {
        **{"left": (-2, 0), "right": (2, 0), "up": (0, 2), "shift down": (0, -0.5)},
        "space": (0, 0),
    }.items():
        np.testing.assert_array_equal(axes.press(key), action)
    assert axes.press("w") is None and axes.tell(axes.press("up")) == "axis 2 +2.00"
    many = controls.Numbers(spaces.Box(-1.0, 1.0, (6,), np.float32))
    found = [many.press(key) for key in keys.split("0.5 -1 0 0 0 1e-1 ")][-1]
    np.testing.assert_allclose(found, [0.5, -1, 0, 0, 0, 0.1])


def test_hand():
    """Up and left as in the picture: away from the robot, and to its left."""
    hand = controls.Hand(envs.make("ShellGameTouch-v0"))
    expected = {"up": (0, 1), "down": (0, -1), "left": (1, 1), "right": (1, -1)}
    expected |= {"w": (2, 1), "pagedown": (2, -1), "q": (3, 1), "e": (3, -1)}
    expected |= {"o": (4, 1), "c": (4, -1), "W": (2, 0.25), "shift up": (0, 0.25)}
    for key, (axis, value) in expected.items():
        np.testing.assert_array_equal(hand.press(key), value * np.eye(5)[axis])
    np.testing.assert_array_equal(hand.press("space"), np.zeros(5))
    task = envs.make("ShellGameTouch-v0", action_mode="discrete")
    action = controls.Hand(task).press("left")
    np.testing.assert_array_equal(
        envs.robot.hand.actions.DISCRETE[int(action)], [0, 1, 0, 0, 0]
    )


def test_other_actions_are_refused(monkeypatch):
    task = envs.make("TMaze-v0")
    space = spaces.Dict({"a": spaces.Discrete(2)})
    monkeypatch.setattr(type(task), "action_space", space)
    with pytest.raises(ValueError, match="only Discrete, MultiDiscrete and Box"):
        controls.controls_for(task)


def test_what_the_mask_forbids_is_not_done():
    found = started("ProbeActionMask-v0")
    allowed = np.asarray(found._mask(found._state))
    assert not allowed.all()
    assert not found.press(str(int(allowed.argmin()))) and found.now.steps == 0
    assert "is not allowed now" in found.note
    assert found.press(str(int(allowed.argmax()))) and found.now.steps == 1


# Playing ------------------------------------------------------------------------------


def test_the_keys_of_a_pipe_are_played(capsys, monkeypatch):
    """The goal is up or down: one of the two succeeds, and the card stands beside."""
    totals = {}
    for turn in "bd":
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"aa{turn}bb"))
        lines = play(capsys, "tmaze", "length=2")
        assert lines[0] == "step 0 of 3  return 0.00  |  sees: 0 1"
        assert lines[3].startswith("step 3 of 3")
        assert "the episode is over" in lines[4]
        totals[turn] = float(re.search(r"return (\S+)", lines[3])[1])
        assert ("over: success" in lines[3]) == (totals[turn] == 1)
        card = envs.make("TMaze-v0", length=2).card
        told = dict(line.split()[:2] for line in lines[-6:-1])
        assert told["you"] == f"{totals[turn]:.3f}"
        for name in ("floor", "memoryless", "recall", "oracle"):
            assert float(told[name]) == pytest.approx(
                getattr(card, name).value, abs=1e-3
            )
    assert sorted(totals.values()) == [0, 1]


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        (("battleship_easy",), "34", "3 4"),
        (("position_only_pendulum_easy",), "<shift right>", "axis 1 +0.50"),
        (("concentration_easy",), "17<enter>", "17"),
        (("probe_copy_bit",), "1", "1"),
        (("ShellGameTouch-v0", "action_mode=discrete"), "<space>", "0"),
    ],
)
def test_every_kind_of_action_is_played(words, text, told, capsys):
    lines = play(capsys, *words, "--keys", text)
    assert lines[1].startswith("step 1 of") and f"  {told}" in lines[1]


def test_restart_and_end():
    found = pressed("TMaze-v0", "aarax", length=2)
    assert found.now.steps == 1 and found.ended and not found.played
    assert pressed("TMaze-v0", "\x1b", length=2).ended


def test_the_next_episode_follows():
    """A task whose episodes follow each other is not drawn anew."""
    found = started("ProbePreviousAction-v0")
    while not found.now.over:
        found.press("1")
    calls = []
    env = SimpleNamespace(
        next_episode=lambda key, state: calls.append(state) or game_state(found)
    )
    state, found.env, env.real = found._state, env, found.env
    try:
        found.restart()
    finally:
        found.env = env.real
    assert calls == [state] and found.now.steps == 0


def game_state(found):
    return found.observation, found._state


def test_seeds_draw_different_episodes(capsys):
    first = {
        play(capsys, "repeat_first_easy", "--keys", "a", "--seed", str(seed))[0]
        for seed in range(6)
    }
    assert len(first) > 1
    again = play(capsys, "repeat_first_easy", "--keys", "a", "--seed", "0")[0]
    assert again in first


def test_nobody_waits_for_a_card():
    """Of settings that nobody has played: unknown, and at once."""
    task = envs.make("ShellGameTouch-v0", max_steps=77)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs.robot.returns, "play", None)
        card = card_of(task)
        assert card.max_episode_steps == 77 and card.floor.value is None
        assert card.phases == ("cue", "cover", "act") and card.measure == "success"
        assert card_of(envs.make("ShellGameTouch-v0")).oracle.value is not None


def test_summary_of_shares_and_of_returns():
    robot, maze = (envs.make(id).card for id in ("ShellGameTouch-v0", "TMaze-v0"))
    played = [Played(4.0, 3, True), Played(1.0, 9, False)]
    assert summary("x", robot, played)[:2] == [
        "x, 2 whole episodes: share of episodes that succeed",
        "  you        0.500",
    ]
    lines = summary("x", maze, played)
    assert lines[1].split() == ["you", "2.500"]
    assert lines[-1] == "  you succeeded in 1 of 2"
    assert "no whole episode" in summary("x", maze, [])[1]


# Pictures -----------------------------------------------------------------------------


def test_half_blocks_by_hand():
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    picture = np.array([[red, red], [green, green], [blue, red]], np.uint8)
    assert pictures.half_blocks(picture) == [
        "\x1b[38;2;255;0;0;48;2;0;255;0m▀▀\x1b[0m",
        "\x1b[38;2;0;0;255;49m▀\x1b[38;2;255;0;0;49m▀\x1b[0m",
    ]


def test_pictures_fit():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    larger = pictures.fit(picture, 13, 100)
    assert larger.shape == (8, 12, 3)
    np.testing.assert_array_equal(larger[::2, ::2], picture)
    smaller = pictures.fit(picture, 3, 100)
    np.testing.assert_array_equal(smaller, picture[1::2, 1::2])


def other_target(state):
    """The ball under the next mug, once mugs have covered it."""
    position = state.world.position
    target = (state.task.target + 1) % 3
    ball = position[target].at[2].set(0.02)
    return state._replace(
        task=state.task._replace(target=target),
        world=state.world._replace(position=position.at[3].set(ball)),
    )


@pytest.mark.parametrize(
    ("id", "text", "other"),
    [
        ("TMaze-v0", "aa", lambda state: state._replace(goal=-state.goal)),
        ("ShellGameTouch-v0", "      ", other_target),
        ("ObjectPermanence-v0", "aaaaaaaaa", lambda s: s._replace(box=s.box[::-1])),
        ("RoomRecall-v0", "a" * 9, lambda s: s._replace(answer=(s.answer + 1) % 8)),
    ],
)
def test_what_is_hidden_is_not_shown(id, text, other):
    """Two answers look alike; with h they differ, and so do the words."""
    found = pressed(id, text)
    assert not found.now.over
    state = found._state
    answers = [state, other(state)]

    def seen():
        shown = []
        for answer in answers:
            found._state = answer
            shown.append((found.picture(160, 160), screen.page(found, 120, 40)))
        return shown

    (one, page), (two, other_page) = seen()
    np.testing.assert_array_equal(one, two)
    assert page == other_page
    found.press("h")
    (one, page), (two, other_page) = seen()
    assert (one != two).any() and page != other_page
    found.press("h")
    np.testing.assert_array_equal(seen()[0][0], seen()[1][0])


def test_tasks_seen_as_pictures_are_shown_as_they_are_seen():
    found = started("AutoencodeEasyPixels-v0")
    seen = np.asarray(found.observation)
    np.testing.assert_array_equal(found.picture(64, 64), seen)
    found.press("h")
    assert found.shape == (64, 24)


def test_a_picture_of_another_layout_is_left_whole():
    framed = np.asarray(draw.frame(draw.canvas(45, 60), draw.canvas(16, 60)))
    assert pictures.scene(framed).shape == (45, 60, 3)
    other = np.zeros((64, 60, 3), np.uint8)
    assert pictures.scene(other) is other


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (30, 12)])
@pytest.mark.parametrize("id", ["TMaze-v0", "ShellGameTouch-v0", "ProbeCopyBit-v0"])
def test_a_page_fits_its_terminal(id, size):
    lines = screen.page(started(id), *size)
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert len(bare) < size[1] and max(map(len, bare)) <= size[0]
    assert ("▀" in "".join(bare)) == (id != "ProbeCopyBit-v0")


# The terminal, the window, the film ---------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """The two ends of one, as standard input."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as end:
        monkeypatch.setattr(sys, "stdin", end)
        yield master, end
    os.close(master)


def test_the_terminal_is_as_it_was(terminal, capsys):
    """After the end, Ctrl-C, a signal and an error."""
    _, end = terminal
    before = termios.tcgetattr(end)
    handlers = [signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGHUP)]

    def stop(how):
        with screen.Terminal():
            assert not termios.tcgetattr(end)[3] & (termios.ICANON | termios.ECHO)
            if how == signal.SIGTERM:
                os.kill(os.getpid(), how)
            elif how is not None:
                raise how

    for how, raised in (
        *((None, None), (KeyboardInterrupt(), KeyboardInterrupt)),
        *((signal.SIGTERM, SystemExit), (RuntimeError(), RuntimeError)),
    ):
        if raised is None:
            stop(how)
        else:
            with pytest.raises(raised):
                stop(how)
        assert termios.tcgetattr(end) == before
        assert capsys.readouterr().out.endswith("\x1b[?25h\x1b[?1049l")
        now = [signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGHUP)]
        assert now == handlers


def test_a_person_plays(terminal, monkeypatch, capsys):
    master, _ = terminal
    show, typed = screen.Terminal.show, [b"a", b"\x1b[C\x1b[Aq", b"\x1b"]

    def answer(self, lines):
        show(self, lines)
        os.write(master, typed.pop(0))

    monkeypatch.setattr(screen.Terminal, "show", answer)
    found = started("TMaze-v0", length=2)
    screen.play(found)
    assert found.ended and [played.steps for played in found.played] == [3]
    assert "step 0 of 3" in capsys.readouterr().out


def fake_pygame(events):
    """As much of pygame as the window uses, with these events to come."""
    module = SimpleNamespace(QUIT=1, KEYDOWN=2, KMOD_SHIFT=3, shown=[])
    for number, name in enumerate(window._NAMES):
        setattr(module, f"K_{name}", 1000 + number)
    surface = SimpleNamespace(fill=lambda _: None, blit=lambda *_: None)
    nothing = SimpleNamespace(
        init=lambda: None,
        set_mode=lambda _: surface,
        set_caption=lambda _: None,
        flip=lambda: None,
        set_repeat=lambda *_: None,
        SysFont=lambda *_: SimpleNamespace(render=lambda *_: None),
        wait=lambda: events.pop(0),
        get=lambda: [],
        make_surface=module.shown.append,
    )
    for name in ("display", "font", "key", "event", "surfarray"):
        setattr(module, name, nothing)
    module.error, module.quit = RuntimeError, lambda: None
    return module


def test_window(monkeypatch):
    event = functools.partial(SimpleNamespace, type=2, mod=0, unicode="")
    events = [event(key=97, unicode="a"), event(key=97, unicode="")]
    module = fake_pygame(events)
    right = module.K_RIGHT
    events += [event(key=right), event(key=right, mod=1), SimpleNamespace(type=1)]
    monkeypatch.setitem(sys.modules, "pygame", module)
    found = started("TMaze-v0")
    window.play(found)
    # Right with shift is no action of a maze.
    assert found.ended and found.now.steps == 2
    wide = found.picture(640, 640)
    np.testing.assert_array_equal(module.shown[-1], np.swapaxes(wide, 0, 1))


def test_film(tmp_path, capsys):
    path = tmp_path / "played.gif"
    play(capsys, "tmaze", "length=2", "--keys", "aabra", "--film", str(path))
    with Image.open(path) as film:
        # Three steps and the end; then one step and how things stood.
        assert film.n_frames == 4 + 2
        durations = []
        for number in range(film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
    assert durations == [250, 250, 250, 1000, 250, 1000]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "say what to play"),
        ("tmase", "Did you mean 'TMaze-v0'?"),
        ("tmaze lenght=4", "Did you mean 'length'?"),
        ("tmaze length=x", "it must be a whole number"),
        ("tmaze length=0", "length of at least 1"),
        ("tmaze length", "write field=value"),
        ("tmaze length=[", "cannot be read"),
        ("remember_color3 cue=5", "it must be a tuple"),
        ("tmaze --seed x", "invalid int value"),
        ("tmaze --seed -1", "must be from 0"),
        ("tmaze --film a.png", "must end in .gif"),
        ("tmaze --film nowhere/a.gif", "there is no folder nowhere"),
        ("probe_copy_bit --film a.gif", "nothing to film"),
        ("tmaze --nosuch", "unrecognized arguments"),
        ("tmaze --window", "--window needs pygame"),
        ("take_it_back backend=mujoco", "only compiled tasks can be played"),
    ],
)
def test_mistakes_are_told_in_a_sentence(line, told, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(SystemExit) as caught:
        program.main(line.split())
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and told in error
    assert error.count("\n") == 1


def test_a_list_is_a_tuple():
    env, name = program.task_of("remember_color3", ["cue=[2,3]", "committed=false"])
    assert env == envs.make("RememberColor3-v0", cue=(2, 3), committed=False)
    assert name == "RememberColor3-v0, cue=[2,3], committed=false"


@pytest.mark.slow
@pytest.mark.parametrize("family", envs.FAMILIES, ids=lambda family: family.__name__)
def test_every_task_is_played(family):
    """Each class: one action of its own keys, with and without what is hidden."""
    from envs.catalogue import classes

    for ids in classes(family).values():
        found = Game(envs.make(ids[0]), ids[0])
        for key in keys.split("00<enter><space>"):
            found.press(key)
        assert found.now.steps > 0, ids[0]
        pages = [screen.page(found, 100, 40)]
        found.press("h")
        pages.append(screen.page(found, 100, 40))
        assert pages[0] != pages[1]
        if found.env.render is not None:
            image = np.asarray(jax.jit(found.env.render)(found._state))
            assert len(pictures.scene(image)) == draw.SCENE
