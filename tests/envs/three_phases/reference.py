"""The three-phase tasks in plain Python, square by square, from the released code."""

import math

import numpy as np

ROWS, COLUMNS = 7, 11
STEPS = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}  # north, south, west, east
THOUSANDTHS = {
    "agent": (898, 584, 430),
    "wall": (100, 100, 100),
    "floor": (800, 800, 800),
    "key": (627, 321, 176),
    "door": (529, 808, 922),
    "apple": (550, 700, 0),
    "sign": (1000, 1000, 1000),
    "red": (1000, 0, 0),
    "green": (0, 1000, 0),
    "blue": (0, 0, 1000),
}
RGB = {name: [c * 255 // 1000 for c in rgb] for name, rgb in THOUSANDTHS.items()}
COLOURS = ("red", "green", "blue")
PADS = ((1, 2), (1, 5), (1, 8))
DOOR, SIGN = (1, 5), (0, 5)
TREES = [
    (r, c) for r in range(1, 6) for c in range(1, 10) if (r + c) % 2 == 0
]  # and the start, where none grows
TREES.remove((5, 5))


def box(top, left, bottom, right):
    """The squares of the border of a rectangle."""
    return {
        (r, c)
        for r in range(top, bottom + 1)
        for c in range(left, right + 1)
        if r in (top, bottom) or c in (left, right)
    }


TWO_ROOMS = box(0, 2, 6, 8) | {(3, 3), (3, 7)}
CLOSET = box(1, 4, 3, 6)
ORCHARD = box(0, 0, 6, 10)
PAD_ROOM = (box(0, 0, 4, 10) - {(4, 4), (4, 5), (4, 6)}) | {(5, 3), (5, 7)}
PAD_ROOM |= {(6, c) for c in range(3, 8)}
DOOR_ROOM = box(1, 3, 5, 7) - {DOOR}
LOWER_ROOM = [(r, c) for r in (4, 5) for c in range(3, 8)]
UPPER_ROOM = [(r, c) for r in (1, 2) for c in range(3, 8)]


class Reference:
    """One episode, from what was drawn for it."""

    def __init__(self, env, trees, start, pay, *, cue=None, key=None):
        """`cue`: its square, its colour and the colours of the pads, as numbers."""
        self.env, self.trees, self.pay = env, trees, pay
        self.cue, self.key = cue, key
        self.time, self.frame, self.phase = 0, 0, 0
        self.has_key = self.opened = self.had_key = False
        self.chosen = None
        self.sign_frame = None
        self.place = start
        self.last_seen = None
        self.key_since = 0
        self.note_cue()

    def note_cue(self):
        if self.cue and self.phase == 0 and self.near(self.cue[0]):
            self.last_seen = self.time

    def near(self, square):
        return max(abs(a - b) for a, b in zip(square, self.place, strict=True)) <= 2

    def walls(self):
        if self.phase == 1:
            return ORCHARD
        if self.cue:
            first = TWO_ROOMS if self.env.active else CLOSET
            return PAD_ROOM if self.phase else first
        if self.phase == 0:
            return TWO_ROOMS
        return DOOR_ROOM if self.had_key else DOOR_ROOM | {DOOR}

    def enter(self, phase):
        self.phase, self.frame = phase, 0
        if phase == 1:
            self.place = (5, 5)
            self.ripe = set(self.trees)
            self.eaten = {tree: math.inf for tree in self.trees}
        else:
            self.place = (5, 5) if self.cue else (3, 5)

    def step(self, action):
        """What the step pays for apples, what else, and whether that was the last."""
        self.frame += 1
        self.time += 1
        moved = tuple(a + b for a, b in zip(self.place, STEPS[action], strict=True))
        on_board = 0 <= moved[0] < ROWS and 0 <= moved[1] < COLUMNS
        if on_board and moved not in self.walls():
            self.place = moved
        apples = final = 0
        if self.phase == 0 and self.key and not self.had_key and self.place == self.key:
            self.has_key = self.had_key = True
            self.sign_frame, self.key_since = self.frame, self.time
        elif self.phase == 1:
            apples = self.orchard()
        elif self.phase == 2 and self.cue and self.chosen is None:
            if self.place in PADS:
                self.chosen = self.cue[2][PADS.index(self.place)]
                final = self.env.final_reward * (self.chosen == self.cue[1])
        elif self.phase == 2 and self.has_key and self.place == DOOR:
            final, self.has_key, self.opened = self.env.final_reward, False, True
            self.key_since = self.time
        lengths = self.env.explore, self.env.distractor, self.env.reward
        while self.phase < 2 and self.frame >= lengths[self.phase]:
            self.enter(self.phase + 1)
        self.note_cue()
        return apples, final, self.phase == 2 and self.frame >= lengths[2]

    def orchard(self):
        pay = 0
        if self.place in self.ripe:
            self.ripe.remove(self.place)
            self.eaten[self.place] = self.frame
            pay = self.pay
        if self.env.respawn:
            for tree, frame in self.eaten.items():
                if self.frame > frame + self.env.respawn:
                    self.ripe.add(tree)
        return pay

    def success(self):
        return self.opened or (self.cue is not None and self.chosen == self.cue[1])

    def shows(self, square, walls):
        """What is seen at a square."""
        if square == self.place:
            if self.key and self.phase == 2 and square == DOOR:
                return "door"
            if not self.env.partial_obs and (self.cue or self.has_key):
                return COLOURS[self.cue[1]] if self.cue else "key"
            return "agent"
        if self.cue and self.phase == 0 and square == self.cue[0]:
            return COLOURS[self.cue[1]]
        if self.phase == 0 and self.key:
            if square == self.key and not self.had_key:
                return "key"
            if square == SIGN and self.frame and self.frame == self.sign_frame:
                return "sign"
        if self.phase == 1 and square in self.ripe:
            return "apple"
        if self.phase == 2:
            if self.key and square == DOOR:
                return "door"
            if self.cue and self.chosen is None and square in PADS:
                return COLOURS[self.cue[2][PADS.index(square)]]
        return "wall" if square in walls else "floor"

    def window(self):
        row, column = self.place
        walls = self.walls()
        return np.array(
            [
                [RGB[self.shows((r, c), walls)] for c in range(column - 2, column + 3)]
                for r in range(row - 2, row + 3)
            ],
            np.uint8,
        )
