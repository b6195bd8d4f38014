"""Frames that were encoded elsewhere: taken by their declared layout, refused where it does not fit."""

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
    """A file as the older system writes it: rows hold the inputs that led to their state."""
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
    """Columns that a layout holds are those of the games that were encoded, aligned by our rule.

    The others are absent.
    """
    games = [match(80, seed=seed) for seed in range(3)]
    found = list(read(encoded(tmp_path / "games.pt", name, games), "games.pt"))
    assert [game.frames for game in found] == [80, 80, 80]
    for ours, theirs in zip(games, found, strict=True):
        check(theirs, SCHEMA, "encoded", GAME.event_kinds)
        assert {"item/alive", "stage/clock", "player/instance", "pad/start"} <= theirs.absent
        assert ("player/in_hitstun" in theirs.absent) == (name in ("v2", "v2-embed"))
        for key in SCHEMA.columns.keys() - theirs.absent:
            wanted = ours.columns[key].astype(np.float64)
            if key == "pad/l_push":
                wanted = np.maximum(wanted, ours.columns["pad/r_push"])
            np.testing.assert_allclose(
                theirs.columns[key], wanted, atol=2e-3, rtol=1e-4, err_msg=key
            )


def test_the_width_decides_nothing(tmp_path):
    """A file whose tensors are not as wide as its configuration says is refused, though another layout would fit."""
    games = [match(40)]
    wrong = dict(zip(SWITCHES, LAYOUTS["v2"], strict=True))
    path = encoded(tmp_path / "games.pt", "v3", games, encoding_config=wrong)
    with pytest.raises(RecordingError, match="is 138 wide, its encoding_config makes 58"):
        list(read(path, "games.pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding_config": {}}, "state_age_as_embed=None"),
        ({"encoding_config": None}, "declares no encoding_config"),
        ({"encoding_config": {**dict.fromkeys(SWITCHES, False), "hitboxes": True}}, "'hitboxes'"),
        ({"game_offsets": torch.tensor([5, 2])}, "game_offsets"),
        ({"num_games": 7}, "num_games=7"),
        ({"floats": [1, 2]}, "no table of numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    """Each thing that is missing or contradicts itself is refused by name."""
    path = encoded(tmp_path / "games.pt", "v2", [match(40)], **changes)
    with pytest.raises(RecordingError, match=message):
        list(read(path, "games.pt"))


def test_nothing_of_a_file_is_executed(tmp_path):
    """A file that is no tensors, or wants to run something, is refused."""
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RecordingError, match="cannot be loaded"):
        list(read(bad, "bad.pt"))


def test_ingest_takes_such_a_file(tmp_path):
    """`ingest melee FILE.pt` stores its games.

    One that is broken is rejected and the others come in.
    """
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
