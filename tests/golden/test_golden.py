"""Files of every released version: what its users have on disk opens in this one, with the same numbers.

`write.py` beside this file says how a folder was made.
"""

import json
import shutil
from pathlib import Path

import pytest
import write

from shadowbox import cli

HERE = Path(__file__).parent
OLDEST = "before-0.1.0"
MIGRATED = {OLDEST}  # versions whose cards, runs and checkpoints a later format has replaced
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/expected.json"))


@pytest.fixture(params=VERSIONS)
def files(request, tmp_path, monkeypatch, capsys):
    """The folder of a version, copied, brought up to date where that is needed, and entered."""
    shutil.copytree(HERE / request.param, tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    if request.param in MIGRATED:
        call(capsys, "migrate", "cards", "runs")
    return tmp_path / "files"


@pytest.fixture
def expected(files):
    """The numbers that this version wrote down."""
    return json.loads((files / "expected.json").read_bytes())


@pytest.fixture
def oldest(tmp_path, monkeypatch):
    """The files of before 0.1.0 as they were, copied and entered."""
    shutil.copytree(HERE / OLDEST, tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    return tmp_path / "files"


def call(capsys, *words, status=0):
    """Call the command line: its output, and its error, too, where it must fail."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert stop.value.code == status, err
    return out + err if status else out


def answer(capsys, *words):
    """The object that a command prints with --json."""
    return json.loads(call(capsys, *words, "--json"))


def probabilities(capsys, episode, player):
    """The probability of each button in one frame, as `write.probabilities` has it."""
    words = ("--probe", f"data/golden#{episode}:{write.FRAME}", "--player", player)
    buttons = answer(capsys, "eval", "runs/golden/0", *words)["buttons"]
    return {name: each["probability"] for name, each in buttons.items()}


def test_every_release_is_here():
    """There is a folder of this version, and one of before the first."""
    assert {"0.1.0", OLDEST} <= set(VERSIONS)


def test_a_store_opens(files, expected, capsys):
    """A store is undamaged and has its fingerprint, its episodes and their values."""
    assert answer(capsys, "audit", "data/golden", "--verify")["verified"]
    assert answer(capsys, "store", "info", "data/golden")["fingerprint"] == expected["fingerprint"]
    for at, episode in enumerate(expected["episodes"]):
        assert answer(capsys, "store", "info", f"data/golden#{at}") == episode
    assert len(expected["episodes"]) == 5
    assert write.first_values(files) == expected["values"]


def test_a_match_opens_and_is_played_again(files, expected, capsys):
    """A stored match becomes a page, and the call in the card plays the same matches, bit for bit."""
    call(capsys, "view", "data/golden#0", "--out", "again.html")
    assert "<script" in (files / "again.html").read_text()
    shutil.rmtree(files / "data")
    call(capsys, "card", "make", "golden")
    assert answer(capsys, "store", "info", "data/golden")["fingerprint"] == expected["fingerprint"]


def test_a_policy_says_the_same(files, expected, capsys):
    """A checkpoint gives every button the probability that it had, and plays a match."""
    now = [probabilities(capsys, *each) for each in write.PROBED]
    assert now == [pytest.approx(each, abs=1e-5) for each in expected["probabilities"]]
    played = answer(capsys, "match", "brawl", "--p0", "policy:runs/golden/0", "--p1", "based")
    assert played["frames"] > 60
    assert "forfeit" not in played["reason"]


def test_a_policy_is_evaluated(files, capsys):
    """`eval` loads a checkpoint and judges it on the side of the split that it never saw."""
    found = answer(capsys, "eval", "runs/golden/0", "data/golden", "--matches", 2, "--episodes", 2)
    assert found["side"] == "val"
    assert found["episodes"] == 2


def test_a_run_goes_on(files, capsys):
    """A card that has run is finished for this version, too: going on with it trains nothing."""
    before = (files / "runs/golden/0/metrics.jsonl").read_bytes()
    call(capsys, "run", "cards/golden.md", "--resume")
    assert (files / "runs/golden/0/metrics.jsonl").read_bytes() == before
    call(capsys, "report", "runs/golden/0", "--out", "run.html")


def test_a_card_reads(files, expected, capsys):
    """A card is right, has the hash and the figures that it had, and its results are of it."""
    from shadowbox.cards.file import CardFile
    from shadowbox.experiment.results import stored_results

    call(capsys, "card", "check", "golden")
    file = CardFile.read(files / "cards/golden.md")
    known = stored_results(file)
    assert not file.edited()
    assert known["contract"] == file.hash
    assert [each["value"] for each in known["targets"]] == list(expected["targets"].values())
    assert expected["card_hash"] == known.get("moved", {}).get("from", file.hash)


# ---- before 0.1.0 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("eval", "runs/golden/0", "data/golden"), "runs/golden/0/checkpoints/00000020"),
        (("match", "brawl", "--p0", "policy:runs/golden/0", "--p1", "based"), "runs/golden/0"),
        (("report", "runs/golden/0"), "runs/golden/0"),
        (("card", "check", "golden"), "cards/golden.md"),
        (("run", "cards/golden.md"), "cards/golden.md"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_older_files_are_refused(oldest, capsys, words, path):
    """Each command that meets an older file says the command that brings it up to date."""
    assert f"run `shadowbox migrate {path}" in call(capsys, *words, status=1)


def test_an_older_policy_says_the_same(oldest, capsys):
    """A migrated checkpoint has the probabilities that the older version computed, to six digits."""
    call(capsys, "migrate", "runs")
    before = json.loads((oldest / "expected.json").read_bytes())["probabilities"]
    now = [probabilities(capsys, *each) for each in write.PROBED]
    assert now == [pytest.approx(each, abs=1e-6) for each in before]


def test_an_older_card_keeps_every_other_letter(oldest, capsys):
    """Of a head only names change: comments, order, quotes and numbers stay."""
    before = (oldest / "cards/golden.md").read_text()
    assert "# the first comment" in before
    call(capsys, "migrate", "cards")
    after = (oldest / "cards/golden.md").read_text()
    assert after.startswith(write.CARD.rpartition("---")[0])
    assert not before.startswith(write.CARD.rpartition("---")[0])


def test_dry_run_changes_nothing(oldest, capsys):
    """--dry-run names the same changes as the migration that follows, and writes nothing."""
    before = {path: path.read_bytes() for path in oldest.glob("**/*") if path.is_file()}
    planned = answer(capsys, "migrate", ".", "--dry-run")["files"]
    assert {path: path.read_bytes() for path in oldest.glob("**/*") if path.is_file()} == before
    assert answer(capsys, "migrate", ".")["files"] == planned
    assert sum(bool(each["changes"]) for each in planned) == 5
    assert not any(each["changes"] for each in answer(capsys, "migrate", ".")["files"])


def test_runs_follow_their_card(oldest, capsys):
    """A run has the new hash of its card where both are migrated in one call, or the card before."""
    call(capsys, "migrate", "cards")
    call(capsys, "migrate", "cards", "runs")
    from shadowbox.cards.file import CardFile

    file = CardFile.read(oldest / "cards/golden.md")
    facts = json.loads((oldest / "runs/golden/0/run.json").read_bytes())
    verdict = json.loads((oldest / "runs/golden/verdict.json").read_bytes())
    assert facts["card_hash"] == verdict["contract"] == file.hash
    assert verdict["moved"] == file.data("results")["moved"]


def test_an_older_run_is_continued(oldest, capsys):
    """An older run, migrated, is a parent with its optimizer, and its own figures have present names."""
    call(capsys, "migrate", ".")
    last = (oldest / "runs/golden/0/metrics.jsonl").read_text().splitlines()[-1]
    assert {"accuracy/copy_last", "change_nll"} <= set(json.loads(last))
    words = ("data/golden", "--preset", "tiny", "--steps", 2, "--batch", 2, "--shares", "60/40/0")
    settings = {"width": 4, "depth": 1, "frames": 1, "head_width": 8, "prev_control_dropout": 0.1,
                "relative_positions": "false"}  # fmt: skip
    more = [word for name, value in settings.items() for word in ("--with", f"{name}={value}")]
    parent = ("--parent", "runs/golden/0", "--parent-optimizer", "--out", "runs/next")
    call(capsys, "train", *words, *more, *parent)
