"""Hub folders: pushed and pulled without a difference, tampering and private texts refused by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import shadowbox as sb
from shadowbox import cli
from shadowbox.data.store import Store
from shadowbox.data.verify import verify
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.games import load
from shadowbox.hub.listing import LIST, parse_list
from shadowbox.hub.pull import pull
from shadowbox.hub.push import push
from shadowbox.hub.scan import scan
from shadowbox.play.checkpoints import trained_split

BRAWL = load("brawl")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store and a run of two steps on it."""
    root = tmp_path_factory.mktemp("hub")
    here = os.getcwd()
    os.chdir(root)
    try:
        store = sb.record("brawl", "aggressive", "based", out="data/first", matches=24,
                          world="brawl@time_limit=60")  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", str(store.path), "--out", "runs/first", "--preset", "tiny",
                      "--steps", "2", "--batch", "8", "--shares", "50/50/0"])  # fmt: skip
        assert stop.value.code == 0
        push("runs/first", "run", license="mit")
        push("data/first", "store")
    finally:
        os.chdir(here)
    return root


@pytest.fixture
def work(made, monkeypatch):
    """The folder as the current one; pulled folders go elsewhere."""
    monkeypatch.chdir(made)
    return made


def content(folder):
    """Bytes of each file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- there and back ------------------------------------------------------------------------------


def test_a_pulled_run_is_evaluated_to_the_same_bits(work, tmp_path):
    """Push, pull, evaluate again: the same figures to the last bit, with the run's own split."""
    from shadowbox.evaluate.policy import evaluate

    facts = pull("run", tmp_path / "again")
    assert (facts["kind"], facts["name"], facts["license"]) == ("run", "first", "mit")
    store, config = Store("data/first"), EvalConfig(matches=2, most=2)
    reports = [
        evaluate(str(run), store.path, config, game=BRAWL).report().to_json()
        for run in ("runs/first", tmp_path / "again")
    ]
    for place in ("spec", "checkpoint"):
        assert reports[0].pop(place) != reports[1].pop(place)
    assert json.dumps(reports[0], sort_keys=True) == json.dumps(reports[1], sort_keys=True)
    assert reports[0]["figures"]
    assert trained_split(tmp_path / "again")[1] == store.fingerprint


def test_a_pulled_run_is_a_parent_with_its_lineage(work, tmp_path):
    """A run goes on from a pulled one, whose facts it knows."""
    pull("run", tmp_path / "parent")
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "data/first", "--out", str(tmp_path / "child"), "--preset", "tiny",
              "--parent", str(tmp_path / "parent"), "--steps", "1", "--batch", "8"])  # fmt: skip
    assert stop.value.code == 0
    facts = json.loads((tmp_path / "child" / "run.json").read_text())
    assert facts["lineage"][-1]["run"] == str(tmp_path / "parent")


def test_a_pulled_store_is_the_same_store(work, tmp_path):
    """The files are equal, every digest is verified, and changing the copy leaves the store alone."""
    pull("store", tmp_path / "again")
    again = Store(tmp_path / "again")
    assert again.fingerprint == Store("data/first").fingerprint
    assert verify(again) == []
    before = content(work / "data/first")
    (work / "store" / "00000.meta.jsonl").write_bytes(b"")
    assert content(work / "data/first") == before
    push("data/first", "store", overwrite=True)
    readme = (work / "store" / "README.md").read_text(encoding="utf-8")
    assert again.fingerprint in readme
    assert "| `player/x` |" in readme
    assert " .. " in readme.partition("## Baselines")[2]


def test_what_ships_and_a_card_are_pushed(work, tmp_path):
    """The champion comes back playing the same match, and a card comes back as it was."""
    push("policy:champion", str(tmp_path / "champion"))
    facts = pull(str(tmp_path / "champion"), tmp_path / "pulled")
    assert (facts["kind"], facts["license"]) == ("checkpoint", "mit")
    world = "brawl@time_limit=90"
    one, two = (
        sb.play("brawl", f"policy:{name}", "based", seed=3, world=world).episode.columns
        for name in ("champion", tmp_path / "pulled")
    )
    assert all(np.array_equal(one[key], two[key]) for key in one)
    readme = (tmp_path / "pulled" / "README.md").read_text(encoding="utf-8")
    assert "| `wins.expert` | 0.965 (0.9376 .. 0.9806) | even 0.5" in readme

    card = "cards/brawl-clone.md"
    shutil.copytree(ROOT / "cards", tmp_path / "cards")
    push(str(tmp_path / card), str(tmp_path / "card"))
    pull(str(tmp_path / "card"), tmp_path / "back")
    assert (tmp_path / "back/brawl-clone.md").read_bytes() == (ROOT / card).read_bytes()
    assert "win_rate_gap" in (tmp_path / "back/README.md").read_text(encoding="utf-8")


