"""Worlds by name: the grammar, and a third party's world in everything that plays."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from judging import run, store

from shadowbox import cli
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import CheckpointError, SchemaMismatch, UsageError
from shadowbox.games import load
from shadowbox.model import kinds
from shadowbox.play import specs
from shadowbox.testing import random_rows

BRAWL = load("brawl")
THEIRS = '''
"""Worlds of somebody else: a short brawl with a light gravity, and one for melee."""

import numpy as np

from shadowbox.core.game import no_events
from shadowbox.games import load
from shadowbox.games.brawl.world import BrawlWorld

MELEE = load("melee").schema
NUMBER = 5


class Short(BrawlWorld):
    def __init__(self, matches, *, length=60):
        super().__init__(matches, time_limit=length)


class Standing:
    """Two fighters of melee who stand and lose a stock every ten frames, the second one first."""

    schema, name = MELEE, ""

    def __init__(self, matches):
        self.matches = matches
        self.columns = MELEE.neutral(matches)
        self.done = np.zeros(matches, bool)
        self.frame = np.zeros(matches, np.int64)

    def reset(self, seeds, where=None):
        fresh = np.ones(self.matches, bool) if where is None else where
        self.done[fresh], self.frame[fresh] = False, 0
        self.columns["player/stocks"][fresh] = (2, 1)
        return self.columns

    def step(self, controls):
        self.frame += ~self.done
        self.pressed = controls["pad/main_x"].copy()
        over = self.frame >= 10
        self.columns["player/stocks"][over] = (2, 0)
        self.done |= over
        return self.columns, no_events(), self.done.copy()

    def snapshot(self, where=None):
        return None

    def restore(self, snapshot, where=None):
        return self.columns


class OneOnly(Short):
    def __init__(self, matches):
        super().__init__(1)


class Half:
    def __init__(self, matches):
        self.matches = matches


def asks(matches):
    raise ValueError("no such arena")


def toy(matches):
    return Standing(matches)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the code of somebody else."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "their_worlds.py").write_text(THEIRS)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """The current folder is theirs."""
    monkeypatch.chdir(folder)
    return folder


def call(capsys, *arguments):
    """Status, the object of --json, the error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return stop.value.code, json.loads(out) if out else None, err


# ---- the grammar ---------------------------------------------------------------------------------


def test_options_are_typed():
    """Numbers become numbers, on and off yes and no; the rest stays text, colons and all."""
    spec = "brawl@rules=original@weapons=off@time_limit=90@speed=.5@arsenal=warehouse:PATH/a.json"
    parsed = specs.parse_world(spec, BRAWL)
    assert (parsed.builder, parsed.text) == ("game", spec)
    assert parsed.values({}) == {
        "rules": "original",
        "weapons": False,
        "time_limit": 90,
        "speed": 0.5,
        "arsenal": "warehouse:PATH/a.json",
    }
    assert specs.world("", BRAWL, 2).name == "brawl"
    assert specs.world("brawl@stage=mirror", BRAWL, 2, weapons=False).name == (
        "brawl@stage=mirror@weapons=off"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("brawl@rules=orignal", "unknown rules 'orignal'"),
        ("brawl@randomize=x.json", "randomize=x.json: the file does not exist"),
        ("brawl@stage=moon", "unknown stage 'moon'"),
        ("brawl@fast", "'fast' is not an option; options are KEY=VALUE"),
        ("brwl", "brawl has no world 'brwl'; its simulator is 'brawl'; others are dream:RUN"),
        ("melee", "brawl has no world 'melee'"),
        ("py:", "expected py:MODULE:FACTORY"),
        ("py:their_worlds", "expected py:MODULE:FACTORY"),
        ("py:nowhere_at_all:World", "cannot be imported: No module named 'nowhere_at_all'"),
        ("py:their_worlds:Shrt", "cannot be imported: AttributeError"),
        ("py:their_worlds:NUMBER", "is a int, expected a function or class"),
        ("py:their_worlds:Short@size=3", "has no option 'size'"),
        ("py:their_worlds:asks", "cannot be built: no such arena"),
        ("py:their_worlds:Half", "is a Half without 'reset'"),
        ("py:their_worlds:OneOnly", "has 1 matches, 3 were asked for"),
        ("py:their_worlds:toy", "has other rows than those of 'brawl'"),
        ("dream:", "name a run or a checkpoint, as in dream:runs/x"),
        ("dream:runs/w", "runs/w is not a run"),
    ],
)
def test_worlds_that_cannot_be(here, spec, message):
    """Every spec that means no world is refused in one line that says why, and what there is."""
    with pytest.raises((UsageError, SchemaMismatch, CheckpointError), match=message) as refused:
        specs.world(spec, BRAWL, 3)
    assert "\n" not in str(refused.value)


