"""Games of other packages: found by entry point, by `module:GAME`, and by a store's manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from conftest import TOY, random_episode
from one_process import commands
from walkthrough import write_files

from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games import find, game_of, load, names, option_for

RECORD = """
from shadowbox.core.game import Game
from shadowbox.core.schema import Flag, Group, Real, Schema
SCHEMA = Schema("{name}", fps=30, state=(Group("ball", (Real("x"),)),),
                controls=Group("keys", (Flag("up"),), slots=2, per="player"))
GAME = Game(name="{name}", title="a game of {module}", schema=SCHEMA)
"""


def install(folder, distribution, name, spec, text):
    """A distribution with one module and one entry point, as pip would leave it."""
    module = spec.partition(":")[0]
    (folder / f"{module}.py").write_text(text)
    about = folder / f"{distribution}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(f"[shadowbox.games]\n{name} = {spec}\n")


def call(folder, *lines, installed=None):
    """Answers to commands in a working folder, which is not on their path; `installed` is."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(installed or "")}
    return commands(folder, environment, *(line.split() for line in lines))


def ok(folder, *lines, **options):
    """The objects that commands print with --json."""
    answers = call(folder, *(f"{line} --json" for line in lines), **options)
    for answer in answers:
        assert answer.returncode == 0, answer.stderr
    return [json.loads(answer.stdout) for answer in answers]


def refused(folder, *lines, **options):
    """The messages of wrong calls."""
    answers = call(folder, *lines, **options)
    for answer in answers:
        assert answer.returncode == 2, answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr
    return [answer.stderr for answer in answers]


@pytest.fixture
def packages(tmp_path):
    """A folder of installed packages: a good game, a broken one, and two names that clash."""
    folder = tmp_path / "site"
    folder.mkdir()
    tell = 'import sys; print("IMPORTED", file=sys.stderr)\n'
    for distribution, name, module in (
        ("pong-game", "pong", "pong_game"),
        ("second-brawl", "brawl", "second_brawl"),
        ("one-chess", "chess", "one_chess"),
        ("two-chess", "chess", "two_chess"),
    ):
        text = tell + RECORD.format(name=name, module=module)
        install(folder, distribution, name, f"{module}:GAME", text)
    install(folder, "broken-game", "broken", "broken_game:GAME", "import a_missing_library\n")
    install(folder, "renamed-game", "old", "renamed:GAME", RECORD.format(name="new", module="r"))
    return folder


def test_an_installed_game_is_found_by_its_name(packages, tmp_path):
    """A package's entry point adds its game to the built-in ones, with its distribution."""
    pong, every = ok(tmp_path, "games pong", "games", installed=packages)
    assert pong["title"] == "a game of pong_game"
    games = {(game["name"], game["distribution"]): game for game in every["games"]}
    assert games["pong", "pong-game 1.2"]["spec"] == "pong_game:GAME"
    assert games["brawl", None]["world"] is True


def test_a_broken_package_is_listed_with_its_error(packages, tmp_path):
    """`shadowbox games` lists unusable packages with their errors, and refuses them by name."""
    every, table = call(tmp_path, "games --json", "games", installed=packages)
    listed = json.loads(every.stdout)["games"]
    errors = {game["distribution"]: game["error"] for game in listed if "error" in game}
    assert "a built-in game is called 'brawl'" in errors["second-brawl 1.2"]
    assert errors["one-chess 1.2"] == "also installed by two-chess 1.2"
    assert errors["two-chess 1.2"] == "also installed by one-chess 1.2"
    assert errors.keys() == {"second-brawl 1.2", "one-chess 1.2", "two-chess 1.2",
                             "broken-game 1.2", "renamed-game 1.2"}  # fmt: skip
    assert "cannot be used: game 'broken' of broken-game 1.2" in table.stdout
    names = ("broken", "chess", "old", "pongg")
    broken, chess, old, pongg = refused(
        tmp_path, *(f"games {name}" for name in names), installed=packages
    )
    assert "'broken' of broken-game 1.2 cannot be imported: No module named 'a_missing" in broken
    assert "one-chess 1.2 (one_chess:GAME) and two-chess 1.2 (two_chess:GAME)" in chess
    assert "name='new'" in old
    assert "did you mean 'pong'" in pongg


