"""`shadowbox view`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from conftest import TOY, random_episode
from PIL import Image

from shadowbox import cli
from shadowbox.data.write import Writer
from shadowbox.games import load

MODULE = """
from dataclasses import replace
from conftest import TOY
from shadowbox.core.game import Game
SCENE = {"bounds": [-100, -9, 100, 9], "shapes": [
    {"shape": "circle", "each": "player", "x": {"field": "player/x"}, "y": 0, "r": 2, "fill": "p1"}]}
BLIND = Game(name="toy", title="nothing to draw", schema=TOY)
SEEN = replace(BLIND, scene=lambda: SCENE)
DOT = {**SCENE["shapes"][0], "x": {"field": "player/z"}}
OTHER = replace(BLIND, scene=lambda: {**SCENE, "shapes": [DOT]})
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a store of brawl, one of a game that is not built in, and that game."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("shadowbox.games._named", {})  # no other test's game is known
    (tmp_path / "toygame.py").write_text(MODULE)
    brawl = load("brawl")
    for name, schema, count in (("brawl", brawl.schema, 3), ("toy", TOY, 1)):
        with Writer(tmp_path / name, schema) as writer:
            for seed in range(count):
                about = {
                    "players": ["ann", "<b>bob</b>"],
                    "world": name,
                    "result": {"winner": 0, "reason": "time-out"},
                }
                writer.add(random_episode(schema, 40, seed=seed, **about))
    yield tmp_path
    sys.modules.pop("toygame", None)


