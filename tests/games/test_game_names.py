"""Games of other packages: found by entry point, by `module:GAME`, and by a store's manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from conftest import TOY, random_episode
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


def call(folder, *arguments, installed=None):
    """The console script in a working folder, which is not on its path; `installed` is."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(installed or "")}
    command = [sys.executable, "-P", "-m", "shadowbox", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def ok(folder, *arguments, **options):
    """The object that a command prints with --json."""
    finished = call(folder, *arguments, "--json", **options)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def refused(folder, *arguments, **options):
    """The message of a wrong call."""
    finished = call(folder, *arguments, **options)
    assert finished.returncode == 2, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stderr


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
    assert ok(tmp_path, "games", "pong", installed=packages)["title"] == "a game of pong_game"
    listed = ok(tmp_path, "games", installed=packages)["games"]
    games = {(game["name"], game["distribution"]): game for game in listed}
    assert games["pong", "pong-game 1.2"]["spec"] == "pong_game:GAME"
    assert games["brawl", None]["world"] is True


def test_a_broken_package_is_listed_with_its_error(packages, tmp_path):
    """`shadowbox games` lists unusable packages with their errors, and refuses them by name."""
    listed = ok(tmp_path, "games", installed=packages)["games"]
    errors = {game["distribution"]: game["error"] for game in listed if "error" in game}
    assert "a built-in game is called 'brawl'" in errors["second-brawl 1.2"]
    assert errors["one-chess 1.2"] == "also installed by two-chess 1.2"
    assert errors["two-chess 1.2"] == "also installed by one-chess 1.2"
    assert errors.keys() == {"second-brawl 1.2", "one-chess 1.2", "two-chess 1.2",
                             "broken-game 1.2", "renamed-game 1.2"}  # fmt: skip
    table = call(tmp_path, "games", installed=packages).stdout
    assert "cannot be used: game 'broken' of broken-game 1.2" in table
    message = refused(tmp_path, "games", "broken", installed=packages)
    assert "'broken' of broken-game 1.2 cannot be imported: No module named 'a_missing" in message
    message = refused(tmp_path, "games", "chess", installed=packages)
    assert "one-chess 1.2 (one_chess:GAME) and two-chess 1.2 (two_chess:GAME)" in message
    assert "name='new'" in refused(tmp_path, "games", "old", installed=packages)
    assert "did you mean 'pong'" in refused(tmp_path, "games", "pongg", installed=packages)


def test_a_built_in_name_imports_no_other_package(packages, tmp_path):
    """Help and built-in games import no installed package, even one that takes a built-in name."""
    for arguments in (["--help"], ["games", "brawl"], ["games", "--help"]):
        finished = call(tmp_path, *arguments, installed=packages)
        assert finished.returncode == 0
        assert "IMPORTED" not in finished.stderr
    assert "second_brawl" not in call(tmp_path, "games", "brawl", installed=packages).stdout


def test_the_current_folder_counts_for_module_specs_only(tmp_path):
    """`module:GAME` finds modules of the current folder, which cannot replace installed ones."""
    (tmp_path / "mine.py").write_text(RECORD.format(name="mine", module="mine"))
    (tmp_path / "click.py").write_text('raise SystemExit("the wrong click")')
    assert ok(tmp_path, "games", "mine:GAME")["title"] == "a game of mine"
    assert "known: brawl, melee" in refused(tmp_path, "games", "mine")
    message = refused(tmp_path, "games", "mine:GAMES")
    assert str(tmp_path / "mine.py") in message
    assert "did you mean 'GAME'" in message
    (tmp_path / "bad.py").write_text("1 / 0")
    assert "cannot be imported: ZeroDivisionError" in refused(tmp_path, "games", "bad:GAME")
    other = RECORD.format(name="other", module="m").replace(
        'name="other", title', 'name="it", title'
    )
    (tmp_path / "odd.py").write_text(other)
    assert "the record is called 'it' and its schema 'other'" in refused(
        tmp_path, "games", "odd:GAME"
    )


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
    finished = call(tmp_path, "view", "s#0")
    assert (finished.returncode, (tmp_path / "match-0.html").exists()) == (0, True)
    assert "--game trap:GAME" in finished.stderr
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
def test_a_game_of_the_current_folder_goes_everywhere(tmp_path):
    """`module:GAME` works in match, record, view, train, eval and tournament; stores name it."""
    write_files(tmp_path)
    match = ok(tmp_path, "match", "paddles:GAME", "--p0", "follower", "--p1", "idle",
               "--out", "m.html", "--store", "one")  # fmt: skip
    assert match["game"] == "paddles"
    assert "<match-viewer" in (tmp_path / "m.html").read_text()
    ok(tmp_path, "record", "paddles:GAME", "--p0", "follower", "--p1", "idle", "--matches", 24,
       "--out", "data")  # fmt: skip
    for store in ("one", "data"):
        assert Store(tmp_path / store).manifest.made["game"] == "paddles:GAME"
    named = ("--game", "paddles:GAME")
    assert ok(tmp_path, "view", "data#0", *named, "--png", 30)["game"] == "paddles"
    learn = ("train", "data", "--out", "run", *named, "--preset", "tiny", "--set", "batch=4")
    assert ok(tmp_path, *learn, "--steps", 2)["step"] == 2
    assert "started with --game paddles:GAME" in refused(
        tmp_path, "train", "data", "--out", "run", "--resume"
    )
    assert "--game paddles:GAME" in refused(tmp_path, "eval", "run", "data")
    judged = ok(tmp_path, "eval", "run", "data", *named, "--matches", 2, "--out", "e.html")
    assert judged["game"] == "paddles"
    ok(tmp_path, "report", "run", *named)
    assert "<match-viewer" in (tmp_path / "run" / "report.html").read_text()
    rated = ok(tmp_path, "tournament", "paddles:GAME", "follower", "policy:run", "--matches", 4,
               "--workers", 2)  # fmt: skip
    assert len(rated["ratings"]) == 2


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
    came = ok(tmp_path, "ingest", "mine:GAME", "recordings", "--out", "s", "--workers", 2)
    assert came["episodes"] == 3, came
    assert Store(tmp_path / "s").manifest.made["game"] == "mine:GAME"


@pytest.mark.slow
def test_a_served_store_of_any_game(tmp_path):
    """A server shows stored matches of its own game and of a game whose code it lacks."""
    write_files(tmp_path)
    ok(tmp_path, "record", "paddles:GAME", "--p0", "follower", "--p1", "idle", "--matches", 2,
       "--out", "data")  # fmt: skip
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