def test_a_built_in_name_imports_no_other_package(packages, tmp_path):
    """Help and built-in games import no installed package, even one that takes a built-in name."""
    for answer in call(tmp_path, "--help", "games brawl", "games --help", installed=packages):
        assert answer.returncode == 0
        assert "IMPORTED" not in answer.stderr
        assert "second_brawl" not in answer.stdout


def test_the_current_folder_counts_for_module_specs_only(tmp_path):
    """`module:GAME` finds modules of the current folder, which cannot replace installed ones."""
    (tmp_path / "mine.py").write_text(RECORD.format(name="mine", module="mine"))
    (tmp_path / "click.py").write_text('raise SystemExit("the wrong click")')
    (tmp_path / "bad.py").write_text("1 / 0")
    other = RECORD.format(name="other", module="m").replace(
        'name="other", title', 'name="it", title'
    )
    (tmp_path / "odd.py").write_text(other)
    specs = ("mine", "mine:GAMES", "bad:GAME", "odd:GAME")
    mine, games, bad, odd = refused(tmp_path, *(f"games {spec}" for spec in specs))
    assert "known: brawl, gesture, melee" in mine
    assert str(tmp_path / "mine.py") in games
    assert "did you mean 'GAME'" in games
    assert "cannot be imported: ZeroDivisionError" in bad
    assert "the record is called 'it' and its schema 'other'" in odd
    assert ok(tmp_path, "games mine:GAME")[0]["title"] == "a game of mine"


