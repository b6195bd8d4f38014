"""Frames that another system has encoded: read by their declared layout, refused on a mismatch."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_matches import match

from shadowbox.cli import shadowbox
from shadowbox.core.episode import check
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError
from shadowbox.games.melee import GAME
from shadowbox.games.melee.encodings import encoding
from shadowbox.games.melee.legacy import SWITCHES
from shadowbox.games.melee.replay import read
from shadowbox.games.melee.schema import SCHEMA

LAYOUTS = {
    "v2": (False, False, False, False),
    "v2-embed": (True, False, False, False),
    "v3": (True, True, True, False),
    "v3-projectiles": (True, True, True, True),
}


def encoded(path, name, games, **changes):
    """File as the older system writes it: rows hold the inputs that led to their state."""
    made, floats, ints = encoding(name), [], []
    for game in games:
        columns = dict(game.columns)
        for key in SCHEMA.control_keys:
            columns[key] = np.concatenate([np.zeros_like(columns[key][:1]), columns[key][:-1]])
        one = made.encode(columns)
        floats.append(one[0])
        ints.append(one[1])
    lengths = [len(game) for game in floats]
    data = {
        "floats": torch.from_numpy(np.concatenate(floats)),
        "ints": torch.from_numpy(np.concatenate(ints)),
        "game_offsets": torch.tensor([0, *np.cumsum(lengths).tolist()]),
        "num_games": len(games),
        "encoding_config": {
            **dict(zip(SWITCHES, LAYOUTS[name], strict=True)),
            "press_events": False,
            "xy_scale": 0.05,
        },
    }
    torch.save({**data, **changes}, path)
    return path


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_comes_back(tmp_path, name):
    """The columns of a layout come back aligned by our rule, and all others are absent."""
    games = [match(80, seed=seed) for seed in range(3)]
    episodes = list(read(encoded(tmp_path / "games.pt", name, games), "games.pt"))
    assert [episode.frames for episode in episodes] == [80, 80, 80]
    for ours, theirs in zip(games, episodes, strict=True):
        check(theirs, SCHEMA, "encoded", GAME.event_kinds)
        assert {"item/alive", "stage/clock", "player/instance", "pad/start"} <= theirs.absent
        assert ("player/in_hitstun" in theirs.absent) == (name in ("v2", "v2-embed"))
        for key in SCHEMA.columns.keys() - theirs.absent:
            expected = ours.columns[key].astype(np.float64)
            if key == "pad/l_push":
                expected = np.maximum(expected, ours.columns["pad/r_push"])
            np.testing.assert_allclose(
                theirs.columns[key], expected, atol=2e-3, rtol=1e-4, err_msg=key
            )


def test_a_layout_is_never_guessed_from_the_width(tmp_path):
    """A file as wide as another layout than its configuration declares is refused."""
    games = [match(40)]
    wrong = dict(zip(SWITCHES, LAYOUTS["v2"], strict=True))
    path = encoded(tmp_path / "games.pt", "v3", games, encoding_config=wrong)
    with pytest.raises(
        RecordingError, match=r"'floats' must be 58 wide by its encoding_config \(got 138\)"
    ):
        list(read(path, "games.pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoding_config": {}},
            r"state_age_as_embed must be true or false \(got None\)",
        ),
        ({"encoding_config": None}, "the file has no encoding_config"),
        ({"encoding_config": {**dict.fromkeys(SWITCHES, False), "hitboxes": True}}, "'hitboxes'"),
        ({"game_offsets": torch.tensor([5, 2])}, "game_offsets must rise from 0"),
        ({"num_games": 7}, "num_games is 7, and game_offsets has 1 games"),
        ({"floats": [1, 2]}, "'floats' must be a tensor of two dimensions"),
    ],
)
def test_contradictions_in_a_file_are_named(tmp_path, changes, message):
    """Missing and contradictory parts of a file are refused by name."""
    path = encoded(tmp_path / "games.pt", "v2", [match(40)], **changes)
    with pytest.raises(RecordingError, match=message):
        list(read(path, "games.pt"))


def test_nothing_of_a_file_is_executed(tmp_path):
    """A file without tensors, or with code to run, is refused."""
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RecordingError, match="cannot be loaded"):
        list(read(bad, "bad.pt"))


def test_ingest_accepts_encoded_files(tmp_path):
    """`ingest melee FILE.pt` stores the intact games of a file and rejects the broken one."""
    games = [match(60, seed=seed) for seed in range(3)]
    path = encoded(tmp_path / "games.pt", "v3", games)
    data = torch.load(path, weights_only=True)
    data["floats"][70, 1] = float("nan")  # in the second game
    torch.save(data, path)
    answer = CliRunner().invoke(
        shadowbox, ["ingest", "melee", str(path), "--out", str(tmp_path / "store"), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert (facts["files"], facts["accepted"], facts["episodes"]) == (1, 1, 2)
    (rejected,) = facts["rejected"]
    assert "part 1" in rejected["reason"]
    assert "player/x" in rejected["reason"]
    assert len(Store(tmp_path / "store", SCHEMA)) == 2
