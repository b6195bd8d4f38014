"""Profile of a person: changes while playing are kept, and files of others are checked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.errors import UsageError
from shadowbox.games.gesture.controller import KEYS, _Settings, thresholds
from shadowbox.games.gesture.live import _KeysPolicy, _LiveLoop
from shadowbox.games.gesture.mcctp_bridge import _Bridge
from shadowbox.games.gesture.profile import (
    _Profile,
    profile_path,
    read_profile,
    with_calibration,
    write_profile,
)
from shadowbox.games.gesture.sources import _SyntheticSource

GOOD = {"version": 1, "threshold": 0.45, "thresholds": {"jump": 0.6}, "look_speed": 280.0}


def loop(**options):
    """Loop that is never run."""
    policy = _KeysPolicy(lambda number: {})
    return _LiveLoop(
        _SyntheticSource(lambda: None), policy, _Bridge("ws://127.0.0.1:1/"), **options
    )


def test_changes_while_playing_are_there_at_the_next_start(tmp_path):
    """Thresholds, one key's threshold and the look are saved at each change, and read again."""
    path = tmp_path / "people" / "ann.json"
    saved = []

    def save(profile):
        saved.append(profile)
        write_profile(path, profile)

    first = loop(profile=read_profile(path), save=save)
    for name, by in (("threshold", -0.1), ("look", 40), ("threshold/jump", 0.2), ("other", 1)):
        first.change(name, by)
    assert len(saved) == 3
    second = loop(profile=read_profile(path))
    assert second.settings == first.settings
    assert second.settings.look_speed == 340
    limits = dict(zip(KEYS, thresholds(second.settings), strict=True))
    assert limits["jump"] == pytest.approx(0.6)
    assert limits["sneak"] == pytest.approx(0.4)


def test_a_calibration_is_kept_in_the_profile(tmp_path):
    """It says in live play which gestures look alike, stays when a setting changes, and is checked."""
    path = tmp_path / "ann.json"
    pair = {"gesture": "walk", "with": "run", "share": 0.5}
    result = {"clear": 0.9412, "confused": [pair], "missing": [], "shares": {"walk": {"run": 0.5}}}
    write_profile(path, with_calibration(read_profile(path), result))
    played = loop(profile=read_profile(path), save=lambda profile: write_profile(path, profile))
    played.change("look", 40)
    again = read_profile(path)
    assert (again.look_speed, again.calibration["confused"]) == (340, [pair])
    assert "shares" not in again.calibration
    assert played.snapshot()["calibration"] == "calibration: 94 % clear; walk looks like run"
    path.write_text(json.dumps({**GOOD, "calibration": {"confused": [{"gesture": 3}]}}))
    with pytest.raises(UsageError, match=r"calibration\.confused"):
        read_profile(path)


def test_a_profile_moves_the_thresholds_of_a_checkpoint():
    """Calibrated thresholds move with the person's, and a threshold of one key replaces them."""
    trained = _Settings(thresholds={"jump": 0.3, "sneak": 0.7, "attack": 0.06})
    profile = _Profile(threshold=0.4, thresholds={"sneak": 0.2, "looking": 0.8})
    played = profile.apply(trained)
    assert played.thresholds["jump"] == pytest.approx(0.2)
    assert played.thresholds["sneak"] == 0.2
    assert played.thresholds["attack"] == 0.05
    assert played.look_gate == 0.8
    assert _Profile().apply(trained) == trained


def test_a_profile_that_cannot_be_saved_does_not_end_the_game():
    """A full disk is a problem on the display, and the change counts."""

    def save(profile):
        raise OSError(28, "No space left on device")

    playing = loop(save=save)
    playing.change("look", 20)
    assert playing.settings.look_speed == 320
    assert "not saved" in playing.snapshot()["problems"][-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold": float("nan")}, "threshold must be finite"),
        ({"threshold": 2}, r"threshold is 2, expected 0.05 to 0.95"),
        ({"threshold": True}, "threshold"),
        ({"look_speed": 1e9}, "look_speed is 1e"),
        ({"look_speed": None}, "look_speed"),
        ({"thresholds": {"fly": 0.5}}, "thresholds has 'fly'"),
        ({"thresholds": {"jump": -1}}, "thresholds.jump is -1"),
        ({"thresholds": ["jump"]}, "thresholds"),
        ({"version": 9}, "version is 9, expected 1"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_wrong_profiles_are_named(tmp_path, change, words):
    """A wrong type, name, range, version or key is refused with the file and the place."""
    path = tmp_path / "bob.json"
    path.write_text(json.dumps({**GOOD, **change}), encoding="utf-8")
    with pytest.raises(UsageError, match=words) as error:
        read_profile(path)
    assert "bob.json" in str(error.value)


@given(data=st.binary(max_size=80))
@settings(max_examples=40, deadline=None)
def test_any_file_is_a_profile_or_an_error(tmp_path_factory, data):
    """Damaged and hostile files are refused, and nothing else happens."""
    path = tmp_path_factory.mktemp("profiles") / "x.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"x\.json"):
        read_profile(path)


@given(
    threshold=st.floats(0.05, 0.95),
    look=st.floats(20, 600),
    changes=st.lists(
        st.tuples(
            st.sampled_from(["threshold", "look", "threshold/jump", "threshold/looking"]),
            st.floats(-900, 900),
        ),
        max_size=6,
    ),
)
@settings(max_examples=30, deadline=None)
def test_every_change_leaves_a_profile_that_can_be_read(tmp_path_factory, threshold, look, changes):
    """Whatever is changed, thresholds and the look stay in their ranges, and a file holds them all."""
    profile, path = (
        _Profile(threshold=threshold, look_speed=look),
        tmp_path_factory.mktemp("profiles") / "y.json",
    )
    for name, by in changes:
        profile = profile.changed(name, by, profile.apply(_Settings()))
    write_profile(path, profile)
    assert read_profile(path) == profile
    limits = thresholds(profile.apply(_Settings()))
    assert np.all((limits >= 0.05) & (limits <= 0.95))


def test_names_of_profiles_cannot_leave_their_folder(monkeypatch, tmp_path):
    """A name is a file in the user's data folder; a name with a slash is refused."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert profile_path("ann") == tmp_path / "shadowbox" / "profiles" / "ann.json"
    assert profile_path("here/ann.json").name == "ann.json"
    for name in ("../ann", "", "a/b", "x" * 65):
        with pytest.raises(UsageError, match="expected a name"):
            profile_path(name)
    assert read_profile(profile_path("ann")) == _Profile()