def test_the_path_is_as_before(tmp_path, monkeypatch):
    """Loading from the current folder does not change `sys.path`; the game's name is then known."""
    (tmp_path / "private_game.py").write_text(RECORD.format(name="private", module="p"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shadowbox.games._named", {})  # other tests do not know this game
    before = list(sys.path)
    assert find("private") is None
    game = load("private_game:GAME")
    assert sys.path == before
    assert (game.spec, game.made) == ("private_game:GAME", {"game": "private_game:GAME"})
    assert find("private") is game
    assert "private" in names()
    assert load("brawl").made == {}


def test_a_store_of_an_unknown_game_has_its_fields(tmp_path):
    """Without the game's code, a store gives a record with schema and events, and a reason."""
    game, reason = game_of(TOY, ("hit",))
    assert (game.name, game.schema, game.event_kinds, game.world) == ("toy", TOY, ("hit",), None)
    assert "no game here is called 'toy'" in reason
    assert game_of(load("brawl").schema) == (load("brawl"), "")
    other = type(TOY)("brawl", fps=60, state=TOY.state, controls=TOY.controls)
    assert "other fields" in game_of(other)[1]
    assert isinstance(game, Game)


@pytest.mark.parametrize("spec", ["paddles:GAME; rm -rf", "\x1b[2J", 7, None])
def test_a_manifest_suggests_only_well_formed_specs(spec):
    """Text from a store reaches the terminal only if it has the form of `module:NAME`."""
    assert option_for({"game": spec}) == "--game MODULE:GAME"
    assert option_for({"game": "a.b:GAME"}) == "--game a.b:GAME"


def test_a_store_imports_nothing(tmp_path):
    """A store that names a module of the current folder is viewed without importing that module."""
    (tmp_path / "trap.py").write_text('open("sprung", "w")')
    with Writer(tmp_path / "s", TOY, made={"game": "trap:GAME"}) as writer:
        writer.add(random_episode(TOY, 20))
    (finished,) = call(tmp_path, "view s#0")
    assert (finished.returncode, (tmp_path / "match-0.html").exists()) == (0, True)
    assert "--game trap:GAME" in finished.stderr
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
def test_a_game_of_the_current_folder_goes_everywhere(tmp_path):
    """`module:GAME` works in match, record, view, train, eval and tournament; stores name it."""
    write_files(tmp_path)
    players, named = "paddles:GAME --p0 follower --p1 idle", "--game paddles:GAME"
    match, _, view, trained, judged, _, rated = ok(
        tmp_path,
        f"match {players} --out m.html --store one",
        f"record {players} --matches 24 --out data",
        f"view data#0 {named} --png 30",
        f"train data --out run {named} --preset tiny --set batch=4 --steps 2",
        f"eval run data {named} --matches 2 --out e.html",
        f"report run {named}",
        "tournament paddles:GAME follower policy:run --matches 4 --workers 2",
    )
    assert match["game"] == view["game"] == judged["game"] == "paddles"
    assert trained["step"] == 2
    assert len(rated["ratings"]) == 2
    for page in ("m.html", "run/report.html"):
        assert "<match-viewer" in (tmp_path / page).read_text()
    for store in ("one", "data"):
        assert Store(tmp_path / store).manifest.made["game"] == "paddles:GAME"
    resumed, judged = refused(tmp_path, "train data --out run --resume", "eval run data")
    assert "started with --game paddles:GAME" in resumed
    assert "--game paddles:GAME" in judged


READS = """
from dataclasses import replace
GAME = replace(GAME, reader="my_reader:read", reader_endings=(".txt",))
"""
READER = """
import numpy as np
from mine import SCHEMA
from shadowbox.core.episode import Episode
from shadowbox.core.game import no_events
def read(data, name, **options):
    rows = int(data if isinstance(data, bytes) else data.read_bytes())
    yield Episode(SCHEMA.neutral(rows), {}, no_events())
"""


def test_a_reader_of_the_current_folder(tmp_path):
    """Workers that ingest recordings find the reader of a game in the current folder, too."""
    (tmp_path / "mine.py").write_text(RECORD.format(name="mine", module="mine") + READS)
    (tmp_path / "my_reader.py").write_text(READER)
    (tmp_path / "recordings").mkdir()
    for rows in (5, 7, 9):
        (tmp_path / "recordings" / f"{rows}.txt").write_text(str(rows))
    (came,) = ok(tmp_path, "ingest mine:GAME recordings --out s --workers 2")
    assert came["episodes"] == 3, came
    assert Store(tmp_path / "s").manifest.made["game"] == "mine:GAME"


@pytest.mark.slow
def test_a_served_store_of_any_game(tmp_path):
    """A server shows stored matches of its own game and of a game whose code it lacks."""
    write_files(tmp_path)
    ok(tmp_path, "record paddles:GAME --p0 follower --p1 idle --matches 2 --out data")
    for named in (("--game", "paddles:GAME"), ("--game", "brawl")):
        command = [
            sys.executable,
            "-P",
            "-m",
            "shadowbox",
            "serve",
            "data",
            *named,
            "--port",
            "0",
            "--json",
        ]
        environment = {**os.environ, "PYTHONPATH": ""}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}matches/0/1.json") as answer:
                match = json.load(answer)
            assert match["hello"]["game"] == "paddles"
            assert {shape["shape"] for shape in match["hello"]["scene"]["shapes"]} >= {
                "circle",
                "text",
            }
            with urllib.request.urlopen(f"{url}matches/0/1.html") as answer:
                assert b"<match-viewer" in answer.read()
        finally:
            process.send_signal(2)
            process.wait(timeout=30)
            process.stdout.close()


def test_names_that_mean_nothing():
    """A spec without a module, a relative one and an unknown name are refused in words."""
    for spec in (":GAME", ".x:GAME", "no_such_module_here:GAME"):
        with pytest.raises(UsageError, match="cannot be imported"):
            load(spec)
    with pytest.raises(UsageError, match="unknown game 'brawll': did you mean 'brawl'"):
        load("brawll")
