"""Signed tournaments: every kind of lie about a match is found as stated."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from judging import run as trained_run

from shadowbox import cli
from shadowbox.core.game import stable_hash
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.evaluate.ledger import chain
from shadowbox.evaluate.ledger.verify import detection, verify_ledger
from shadowbox.evaluate.tournament import TournamentSpec, tournament
from shadowbox.games import load

GAME = load("brawl")
WORLD = "brawl@time_limit=80"


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Spec of a small policy."""
    return f"policy:{trained_run(tmp_path_factory.mktemp('policy') / 'r')}"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory, policy):
    """A ledger of a tournament of two bots and a policy."""
    path = tmp_path_factory.mktemp("ledger") / "t.jsonl"
    agents = ("based", "random", policy)
    plan = TournamentSpec("brawl", agents, 4, world=WORLD, record=chain.ledger_record(GAME, agents))
    tournament(GAME, plan, path)
    return path


def forged(ledger, tmp_path, change, *, chained=True):
    """The ledger with a changed line; with `chained`, a liar has linked all lines anew."""
    lines = ledger.read_bytes().split(b"\n")[:-1]
    for at in range(1, len(lines)):
        block = json.loads(lines[at])
        block = change(at, block) or block
        if chained:
            block["prev"] = chain.link(lines[at - 1])
        lines[at] = json.dumps(block).encode()
    path = tmp_path / "forged.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def lies(path, share=1.0):
    """Lines and words of the lies that are found."""
    return [(lie["line"], lie["what"]) for lie in verify_ledger(path, GAME, share=share)["false"]]


def test_an_honest_ledger_holds(ledger):
    """Every match is played again bit for bit, and the agents press what is written."""
    facts = verify_ledger(ledger, GAME, share=1.0)
    assert (facts["checked"], facts["matches"], facts["false"]) == (12, 12, [])
    assert facts["same_cpu"]
    assert facts["actions_unchecked"] == []
    assert facts["chance"]["of_one"] == 1.0


def test_an_edited_line_breaks_the_chain(ledger, tmp_path):
    """A line that was changed alone is named."""

    def change(at, block):
        if at == 2:
            block["matches"][0]["frames"] += 1

    with pytest.raises(ShadowboxError, match="line 3: it was changed"):
        verify_ledger(forged(ledger, tmp_path, change, chained=False), GAME)


def test_a_flipped_result_is_named(ledger, tmp_path):
    """With all matches played again, a flipped winner is found even in a chain made anew."""

    def change(at, block):
        if at == 2:
            block["matches"][1]["winner"] = 1 if block["matches"][1]["winner"] != 1 else 0

    path = forged(ledger, tmp_path, change)
    ((line, words),) = lies(path)
    assert line == 3
    assert "its controls give winner" in words
    with pytest.raises(SystemExit) as stop:
        cli.main(["tournament", "verify", str(path), "--share", "1"])
    assert stop.value.code == 1


def test_controls_that_no_bot_presses_are_found(ledger, tmp_path):
    """Controls of a bot that were replaced, with the result that they give, are not its own."""
    spec = json.loads(ledger.read_bytes().split(b"\n")[0])["agents"][1]
    assert spec == "random"

    def change(at, block):
        if block["block"][:2] == ["based", "random"]:
            said = block["matches"][0]
            controls = chain.unpacked_controls(GAME.schema, said["controls"], said["frames"])
            for values in controls.values():
                values[60, 0] ^= True
            last = {k: np.concatenate([v, np.zeros_like(v[:1])]) for k, v in controls.items()}
            said["controls"] = chain.packed_controls(GAME.schema, last)

    found = lies(forged(ledger, tmp_path, change))
    assert len(found) == 1


def test_controls_that_no_policy_draws_are_found_on_any_machine(
    ledger, tmp_path, policy, monkeypatch
):
    """On another kind of machine a policy's controls are held against its probabilities."""
    from shadowbox.core import system

    assert lies(ledger) == []
    monkeypatch.setattr(system, "processor", lambda: "another")
    assert lies(ledger) == []

    def change(at, block):
        if block["block"][:2] == ["based", policy]:
            said = block["matches"][0]
            controls = chain.unpacked_controls(GAME.schema, said["controls"], said["frames"])
            for values in controls.values():
                values[:, 1] = np.arange(len(values)) % 2 == 0  # all keys, every other frame
            last = {k: np.concatenate([v, np.zeros_like(v[:1])]) for k, v in controls.items()}
            said["controls"] = chain.packed_controls(GAME.schema, last)

    found = lies(forged(ledger, tmp_path, change))
    assert found


def test_damaged_controls_are_a_lie(ledger, tmp_path):
    """Controls that cannot be read, or are too short, are named as such."""

    def change(at, block):
        if at == 1:
            block["matches"][0]["controls"] = "????"
            block["matches"][1]["frames"] += 80

    words = [what for _, what in lies(forged(ledger, tmp_path, change))]
    assert words[0].startswith("its controls cannot be read")
    assert words[1].startswith("its controls are too short")


def test_the_chance_to_find_a_lie_is_that_of_drawing_it():
    """Of 1,000 matches with 10 lies, 100 checked ones find a lie with 65 %."""
    assert detection(1000, 100, 10) == pytest.approx(0.653, abs=1e-3)
    assert detection(12, 12, 1) == 1.0
    draws = np.array([stable_hash(at) % 1000 for at in range(20000)]).reshape(-1, 100)
    drawn = np.mean([len(set(row)) > 0 and (row < 10).any() for row in draws])
    assert drawn == pytest.approx(detection(1000, 100, 10), abs=0.1)


def test_a_ledger_without_controls_says_how_to_make_one(tmp_path):
    """A plain ledger cannot be verified."""
    plan = TournamentSpec("brawl", ("based", "random"), 2, world="brawl@time_limit=20")
    tournament(GAME, plan, tmp_path / "plain.jsonl")
    with pytest.raises(UsageError, match="tournament --sign KEY"):
        verify_ledger(tmp_path / "plain.jsonl", GAME)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_a_signature_fits_one_file_and_one_key(ledger, tmp_path):
    """The signer is named; another file, and a key that is not allowed, are refused."""
    copy, keys = tmp_path / "t.jsonl", [tmp_path / "one", tmp_path / "two"]
    copy.write_bytes(ledger.read_bytes())
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    chain.sign(copy, keys[0])
    allowed = [tmp_path / "allowed one", tmp_path / "allowed two"]
    for key, file, name in zip(keys, allowed, ("ann@home", "bob@home"), strict=True):
        file.write_text(f"{name} {key.with_suffix('.pub').read_text()}", encoding="utf-8")
    assert verify_ledger(copy, GAME, signers=allowed[0])["signed_by"] == "ann@home"
    assert "SHA256" in verify_ledger(copy, GAME)["signed_by"]
    with pytest.raises(ShadowboxError, match="its key is not in"):
        verify_ledger(copy, GAME, signers=allowed[1])
    anew = forged(copy, tmp_path, lambda at, block: block["matches"][0].update(winner=None))
    chain.signature_file(anew).write_bytes(chain.signature_file(copy).read_bytes())
    with pytest.raises(ShadowboxError, match=r"its signature .* does not fit"):
        verify_ledger(anew, GAME)
