"""Events and outcomes of Melee matches, derived from states alone."""

from __future__ import annotations

import numpy as np
import pytest
from made_matches import match

from shadowbox.core.game import EVENT
from shadowbox.core.scenes.grammar import value_of
from shadowbox.games.melee import GAME
from shadowbox.games.melee.events import LANDINGS, SHIELDS, TECHS, attacks, events, outcome
from shadowbox.games.melee.names import (
    ACTIONABLE,
    ACTIONS,
    CHARACTERS,
    DYING,
    EXTERNAL,
    TECHING,
    TO_EXTERNAL,
    TO_INTERNAL,
    action,
    action_name,
)
from shadowbox.games.melee.scene import SCENE
from shadowbox.games.melee.schema import EVENTS, SCHEMA


@pytest.fixture
def still():
    """Forty rows in which both players wait and nothing happens."""
    columns = match(40).columns
    for key in ("player/percent", "player/hitstun"):
        columns[key][:] = 0
    columns["player/action"][:] = action("wait")
    columns["player/on_ground"][:] = True
    return columns


def happened(columns):
    """(kind, frame, player, other, what, value) of each event."""
    return [
        (
            EVENTS[e["kind"]],
            int(e["frame"]),
            int(e["player"]),
            int(e["other"]),
            int(e["what"]),
            float(e["value"]),
        )
        for e in events(columns)
    ]


def test_waiting_players_cause_no_events(still):
    """Rows in which nothing changes have no events."""
    assert happened(still) == []


def test_damage_is_a_hit_of_the_last_hitter(still):
    """Rising damage is a hit of the last hitter with its last attack, or of no opponent."""
    still["player/percent"][10:, 0] = 12.5
    still["player/percent"][20:, 1] = 3
    still["player/last_hit_by"][:, 0] = 1
    still["player/last_hit_by"][:, 1] = 2
    still["player/last_attack"][:, 1] = 11
    assert happened(still) == [("hit", 10, 1, 0, 11, 12.5), ("hit", 20, 1, -1, 0, 3.0)]


def test_a_stock_lost_is_a_knock_out(still):
    """A knock-out holds the damage at which the stock was lost, and belongs to the last hitter."""
    still["player/stocks"][15:, 0] = 3
    still["player/percent"][5:15, 0] = 99
    still["player/last_hit_by"][:, 0] = 1
    assert happened(still)[-1] == ("ko", 15, 1, 0, 0, 99.0)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("landing", [("land", 10, 0, -1, LANDINGS.index("landing"), 0.0)]),
        ("landing_special", [("land", 10, 0, -1, LANDINGS.index("special_landing"), 0.0)]),
        ("landing_back_air", [("land", 10, 0, -1, LANDINGS.index("aerial_landing"), 0.0)]),
        ("rebirth_wait", []),
    ],
)
def test_landings(still, state, expected):
    """A landing from the air has its kind; returning after a knock-out is not a landing."""
    still["player/on_ground"][:10, 0] = False
    still["player/action"][10:, 0] = action(state)
    assert happened(still) == expected


def test_ledge_shield_grab_and_tech(still):
    """Ledge, shield, grab and tech events come when their state begins; a grab names its holder."""
    for row, seat, state in (
        (5, 0, "ledge_catch"),
        (8, 1, "guard_on"),
        (9, 1, "guard"),
        (12, 1, "guard_stun"),
        (15, 1, "guard_reflect"),
        (18, 0, "capture_pulled_high"),
        (19, 0, "capture_wait_high"),
        (25, 1, "tech_back"),
    ):
        still["player/action"][row:, seat] = action(state)
    assert happened(still) == [
        ("ledge", 5, 0, -1, 0, 0.0),
        ("shield", 8, 1, -1, SHIELDS.index("raised"), 0.0),
        ("shield", 12, 1, -1, SHIELDS.index("hit"), 0.0),
        ("shield", 15, 1, -1, SHIELDS.index("reflected"), 0.0),
        ("grab", 18, 1, 0, 0, 0.0),
        ("tech", 25, 1, -1, TECHS.index("back"), 0.0),
    ]


def test_the_same_rows_give_the_same_events():
    """Events are a function of the rows, ordered by frame, and fit the game's declarations."""
    columns = match(300, seed=5).columns
    derived = events(columns)
    np.testing.assert_array_equal(
        derived, events({key: values.copy() for key, values in columns.items()})
    )
    assert derived.dtype == EVENT
    assert len(derived) > 10
    assert (np.diff(derived["frame"]) >= 0).all()
    for event in derived:
        names = GAME.event_whats.get(EVENTS[event["kind"]], ("",))
        assert 0 <= event["what"] < len(names)


def test_attacks_are_marked_where_they_begin(still):
    """An attack over several rows counts once, in its first row."""
    still["player/action"][10:20, 1] = action("neutral_air")
    begun = attacks(still)
    assert np.argwhere(begun).tolist() == [[10, 1]]


def test_outcome_reads_the_last_row(still):
    """The only player with stocks left has won; while both have stocks, the winner is None."""
    assert outcome(still, events(still)).winner is None
    still["player/stocks"][-1] = 0, 2
    assert outcome(still, events(still)).winner == 1


def test_numbers_of_characters_and_states():
    """External and internal numbers map to each other, and states have recorders' numbers."""
    for external, name in enumerate(EXTERNAL):
        assert TO_EXTERNAL[TO_INTERNAL[external]] == external, name
    states = {
        14: "wait",
        24: "jump_squat",
        65: "neutral_air",
        178: "guard_on",
        212: "grab",
        236: "air_dodge",
        252: "ledge_catch",
        322: "entry",
        340: "barrel_cannon_wait",
        341: "special_341",
    }
    for number, name in states.items():
        assert ACTIONS[number] == name
    assert not ACTIONABLE & DYING
    assert len(TECHS) == len(TECHING)
    assert len(SCHEMA.columns["player/action"].field.names) == 1024


def test_states_of_one_character_have_its_names():
    """Action states from 341 on have the name of their character's move, or say whose they are."""
    fox, samus, kirby = (CHARACTERS.index(name) for name in ("fox", "samus", "kirby"))
    assert action_name(360, fox) == "shine"
    assert action_name(357, samus) == "special 357 (Samus)"
    assert action_name(14, samus) == "wait"
    columns = {**SCHEMA.neutral(), "player/hurtbox": np.zeros(2, np.uint8)}
    columns["player/action"][:] = 360, 357
    columns["player/character"][:] = fox, samus
    (words,) = (entry["value"] for entry in SCENE["hud"] if entry["as"] == "word")
    texts = {value_of(SCENE, columns, words, player) for player in (0, 1)}
    assert {"shine", "special 357 (Samus)"} <= texts
    columns["player/action"][:] = 525, 14
    columns["player/character"][:] = kirby, fox
    (words,) = (entry["value"] for entry in SCENE["hud"] if entry["as"] == "word")
    texts = {value_of(SCENE, columns, words, player) for player in (0, 1)}
    assert {"special 525 (Kirby)", "wait"} <= texts


def test_a_row_fits_into_its_budget():
    """A row of both players, both pads, five items and the stage is 192 bytes."""
    assert SCHEMA.row_dtype.itemsize == SCHEMA.content_bytes == 192
    assert SCHEMA.columns["item/x"].slots >= 4