def test_an_option_is_given_once():
    """An option in the spec and another value beside it contradict each other."""
    with pytest.raises(UsageError, match="stage is given twice, as 'mirror' and as 'warehouse'"):
        specs.world("brawl@stage=mirror", BRAWL, 1, stage="warehouse")
    assert specs.world("brawl@stage=mirror", BRAWL, 1, stage="mirror").matches == 1


def test_a_game_without_a_simulator_says_what_to_do():
    """Melee has no simulator; the refusal names the worlds that could play it."""
    with pytest.raises(UsageError, match=r"melee has no simulator.*py:MODULE:FACTORY"):
        specs.world("", load("melee"), 1)


def toy_dream(argument, options, game, matches, spec):
    """A world out of a checkpoint, for the registry."""
    world = game.world(matches, time_limit=30)
    world.name = f"{spec} of {argument} with {','.join(options)}"
    return world


def test_a_registered_kind_of_checkpoint_makes_dreams(monkeypatch):
    """`dream:` goes through the registry of kinds, and shipped dreams have names."""
    module = f"{toy_dream.__module__}:toy_dream"
    kind = kinds.CheckpointKind(name="world", prefix="dream", world=module)
    monkeypatch.setitem(kinds.KINDS, "world", kind)
    game = dataclasses.replace(BRAWL, worlds={"gru": "models/gru"})
    made = specs.world("dream:gru@best@0.9", game, 2)
    assert made.name == "dream:gru@best@0.9 of models/gru with best,0.9"
    assert specs.world("dream:runs/w", game, 2).matches == 2


# ---- opponents -----------------------------------------------------------------------------------


def test_held_out_bots_are_no_opponents_to_learn_from():
    """A held-out bot is refused whatever its argument and delay; the others pass as given."""
    assert specs.held_out(["trickster@delay=6", "based", "policy:x", "charger"], BRAWL) == [
        "trickster@delay=6",
        "charger",
    ]
    given = ["based", "policy:runs/x", "expert@delay=3"]
    assert specs.training_opponents(given, BRAWL) == given
    for spec in ("trickster", "switcher:x", "charger@delay=2"):
        with pytest.raises(UsageError, match=f"'{spec}' is held out"):
            specs.training_opponents(["based", spec], BRAWL)


# ---- a world of somebody else, everywhere --------------------------------------------------------

SPEC = "py:their_worlds:Short@length=40"


def test_match(here, capsys, tmp_path):
    """`match --world` plays in it; result, stored episode and page carry its spec."""
    code, facts, err = call(
        capsys, "match", "brawl", "--p0", "based", "--p1", "charger", "--world", SPEC,
        "--store", tmp_path / "s", "--out", tmp_path / "m.html",
    )  # fmt: skip
    assert code == 0, err
    assert (facts["world"], facts["frames"]) == (SPEC, 40)
    assert facts["opponents"] == {"based": ["charger"], "charger": ["based"]}
    assert facts["held_out"] == ["charger"]
    assert Store(tmp_path / "s").meta_of(0)["world"] == SPEC
    assert f'"world":"{SPEC}"' in (tmp_path / "m.html").read_text()


