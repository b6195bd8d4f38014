"""World of the place: a simulated person plays it, and an agent turns the person's body into controls.

The state is a row of the schema: the landmarks of the person, who sees the place and means keys, and
the game's state one frame ago. The agent's controls go through the bridge's hands into the mock of
MCCTP, so the score of a match is that of the person with this agent in between: a closed loop.

    shadowbox match gesture --world py:shadowbox.games.gesture.place.world:place_world --p0 SPEC
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from shadowbox.core.game import no_events, stable_hash
from shadowbox.core.schema import Array, Columns
from shadowbox.core.view import mirrored
from shadowbox.games.gesture.body import RANGES, person
from shadowbox.games.gesture.controller import KEYS, _Controls
from shadowbox.games.gesture.features import _FeatureStream
from shadowbox.games.gesture.game_fields import game_columns, game_fields
from shadowbox.games.gesture.mcctp_bridge import _BridgeSettings, _Hands
from shadowbox.games.gesture.mcctp_messages import game_state
from shadowbox.games.gesture.place.course import TICKS
from shadowbox.games.gesture.place.person import _SyntheticPlayer
from shadowbox.games.gesture.place.server import _MockServer
from shadowbox.games.gesture.schema import FPS, FULL_TURN_RATE, SCHEMA
from shadowbox.games.gesture.sources import frame_landmarks


def place_world(matches: int, people: str = "train", seconds: float = 180) -> _PlaceWorld:
    """World of N matches, each with a person of the range `people` of games/gesture/body.py.

    A match ends with the course, or after `seconds`.
    """
    return _PlaceWorld(matches, people, seconds)


class _Match:
    """One match: the mock, the person in front of it, and the hands between."""

    def __init__(self, seed: int, people: str, seconds: float) -> None:
        self.mock = _MockServer(seed)
        self.mock.place.longest = round(seconds * TICKS)
        who = person(stable_hash("place", seed), 0, people)
        self.left_handed = who.left_handed
        self.player = _SyntheticPlayer(self.mock, who, seed)
        self.hands, self.stream = _Hands(_BridgeSettings()), _FeatureStream()
        self.frame = 0
        self.columns = self._seen()

    @property
    def done(self) -> bool:
        return self.mock.place.done

    def step(self, pressed: Columns) -> None:
        """Press the controls [1, 1] for a frame; the game's ticks that fall into it follow."""
        place = self.mock.place
        controls = _controls(self._mirrored(pressed))._replace(screen=place.screen)
        for message in self.hands.messages(controls, self.frame / FPS, place.slot, place.screen):
            self.mock.answer(message)
        ticks = self.frame * TICKS // FPS
        self.frame += 1
        for _ in range(self.frame * TICKS // FPS - ticks):
            self.mock.step()
        self.columns = self._seen()

    def _seen(self) -> Columns:
        """State columns [1, slots] of this frame."""
        self.stream.see(frame_landmarks(self.player.pose(), self.frame / FPS))
        self.stream.know(game_columns(game_fields(game_state(self.mock.state()))))
        return self._mirrored(self.stream.row())

    def _mirrored(self, columns: Columns) -> Columns:
        """Columns as in recordings, in which the right hand is the better one."""
        return mirrored(SCHEMA, columns) if self.left_handed else columns


class _PlaceWorld:
    """N matches of the place."""

    schema = SCHEMA

    def __init__(self, matches: int, people: str, seconds: float) -> None:
        if people not in RANGES:
            raise ValueError(f"people must be {' or '.join(RANGES)} (got '{people}')")
        self.matches, self.people, self.seconds = matches, people, seconds
        self.name = f"gesture:place@people={people}"
        self._played: list[_Match | None] = [None] * matches

    def reset(self, seeds: Array, where: Array | None = None) -> Columns:
        """Begin the matches in the mask `where` [N] from `seeds` [N]."""
        for at in _chosen(where, self.matches):
            self._played[at] = _Match(int(seeds[at]), self.people, self.seconds)
        return self._columns()

    def step(self, controls: Columns) -> tuple[Columns, Array, Array]:
        """Press the controls [N, 1] for a frame; the place emits no events."""
        for at, match in enumerate(self._begun):
            if not match.done:
                match.step({key: controls[key][[at]] for key in SCHEMA.control_keys})
        return self._columns(), no_events(), np.array([match.done for match in self._begun])

    def snapshot(self, where: Array | None = None) -> Any:
        """Copies of the chosen matches."""
        begun = self._begun
        return [copy.deepcopy(begun[at]) for at in _chosen(where, self.matches)]

    def restore(self, snapshot: Any, where: Array | None = None) -> Columns:
        """Put a snapshot into equally many matches."""
        for at, match in zip(_chosen(where, self.matches), snapshot, strict=True):
            self._played[at] = copy.deepcopy(match)
        return self._columns()

    def results(self) -> list[dict[str, Any]]:
        """Score of each match: seconds, tasks, wrong turns, hits."""
        return [match.mock.place.results() for match in self._begun]

    @property
    def _begun(self) -> Sequence[_Match]:
        return [match for match in self._played if match is not None]

    def _columns(self) -> Columns:
        neutral = SCHEMA.neutral(self.matches)
        rows = [match.columns for match in self._begun]
        return neutral | {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def _controls(columns: Columns) -> _Controls:
    """Controls of a match from columns of the schema [1, 1]."""
    values = {key.partition("/")[2]: columns[key][0, 0] for key in SCHEMA.control_keys}
    look = np.array([values["look_yaw"], values["look_pitch"]], float) * FULL_TURN_RATE
    return _Controls(
        np.array([bool(values[name]) for name in KEYS]),
        look * bool(values["looking"]),
        int(values["hotbar"]),
        np.array([values["cursor_x"], values["cursor_y"]], float),
        False,
    )


def _chosen(where: Array | None, matches: int) -> list[int]:
    return list(range(matches)) if where is None else np.flatnonzero(where).tolist()