def run(capsys, *arguments):
    """Run the command: exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["view", *arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_a_page_in_the_working_folder(here, capsys):
    """Without options the page of a match lies in the working folder, and its path and size are printed."""
    status, out, _ = run(capsys, "brawl#2")
    assert (status, out.split(":")[0]) == (0, "match-2.html")
    page = (here / "match-2.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<b>bob" not in page
    # a namespace's name, nothing that is fetched
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_facts_as_json(here, capsys):
    """--json prints one object: which match, who played, how it ended, and where the page is."""
    status, out, _ = run(capsys, "brawl#0", "--out", "m.html", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["out"] == "m.html"
    assert (facts["episode"], facts["frames"], facts["game"], facts["world"]) == (
        0,
        40,
        "brawl",
        "brawl",
    )
    assert facts["players"] == ["ann", "<b>bob</b>"]
    assert facts["result"] == {"winner": 0, "reason": "time-out"}


def test_pictures_alone(here, capsys):
    """--png and --gif write pictures and no page.

    The film has a picture for every second frame of the span.
    """
    status, out, _ = run(capsys, "brawl#1", "--png", "20", "--gif", "10:20")
    assert status == 0
    assert out.split()[::3] == ["match-1-20.png:", "match-1.gif:"]
    assert not (here / "match-1.html").exists()
    with Image.open(here / "match-1-20.png") as picture:
        assert picture.size == (960, 541)
    with Image.open(here / "match-1.gif") as film:
        assert film.n_frames == 5


def test_pictures_beside_a_named_page(here, capsys):
    """With --out pictures take its name, and the page is written too."""
    status, out, _ = run(
        capsys, "brawl#1", "--out", "a.html", "--png", "3", "--theme", "dark", "--json"
    )
    facts = json.loads(out)
    assert (status, facts["out"], facts["png"]) == (0, "a.html", "a-3.png")
    assert (here / "a.html").exists()
    assert (here / "a-3.png").exists()


def test_a_game_of_ones_own(here, capsys):
    """A game outside the package is named with --game; a store of one match needs no number."""
    assert run(capsys, "toy", "--game", "toygame:SEEN")[0] == 0
    assert "<match-viewer" in (here / "match-0.html").read_text()


@pytest.mark.parametrize(("named", "noted"), [([], True), (["--game", "toygame:BLIND"], False)])
def test_a_game_without_a_scene(here, capsys, named, noted):
    """A game without a scene, or one that is not here at all, is drawn by its fields.

    The latter is noted.
    """
    status, out, err = run(capsys, "toy", *named, "--png", "3", "--out", "m.html")
    assert (status, out.split(":")[0]) == (0, "m.html")
    assert ("no game here is called 'toy': drawn by its fields; --game MODULE:GAME" in err) == noted
    assert '"P1 player"' in (here / "m.html").read_text()
    with Image.open(here / "m-3.png") as picture:
        assert picture.size == (960, 540)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["brawl#0", "--game", "toygame:SEEN"], 1, "has other rows than those of 'toy'"),
        (["toy", "--game", "toygame:OTHER"], 1, "no column 'player/z'"),
        (["brawl"], 2, "brawl holds 3 matches: name one, as in brawl#0"),
        (["brawl#3"], 2, "brawl has no episode 3"),
        (["brawl#x"], 2, "expected the number of an episode after #"),
        (["brawl#0", "--png", "41"], 2, "the frames 0 to 40"),
        (["brawl#0", "--gif", "30:20"], 2, "the range is empty"),
        (["brawl#0", "--gif", "all"], 2, "two frames with a colon between"),
        (["brawl#0", "--out", "nowhere/m.html"], 2, "the folder nowhere does not exist"),
        (["nothing#0"], 1, "nothing"),
    ],
)
def test_what_cannot_be_shown_is_said(here, capsys, arguments, status, words):
    """A wrong call is one line that says what is possible, and nothing is written."""
    before = sorted(here.iterdir())
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (status, "")
    assert words in err
    assert "an error of Shadowbox itself" not in err
    assert [path for path in sorted(here.iterdir()) if path.name != "__pycache__"] == before


def test_out_that_ends_in_png_or_gif_is_a_picture(here, capsys):
    """`--out NAME.png` is a picture of the middle of the match and `--out NAME.gif` a film, no page."""
    status, out, _ = run(capsys, "brawl#0", "--out", "a.png", "--json")
    assert (status, json.loads(out)["png"]) == (0, "a.png")
    assert (here / "a.png").read_bytes().startswith(b"\x89PNG")
    run(capsys, "brawl#0", "--png", "20")
    assert (here / "a.png").read_bytes() == (here / "match-0-20.png").read_bytes()  # 41 rows
    status, out, _ = run(capsys, "brawl#0", "--gif", "0:9", "--out", "b.gif")
    assert (status, (here / "b.gif").read_bytes()[:3]) == (0, b"GIF")
    assert sorted(path.name for path in here.glob("*.*") if path.suffix != ".py") == [
        "a.png",
        "b.gif",
        "match-0-20.png",
    ]


def test_two_matches_in_one_page(here, capsys):
    """Two matches make one page, from the rows that are named; a third is refused."""
    status, out, _ = run(capsys, "brawl#0", "brawl#2:15", "--json")
    assert status == 0
    assert json.loads(out) == {"episodes": [0, 2], "rows": [0, 15], "out": "match-0-2.html"}
    page = (here / "match-0-2.html").read_text()
    assert "brawl#2 from frame 15" in page
    assert "<b>bob" not in page
    for arguments, words in (
        (("brawl#0", "brawl#1", "toy#0"), "3 matches"),
        (("brawl#0", "brawl#1:41"), "rows 0 to 40"),
        (("brawl#0", "brawl#7"), "7"),
    ):
        status, _, error = run(capsys, *arguments)
        assert status == 2, error
        assert words in error


def test_two_matches_in_one_picture_and_one_film(here, capsys):
    """Two matches are beside each other in pictures; the shorter one keeps its last frame."""
    run(capsys, "brawl#0", "--png", "40", "--out", "one.png")
    status, out, _ = run(capsys, "brawl#0", "brawl#1:30", "--png", "40", "--json")
    assert (status, json.loads(out)["png"]) == (0, "match-0-1-40.png")
    status, out, _ = run(capsys, "brawl#0", "brawl#1:30", "--gif", "--out", "two.gif")
    assert status == 0, out
    with Image.open(here / "match-0-1-40.png") as two, Image.open(here / "one.png") as one:
        assert two.size[0] == 964  # with the gap between them
        half = one.resize((480, two.size[1]), Image.Resampling.BOX)
        left = np.asarray(two.crop((0, 0, *half.size)).convert("RGB"), float)
        assert np.abs(left - np.asarray(half.convert("RGB"), float)).mean() < 8
        ended = np.asarray(two.crop((484, 0, 964, two.size[1])))
    run(capsys, "brawl#0", "brawl#1:30", "--png", "10", "--out", "end.png")
    with Image.open(here / "end.png") as two:  # frame 10 is the second match's last one
        assert np.array_equal(ended, np.asarray(two.crop((484, 0, 964, two.size[1]))))
    with Image.open(here / "two.gif") as film:
        assert film.size[0] == 644
        assert film.n_frames == 21  # 41 rows, every second