def test_record_and_tournament(here, capsys, tmp_path):
    """`record` and `tournament` play in it, also in worker processes.

    Stores and tables say where.
    """
    code, facts, err = call(
        capsys, "record", "brawl", "--p0", "based", "--p1", "random", "--matches", 3,
        "--world", SPEC, "--out", tmp_path / "s",
    )  # fmt: skip
    assert code == 0, err
    found = Store(tmp_path / "s")
    assert facts["frames"] == found.frames == 3 * 40
    assert found.manifest.made["record"]["world"] == SPEC
    code, table, err = call(
        capsys, "tournament", "brawl", "based", "random", "trickster", "--matches", 4,
        "--world", SPEC, "--workers", 2, "--out", tmp_path / "t",
    )  # fmt: skip
    assert code == 0, err
    assert table["world"] == SPEC
    assert table["opponents"]["based"] == ["random", "trickster"]
    assert table["held_out"] == ["trickster"]
    block = json.loads((tmp_path / "t.jsonl").read_text().splitlines()[1])
    assert {match["frames"] for match in block["matches"]} == {40}


def test_the_usual_world_leaves_no_trace_in_a_call(tmp_path):
    """A call that names the game's own simulator, or nothing, is remembered as it always was."""
    from shadowbox.collect.matches import Pairing, record_call

    pairings = [Pairing("based", "random", 1)]
    calls = [record_call(BRAWL, pairings, 0, world, {"stage": "mirror"}) for world in ("", "brawl")]
    assert calls[0] == calls[1]
    assert set(calls[0]) == {"game", "pairings", "seed", "options"}


def test_an_environment_in_it(here):
    """Gymnasium's environment and the vectorized one play in it by its spec."""
    pytest.importorskip("gymnasium")
    from shadowbox.envs.single import GameEnv
    from shadowbox.envs.vector import GameVectorEnv

    env = GameEnv("brawl", world=SPEC, opponent="constant", actions="combos")
    env.reset(seed=1)
    frames = 1
    while not any(env.step(0)[2:4]):
        frames += 1
    assert frames == 40
    assert env.matches.world.name == SPEC
    many = GameVectorEnv("brawl", 3, world="py:their_worlds:Short", length=7)
    many.reset(seed=1)
    ends = [many.step(many.action_space.sample())[3].all() for _ in range(7)]
    assert ends == [False] * 6 + [True]


@pytest.mark.slow
def test_eval_plays_in_it(here, capsys, tmp_path):
    """`eval --against --world` plays its closed loop there.

    The result names world and opponents.
    """
    data, policy = store(tmp_path / "s", matches=6), run(tmp_path / "r")
    code, _, err = call(
        capsys, "eval", policy, data, "--matches", 4, "--episodes", 2, "--shares", "50/50/0",
        "--against", "charger", "--world", SPEC,
    )  # fmt: skip
    assert code == 0, err
    kept = json.loads(next((policy / "checkpoints").glob("*/evaluation.json")).read_text())
    facts = json.dumps(kept)
    assert f'"{SPEC}"' in facts
    assert '"charger"' in facts
    assert '"held_out": ["charger"]' in facts


def test_melee_can_be_played_in_it(here, capsys, tmp_path):
    """A game without a simulator is played in a world of somebody else: sticks, rows, outcome."""
    melee = load("melee")
    rows = random_rows(melee.schema, 15, seed=2)
    with Writer(tmp_path / "s", melee.schema, event_kinds=melee.event_kinds) as writer:
        from shadowbox.core.episode import Episode

        writer.add(Episode(rows, {"players": ["a", "b"]}))
    code, facts, err = call(
        capsys, "match", "melee", "--p0", f"replay:{tmp_path / 's'}#0", "--p1",
        f"replay:{tmp_path / 's'}#0", "--world", "py:their_worlds:Standing", "--store", tmp_path / "t",
    )  # fmt: skip
    assert code == 0, err
    assert (facts["winner"], facts["reason"], facts["frames"]) == (0, "knock-out", 10)
    played = Store(tmp_path / "t").episode(0)
    for key in melee.schema.control_keys:
        np.testing.assert_array_equal(played.columns[key][:10], rows[key][:10], err_msg=key)
    code, _, err = call(capsys, "match", "melee", "--p0", "x", "--p1", "y")
    assert code == 2
    assert "melee has no simulator" in err


