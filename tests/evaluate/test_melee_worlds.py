"""Evaluation of worlds of Melee: the recording itself passes, and each broken one fails by its cause."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import small_melee
from small_melee import MELEE

from shadowbox.core.episode import Episode
from shadowbox.core.game import no_events
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.starts import SHORT
from shadowbox.evaluate.worlds.suite import evaluate_built

CONFIG = EvalConfig(side="all", starts=8, samples=1, frames=SHORT)
HITLAG = "player/hitlag"
KEY = ("stage/clock", "player/x", "player/percent", "player/age", "player/action", "player/hitlag")


class Recorded:
    """A world that goes on as the recordings of a store did, with rows changed by `change`."""

    schema, name = MELEE.schema, "recorded"

    def __init__(self, store, matches, change=None):
        self.matches, self.change, self.rows = matches, change, {}
        self.episodes = [store.episode(number).columns for number in range(len(store))]
        for number, columns in enumerate(self.episodes):
            for row in range(len(columns[KEY[0]])):
                self.rows[self._key(columns, row)] = number, row

    @staticmethod
    def _key(columns, row):
        return b"".join(np.ascontiguousarray(columns[key][row]).tobytes() for key in KEY)

    def reset(self, seeds, where=None):
        """Begin anyhow; `load` follows."""
        self.at = [(0, 0)] * self.matches
        return self._columns()

    def load(self, columns, where=None):
        """Find the rows in the recordings."""
        self.at = [self.rows[self._key(columns, match)] for match in range(self.matches)]
        self.start, self.frame = self._columns(), 0
        return self.start

    def step(self, controls):
        """The next recorded row, changed."""
        self.at = [(n, min(row + 1, len(self.episodes[n][KEY[0]]) - 1)) for n, row in self.at]
        self.frame += 1
        columns = self._columns()
        if self.change is not None:
            self.change(columns, self)
        return columns, no_events(), np.zeros(self.matches, bool)

    def _columns(self):
        return {
            key: np.stack([self.episodes[number][key][row] for number, row in self.at])
            for key in self.schema.state_keys
        }


def creep(columns, world):
    """Percent rises by itself, and every row names the opponent for it."""
    columns["player/percent"] += np.float32(0.5 * world.frame)
    columns["player/last_hit_by"][:] = 1, 0


def harmless(columns, world):
    """Hits do no damage."""
    columns["player/percent"][:] = world.start["player/percent"]


def immortal(columns, world):
    """Stocks come back."""
    columns["player/stocks"][:] = 4 + world.frame // 10


def stunned(columns, world):
    """Everybody is stunned every fifth frame."""
    columns["player/in_hitstun"][:] = world.frame % 5 == 0


def teleports(columns, world):
    """Everybody leaps every fifth frame."""
    if world.frame % 5 == 0:
        columns["player/x"] += 50


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store of six fights, in which a world could not go wrong."""
    return small_melee.recorded(tmp_path_factory.mktemp("melee") / "s")


@pytest.fixture(scope="module")
def judged(data):
    """A function that evaluates the recordings as a world, with a change."""

    @cache
    def evaluate(change=None):
        return evaluate_built(lambda n: Recorded(data, n, change), "recorded", data, MELEE, CONFIG)

    return evaluate


def reasons(result):
    """Reasons of the parts of the gate that failed, by part."""
    return {stage.name: " ".join(stage.why) for stage in result.stages if not stage.passed}


def test_the_recording_passes(judged):
    """Nothing that a match cannot hold, no contradiction, every hit, full skill in every field."""
    result = judged()
    assert not {"violations", "skill", "couplings", "events", "guards"} & reasons(result).keys()
    figures = {name: figure.value.value for name, figure in result.report().figures.items()}
    assert figures["hit_f1_1"] == figures["hit_f1_20"] == 1.0
    assert figures["phantom_damage_ratio"] == 0.0
    assert figures["skill/player/x@20"] == 1.0


@pytest.mark.parametrize(
    ("change", "part", "reason"),
    [
        (creep, "couplings", "damage without hit"),
        (harmless, "couplings", "hit without damage"),
        (harmless, "events", "F1 of hits"),
        (immortal, "violations", "stock_gained"),
        (immortal, "couplings", "stock gained"),
        (stunned, "couplings", "stun without hit"),
        (teleports, "couplings", "leap"),
    ],
)
def test_a_broken_world_fails_by_what_it_breaks(judged, change, part, reason):
    """Each change is found by the part of the gate that names it, beside the recorded rate."""
    found = reasons(judged(change))
    assert reason in found[part]
    if part == "couplings":
        assert "in recordings" in found[part]


def test_recordings_without_all_columns_are_left_out(data, tmp_path):
    """Zeros of a column that an old recording lacks are no truth that a world is compared with."""

    def without_hitlag(name, wanted):
        with Writer(tmp_path / name, MELEE.schema, event_kinds=MELEE.event_kinds) as writer:
            for number, lacks in enumerate(wanted):
                made, zeros = data.episode(number), np.zeros_like(data.episode(0).columns[HITLAG])
                columns = {**made.columns, HITLAG: zeros} if lacks else made.columns
                absent = frozenset({HITLAG} if lacks else ())
                writer.add(Episode(columns, made.meta, made.events, absent))
        return Store(tmp_path / name)

    some = without_hitlag("some", (False, True, True, False))
    result = evaluate_built(lambda n: Recorded(some, n), "recorded", some, MELEE, CONFIG)
    facts = result.found.facts
    assert (facts["episodes"], facts["episodes_without_all_columns"]) == (2, 2)
    assert set(result.found.starts.episodes.tolist()) == {0, 3}
    few = without_hitlag("few", (False, True))
    with pytest.raises(UsageError, match=r"of which 1 have all of player/hitlag"):
        evaluate_built(lambda n: Recorded(few, n), "recorded", few, MELEE, CONFIG)