def test_pull_chooses_a_place_and_keeps_what_is_there(work, tmp_path, monkeypatch, capsys):
    """The default place is that of the kind; a folder that exists is never written over."""
    monkeypatch.chdir(tmp_path)
    for words in (["pull", str(work / "run"), "--json"], ["push", "runs/first", "copy", "--json"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["folder"] == "runs/first"
    assert lines[1]["files"] == lines[0]["files"]
    for call in (lambda: pull(str(work / "run")), lambda: push("runs/first", "copy")):
        with pytest.raises(UsageError, match="is there already"):
            call()
    push("runs/first", "copy", overwrite=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="mine is not a hub folder"):
        push("runs/first", "mine", overwrite=True)


# ---- tampering -----------------------------------------------------------------------------------


@pytest.fixture
def folder(work, tmp_path):
    """A pushed run to tamper with."""
    return shutil.copytree(work / "run", tmp_path / "tampered")


def refused(folder, tmp_path, match, **options):
    """Pull refuses a folder, and keeps nothing of it."""
    with pytest.raises(ShadowboxError, match=match):
        pull(str(folder), tmp_path / "got", **options)
    assert [path.name for path in tmp_path.iterdir() if "got" in path.name] == []


@pytest.mark.parametrize("name", ["model.safetensors", "run.json", "README.md", "done"])
def test_a_changed_file_is_refused_by_name(folder, tmp_path, name):
    """One flipped bit in any file is found."""
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    refused(folder, tmp_path, rf"tampered/{name} was changed")


def test_files_that_are_missing_longer_or_added_are_refused_by_name(folder, tmp_path):
    """The folder holds exactly the files of its list, each of its length."""
    (folder / "extra.json").write_text("{}")
    refused(folder, tmp_path, r"extra\.json is not in hub\.json")
    (folder / "extra.json").unlink()
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(b"\n")
    refused(folder, tmp_path, r"metrics\.jsonl was changed: \d")
    (folder / "metrics.jsonl").unlink()
    refused(folder, tmp_path, r"metrics\.jsonl is missing")


def test_links_and_folders_are_refused_by_name(folder, tmp_path):
    """A file that leads elsewhere is not followed, also if its content would be right."""
    (folder / "done").rename(tmp_path / "done")
    (folder / "done").symlink_to(tmp_path / "done")
    refused(folder, tmp_path, r"tampered/done is a link")
    (folder / "done").unlink()
    (folder / "done").mkdir()
    refused(folder, tmp_path, r"tampered/done is a link, a folder")
    (folder / "done").rmdir()
    (folder / LIST).rename(tmp_path / LIST)
    (folder / LIST).symlink_to(tmp_path / LIST)
    refused(folder, tmp_path, r"hub\.json is a link")


def test_a_list_that_was_written_again_is_found_by_its_digest(folder, tmp_path):
    """A file and the list changed together are refused where the digest of `push` is given."""
    shown = pull(str(folder), tmp_path / "true")["digest"]
    data = json.loads((folder / LIST).read_text())
    (folder / LIST).write_text(json.dumps(data))
    refused(folder, tmp_path, "it is not the folder that was pushed", digest=shown)
    pull(str(folder), tmp_path / "unpinned")


@pytest.mark.parametrize(
    "name",
    ["../out.json", "/etc/x.json", "a/b.json", "a\\b.json", "..json", "C:x.json", ".hidden.json",
     "code.py", "trainer.pt", "model.pkl", "x.json\0.py", "hub.json", "a\n.json"],
)  # fmt: skip
def test_names_that_lead_out_or_could_run_are_refused(folder, tmp_path, name):
    """No path, no hidden file, no pickle and no code comes in, whatever the list says."""
    data = json.loads((folder / LIST).read_text())
    data["files"][name] = data["files"]["run.json"]
    with pytest.raises(ShadowboxError, match=r"hub\.json names"):
        parse_list(json.dumps(data).encode(), "remote")
    (folder / LIST).write_text(json.dumps(data))
    refused(folder, tmp_path, r"hub\.json names")


@pytest.mark.parametrize(
    "change",
    [{"kind": "program"}, {"version": 9}, {"format": "x"}, {"name": "../x"}, {"game": "melee"},
     {"files": {}}, {"files": []}, {"name": "a/b"}],
)  # fmt: skip
def test_other_lists_are_refused(folder, tmp_path, change):
    """Kinds, versions, names and games that are not as they should be end in one line."""
    data = {**json.loads((folder / LIST).read_text()), **change}
    (folder / LIST).write_text(json.dumps(data))
    refused(folder, tmp_path, "hub.json")


# ---- private texts -------------------------------------------------------------------------------


def with_names(work, tmp_path):
    """A store whose metadata names people and places."""
    store = Store(work / "data/first")
    made = {"ingest": ["/home/ana/replays/set"]}
    with Writer(tmp_path / "named", store.schema, event_kinds=store.manifest.event_kinds,
                made=made) as writer:  # fmt: skip
        for number in range(3):
            meta = {**store.meta_of(number), "players": ["Ana Lopez", "ABCD#123"]}
            span = {"seat": 0, "from": 0, "to": 5, "by": "person:Bo"}
            meta |= {"spans": [span], "note": "mail bo@example.org, see C:\\Users\\bo\\x"}
            writer.add_packed(
                store.rows_of(number), store.events_of(number), meta,
                np.array(store.line_of(number)["absent"]),
            )  # fmt: skip
    return tmp_path / "named"


def test_names_codes_and_paths_are_refused_with_their_place(work, tmp_path):
    """The message says file, line, key and text, and nothing is left at the remote."""
    named = with_names(work, tmp_path)
    with pytest.raises(ShadowboxError) as error:
        push(str(named), str(tmp_path / "out"))
    for text in (
        "manifest.json: made: absolute path '/home/ana/replays/set'",
        "00000.meta.jsonl, line 1: players: name of a player 'Ana Lopez'",
        "00000.meta.jsonl, line 1: spans: name of a player 'person:Bo'",
        "00000.meta.jsonl, line 1: note: mail address 'bo@example.org'",
    ):
        assert text in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["named"]


def test_private_texts_are_replaced_or_allowed(work, tmp_path):
    """With --replace no file holds them, the fingerprint stays, and a person is one pseudonym."""
    named = with_names(work, tmp_path)
    push(str(named), str(tmp_path / "out"), replace=True)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for text in (b"Ana", b"ABCD#123", b"person:Bo", b"/home/ana", b"bo@example", b"Users"):
        assert text not in everything
    pull(str(tmp_path / "out"), tmp_path / "back")
    back = Store(tmp_path / "back")
    assert back.fingerprint == Store(named).fingerprint
    assert verify(back) == []
    players = [tuple(back.meta_of(number)["players"]) for number in range(3)]
    assert len(set(players)) == 1
    assert all(name.startswith("player-") for name in players[0])
    assert back.manifest.made["ingest"] == ["set"]

    allow = ["Ana Lopez", "ABCD#123", "person:Bo", "/home/ana/replays/set", "bo@example.org",
             "C:\\Users\\bo\\x"]  # fmt: skip
    push(str(named), str(tmp_path / "open"), allow=allow)
    assert Store(tmp_path / "open").meta_of(0)["players"] == ["Ana Lopez", "ABCD#123"]


def test_facts_of_a_run_and_headers_of_weights_are_scanned(work, tmp_path):
    """An absolute path in run.json is refused or shortened, and so is one beside the weights."""
    run = shutil.copytree(work / "runs/first", tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "store": "/srv/data/first"}))
    with pytest.raises(ShadowboxError, match=r"run\.json: store: absolute path '/srv/data/first'"):
        push(str(run), str(tmp_path / "out"))
    push(str(run), str(tmp_path / "out"), replace=True)
    assert pull(str(tmp_path / "out"), tmp_path / "back")["kind"] == "run"
    assert json.loads((tmp_path / "back/run.json").read_text())["store"] == "first"

    from safetensors.numpy import load_file, save_file

    weights = load_file(tmp_path / "back/model.safetensors")
    folder = tmp_path / "weights"
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"by": "/home/ana/x"})
    assert [each.text for each in scan(folder, frozenset())] == ["/home/ana/x"]


def test_usual_texts_are_not_taken_for_private_ones(tmp_path):
    """Specs, episodes of stores, addresses of pages, shares and fields pass."""
    data = {
        "players": ["based", "policy:runs/x@0.9", "player-0123456789ab", "cpu-9", "unknown", "me"],
        "from": "data/brawl#12:40", "store": "data/brawl", "split": "50/50/0",
        "spec": "policy:champion@delay=6", "page": "https://example.org/a/b",
        "key": "player/x", "relative": "../runs/x", "hash": "sha256:00ff/ab",
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(data))
    (tmp_path / "b.md").write_text("| a/b | <td></td> [x](docs/x.md) and/or 3/4, `runs/x/1`\n")
    assert scan(tmp_path, frozenset({"based"})) == []


def test_the_shipped_cards_can_be_pushed():
    """The cards of this project hold no private text."""
    assert scan(ROOT / "cards", frozenset()) == []