def test_data_of_a_card_is_made_in_it(here, tmp_path, monkeypatch):
    """`data.make.record.world` of a card names the world; it is part of the data's identity."""
    from shadowbox.cards.card import parse_value
    from shadowbox.experiment.dataset import data_call_problems, data_fingerprint, get_store

    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_worlds.py").write_text(THEIRS)

    def card(**more):
        call = {"p0": "based", "p1": "random", "matches": 2, **more}
        return parse_value(
            {"id": "c", "game": "brawl", "data": {"store": "data/s", "make": {"record": call}}}
        )

    usual, theirs = card(), card(world=SPEC)
    assert list(data_call_problems(theirs, BRAWL)) == []
    assert data_fingerprint(usual, BRAWL, None) != data_fingerprint(theirs, BRAWL, None)
    assert data_fingerprint(usual, BRAWL, None) == data_fingerprint(card(world=""), BRAWL, None)
    ((where, why),) = data_call_problems(card(world="py:their_worlds:Shrt"), BRAWL)
    assert where == ("record",)
    assert "cannot be imported" in why
    made = get_store(theirs, BRAWL)
    assert made.frames == 2 * 40
    assert made.meta_of(0)["world"] == SPEC


def test_names_in_data_run_no_code(here, capsys, tmp_path):
    """A store that names code as its world or as a player makes none run; the user must name it."""
    from shadowbox.collect.matches import Pairing, record
    from shadowbox.evaluate.closed_loop import is_agent_spec
    from shadowbox.evaluate.setup import EvalConfig, playable_world

    record(BRAWL, [Pairing("based", "random", 1)], tmp_path / "s", world=SPEC)
    data = Store(tmp_path / "s")
    with pytest.raises(UsageError, match="which is code: name it with --world"):
        playable_world(BRAWL, data, EvalConfig())
    assert playable_world(BRAWL, data, EvalConfig(world=SPEC))[0] == SPEC
    assert not is_agent_spec(BRAWL, "py:their_worlds:asks")
    start = ("match", "brawl", "--p0", "based", "--p1", "random", "--from", f"{tmp_path / 's'}#0:5")
    code, _, err = call(capsys, *start)
    assert code == 2
    assert "which is code" in err
    assert call(capsys, *start, "--world", SPEC)[1]["frames"] == 35


def test_wrong_worlds_on_the_command_line(here, capsys, tmp_path):
    """A wrong --world ends every command with 2 and one line, before anything is written."""
    for arguments in (
        ["match", "brawl", "--p0", "based", "--p1", "random"],
        ["record", "brawl", "--p0", "based", "--p1", "random", "--out", tmp_path / "s"],
        ["tournament", "brawl", "based", "random", "--out", tmp_path / "t"],
        ["serve", "--port", "0"],
    ):
        code, _, err = call(capsys, *arguments, "--world", "py:their_worlds:Shrt")
        assert code == 2, arguments
        assert "cannot be imported" in err
    assert list(tmp_path.iterdir()) == []


# ---- in a server ---------------------------------------------------------------------------------


def test_serve_offers_it(server, folder, monkeypatch):
    """A server started with --world plays there by default, and refuses other code."""
    import urllib.error

    monkeypatch.syspath_prepend(str(folder))
    running = server("--world", SPEC, game="brawl")
    begun = running.begin(p0="constant", p1="constant", seed=1)
    listed = json.loads(_get(running.url + "live"))
    assert [match["world"] for match in listed] == [SPEC]
    page = _get(running.url + "arena")
    assert f'value="{SPEC}"' in page
    assert 'name="world"' in page
    own = running.begin(p0="constant", p1="constant", world="brawl@time_limit=50")
    assert own["match"] == begun["match"] + 1
    assert json.loads(_get(running.url + "live"))[0]["world"] == "brawl@time_limit=50"
    for world in ("py:os:getcwd", "py:their_worlds:Short"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            running.begin(p0="constant", p1="constant", world=world)
        assert "must be named when the server is started" in refused.value.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        running.begin(p0="py:os:getcwd", p1="constant")
    assert "an agent of Python code cannot be started here" in refused.value.read().decode()


def _get(url):
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()
