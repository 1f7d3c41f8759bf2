"""Ballet: dancers dance one after the other; go to the one who danced what is named."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition, computed, exact, float_dtype
from envs.object_recall import ballet_cast, ballet_images, ballet_returns
from envs.object_recall.ballet_cast import CENTRE, DANCE_STEPS, SLOTS, Cast
from envs.object_recall.ballet_images import ROOM, SLOT_COLUMNS, SLOT_ROWS

_MOST = 1_000_000
_MOST_LISTED = 100_000
_REACH = ballet_images.VIEW // 2
_KINDS = (ballet_cast.COLOURS + 2, ballet_cast.SHAPES + 2, 9 + 2)
Observation = dict[str, Array]


class BalletState(NamedTuple):
    """Where the agent is and who dances what.

    Attributes:
        time: steps taken.
        row, column: the agent's square, from 0 within the walls.
        cast: who dances what, where and when.
    """

    time: Int[Array, ""]
    row: Int[Array, ""]
    column: Int[Array, ""]
    cast: Cast


@dataclasses.dataclass(frozen=True)
class Ballet(Environment):
    """Name the dancer by the dance (Lampinen et al. 2021, HCAM).

    A room of 9 by 9 squares with the agent in the middle and dancers in some of the
    eight places around it. One after the other, with a pause between, they dance 16
    moves each within their own 3 by 3 squares; meanwhile the agent watches, and its
    actions have no effect. Then a dance is named, and the agent walks to a dancer by
    king's moves (a move into a wall is none). The first one reached ends the episode
    and pays 1 if the named dance was its own, else 0. Nothing else pays or costs.

    The clock is that of the released code. The first move is made before the first
    observation. A dance's last move is seen `delay` observations before the next
    one's first, so dances begin every 15 + delay steps, and after the same time from
    the beginning of the last one the dance is named. The action that leads to that
    observation was still chosen while watching and has no effect either. The released
    images are float32 from 0 to 1 and its words are strings; here images are uint8 and
    words numbers.

    Observations: `language`, 0 watch or 1 + the dance named, and with `pixels` the
    `image`, 99 by 99 pixels with the agent in the middle. Without, `symbols` says the
    same: row and column of the agent, then of the eight places in reading order the
    dancers' colours, shapes and squares among the 3 by 3, each 0 where the place is
    out of view, 1 where nobody is, else counted from 2. An image tells the agent's
    square by the walls, two of which are always in view. Nothing on show tells the
    turns to come or who will be asked for. Actions: 0 to 7, north and on clockwise;
    none stays, as in the original's specification.

    `split` keeps combinations of dance, colour and shape from training; see
    `envs.object_recall.ballet_cast`. With `episodes` only so many are ever played, the
    same in every run. A table from scenes to answers then does instead of a memory,
    and what is learnt need not carry over: train on a list and evaluate without one.

    Attributes:
        dancers: how many.
        delay: pause between dances.
        max_steps: when the episode is truncated, watching included.
        pixels: whether the agent sees images.
        split: which episodes there are: 'all', 'train' or 'held_out'.
        episodes: length of a fixed list to draw from; 0 for no list.
    """

    dancers: int = 2
    delay: int = 16
    max_steps: int = 320
    pixels: bool = True
    split: str = "all"
    episodes: int = 0

    def __post_init__(self) -> None:
        way = f": {self._watching} to watch the dances, three to a dancer"
        for name, least, most, why in (
            ("dancers", 1, SLOTS, ", the places in the room"),
            ("delay", 1, _MOST, "; after a pause of 0 the original never goes on"),
            ("max_steps", self._watching + 3, 10 * _MOST, way),
            ("episodes", 0, _MOST_LISTED, ""),
        ):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(
                    f"Ballet needs {name} of at least {least:,} and at most {most:,}, "
                    f"not {value}{why}."
                )
        if self.split not in ballet_cast.SPLITS:
            raise ValueError(
                f"Ballet has the splits {', '.join(ballet_cast.SPLITS)}, not "
                f"{self.split!r}; they say which combinations of dance and look occur."
            )

    @property
    def _period(self) -> int:
        """Steps from the first move of a dance to that of the next."""
        return DANCE_STEPS - 1 + self.delay

    @property
    def _watching(self) -> int:
        """Steps before the dance is named."""
        return self.dancers * self._period

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, BalletState]:
        """Draw the cast; the first dancer has made a move."""
        if self.episodes:
            index = jax.random.randint(key, (), 0, self.episodes, jnp.int32)
            cast = ballet_returns.listed_episode(index, self.dancers, self.split)
        else:
            cast = ballet_cast.draw(key, self.dancers, self.split)
        middle = jnp.asarray(ROOM // 2, jnp.int32)
        state = BalletState(jnp.zeros((), jnp.int32), middle, middle, cast)
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: BalletState, action: Int[Array, ""]
    ) -> Transition:
        """Watch, or walk."""
        del key
        choosing = state.time >= self._watching
        move = jnp.asarray(ballet_cast.MOVES)[action]
        row, column = state.row + move[0], state.column + move[1]
        inside = (jnp.minimum(row, column) >= 0) & (jnp.maximum(row, column) < ROOM)
        walks = choosing & inside
        row = jnp.where(walks, row, state.row)
        column = jnp.where(walks, column, state.column)
        after = BalletState(state.time + 1, row, column, state.cast)
        here = (row == SLOT_ROWS) & (column == SLOT_COLUMNS)
        terminated = (here & self._on_stage(after)).any()
        success = (here & (state.cast.target == _INDEX)).any()
        truncated = (after.time >= self.max_steps) & ~terminated
        info = {
            "success": success,
            "phase": choosing.astype(jnp.int32),
            "decision": terminated,
        }
        reward = success.astype(float_dtype())
        return self._observe(after), after, reward, terminated, truncated, info

    def _on_stage(self, state: BalletState) -> Bool[Array, "8"]:
        """In which places there are dancers."""
        return state.cast.turn < self.dancers

    def _places(self, state: BalletState) -> Int[Array, "8"]:
        """Where in their 3 by 3 squares the dancers are."""
        turn, moment = state.time // self._period, state.time % self._period
        dancing = state.cast.turn == turn.astype(jnp.int8)
        dance = jnp.where(dancing, state.cast.dance, 0).max()
        moves = jnp.minimum(moment + 1, DANCE_STEPS)
        place = jnp.asarray(ballet_cast.PLACES)[dance.astype(jnp.int32), moves]
        dancing &= turn < self.dancers
        return jnp.where(dancing, place, CENTRE).astype(jnp.int32)

    def _observe(self, state: BalletState) -> Observation:
        cast = state.cast
        asked = jnp.where(cast.target == _INDEX, cast.dance, 0).max()
        named = jnp.where(state.time < self._watching, 0, asked.astype(jnp.int32) + 1)
        look = self._image(state) if self.pixels else self._symbols(state)
        return {"language": named, "image" if self.pixels else "symbols": look}

    def _symbols(self, state: BalletState) -> Int[Array, "26"]:
        across = jnp.maximum(
            jnp.abs(SLOT_ROWS - state.row), jnp.abs(SLOT_COLUMNS - state.column)
        )
        nobody = jnp.where(across <= _REACH, 1, 0)
        seen = (nobody == 1) & self._on_stage(state)
        parts = (state.cast.colour, state.cast.shape, self._places(state))
        symbols = [jnp.where(seen, x.astype(jnp.int32) + 2, nobody) for x in parts]
        return jnp.concatenate([jnp.stack([state.row, state.column]), *symbols])

    def _squares(
        self, state: BalletState
    ) -> tuple[Int[Array, "8"], Int[Array, "8"], Int[Array, "8"]]:
        """Rows, columns and looks of the dancers; of nobody, rows far outside."""
        place = self._places(state)
        rows = jnp.where(self._on_stage(state), SLOT_ROWS - 1 + place // 3, 2 * ROOM)
        shape, colour = (x.astype(jnp.int32) for x in state.cast[3:1:-1])
        columns = jnp.asarray(SLOT_COLUMNS) - 1 + place % 3
        return rows, columns, shape * ballet_cast.COLOURS + colour

    def _image(self, state: BalletState) -> UInt8[Array, "99 99 3"]:
        return ballet_images.frame(state.row, state.column, *self._squares(state))

    def oracle(self, key: PRNGKeyArray, state: BalletState) -> Int[Array, ""]:
        """The shortest way to the right dancer around all others."""
        del key
        ways = jnp.asarray(ballet_returns.ways())
        return ways[state.cast.target.astype(jnp.int32), state.row, state.column]

    def hidden(self, state: BalletState) -> dict[str, tuple[Array, Array]]:
        """The place of the dancer asked for and the steps since it was last dancing.

        Before it dances -1.
        """
        target = state.cast.target.astype(jnp.int32)
        turn = jnp.where(state.cast.target == _INDEX, state.cast.turn, 0).max()
        since = state.time - turn.astype(jnp.int32) * self._period
        ended = jnp.maximum(since - (DANCE_STEPS - 1), 0)
        return {"target": (target, jnp.where(since < 0, -1, ended))}

    def render(self, state: BalletState) -> UInt8[Array, "64 width 3"]:
        """The room, lighter when the agent may walk; in the strip who is asked for."""
        return ballet_images.picture(
            (state.row, state.column),
            self._squares(state),
            state.cast.target.astype(jnp.int32),
            state.time >= self._watching,
        )

    @property
    def observation_space(self) -> spaces.Space:
        """What is said and what is seen."""
        language = spaces.Discrete(len(ballet_cast.DANCES) + 1)
        if self.pixels:
            image = spaces.Box(0, 255, (99, 99, 3), np.uint8)
            return spaces.Dict({"image": image, "language": language})
        kinds = [kind for kind in _KINDS for _ in range(SLOTS)]
        symbols = spaces.MultiDiscrete([ROOM, ROOM, *kinds])
        return spaces.Dict({"language": language, "symbols": symbols})

    @property
    def action_space(self) -> spaces.Discrete:
        """North and on clockwise."""
        return spaces.Discrete(len(ballet_cast.MOVES))

    @property
    def card(self) -> Card:
        """Who danced what, until one dance is named.

        Nothing seen after the dances tells who danced what: whatever a policy without
        memory does, the dancer it reaches is each of them with the same chance, and
        what it did while watching is nowhere to be seen. That is different for a list
        of episodes, whose scenes can be told apart.
        """
        walk = self.max_steps - self._watching
        memoryless = exact(1 / self.dancers, "to any dancer")
        if self.episodes:
            value = ballet_returns.by_heart(self.dancers, self.split, self.episodes)
            memoryless = computed(value, "the answers by heart, by the scene")
        # From the end of the last dance to the first step of the way; from that of
        # the first one to the third.
        horizon = (self.delay, self._watching + 2 - (DANCE_STEPS - 1))
        needed = memoryless.value != 1
        return Card(
            memory="object" if needed else "none",
            paper='Lampinen et al. 2021, "Towards mental time travel"',
            horizon=horizon if needed else (0, 0),
            truncates=True,
            floor=computed(
                ballet_returns.random_return(
                    self.dancers, walk, self.split, self.episodes
                ),
                "a random walk, over all stages",
            ),
            memoryless=memoryless,
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self.max_steps,
            phases=("watch", "choose"),
            actions=ballet_cast.DIRECTIONS,
        )


_INDEX = np.arange(SLOTS, dtype=np.int8)
