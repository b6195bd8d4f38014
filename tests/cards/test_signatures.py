"""Signatures: what they are bound to, and what voids them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promises import HEAD, checked, games, ran, write

from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile
from shadowbox.errors import CardError, UsageError

REVIEWED = {"reviewers": {"min": 2, "required": ["ada"]}}


def signed(path, who, did="signed", note="", data=None, identity=""):
    """The card with one signature more."""
    found = checked(path)
    signatures.add_signature(
        found.file,
        who,
        did,
        settings=found.settled.hash,
        data=data or found.facts["fingerprint"],
        commit=None,
        note=note,
        identity=identity,
    ).write()


def standing(path):
    """How its signatures stand."""
    found = checked(path)
    return signatures.signature_status(
        found.file, found.card, found.settled.hash, found.facts["fingerprint"]
    )


def test_enough(project):
    """A card that needs two signatures, one by name, runs with both; an approving review counts as one."""
    path = write(**REVIEWED)
    assert standing(path).missing == ["ada must sign", "2 must sign, 0 did"]
    with pytest.raises(CardError, match="is not signed: ada must sign"):
        ran(path)
    signed(path, "bob")
    assert standing(path).missing == ["ada must sign", "2 must sign, 1 did"]
    signed(path, "ada", "approved", "fine")
    assert standing(path).enough
    assert ran(path)[0].verdict == "passed"


def test_changes_asked_for(project):
    """Who asks for changes keeps a card from running until they approve it."""
    path = write(reviewers={"min": 1})
    signed(path, "ada")
    signed(path, "bob", "asked for changes", "one <b>more</b> seed | please -->")
    assert standing(path).missing == ["bob asked for changes: one <b>more</b> seed | please -->"]
    assert CardFile.read(path).edited() == []
    signed(path, "bob", "approved", "thanks")
    assert standing(path).enough


@pytest.mark.parametrize("old", ["0.003", "goal", "seeds" if "seeds" in HEAD else "tiny", "50/50"])
def test_one_letter(project, old):
    """One letter of the contract voids the signature, and the line is shown as it was and as it is."""
    path = write(reviewers={"min": 1})
    signed(path, "ada")
    text = path.read_text()
    at = text.index(old, 4)
    path.write_text(
        text[: at + len(old) - 1]
        + ("1" if text[at + len(old) - 1] != "1" else "2")
        + text[at + len(old) :]
    )
    line = text.count("\n", 0, at) + 1
    (entry, why) = signing_void(path)
    assert entry.who == "ada"
    assert f"line {line}: - {text.splitlines()[line - 1]}" in why
    assert f"line {line}: + {path.read_text().splitlines()[line - 1]}" in why


def signing_void(path):
    """The one void signature of a card that may be wrong by now."""
    file = CardFile.read(path)
    from shadowbox.cards import card

    (found,) = signatures.signature_status(file, card.read_card(file).card, "any", None).void
    return found


def test_prose_and_blocks(project):
    """Prose, facts, estimates and results are nobody's promise: editing them voids nothing."""
    path = write(reviewers={"min": 1})
    signed(path, "ada")
    file = CardFile.read(path)
    file.with_block("facts", "| a | b |").with_block("results", "none").write()
    path.write_text(path.read_text().replace("Some prose.", "Other prose, much longer."))
    assert standing(path).enough


def test_other_settings(project, monkeypatch):
    """The same text with other defaults behind it is another promise."""
    from shadowbox.learners.imitation_spec import _ImitationSpec

    path = write(reviewers={"min": 1})
    signed(path, "ada")
    usual = _ImitationSpec.defaults.fget
    monkeypatch.setattr(
        _ImitationSpec,
        "defaults",
        property(lambda self: {**usual(self), "static_segment_keep": 0.5}),
    )
    (found,) = standing(path).void
    assert "now means other settings" in found[1]


def test_other_data(project):
    """Another store in the same place is another promise."""
    path = write(reviewers={"min": 1})
    signed(path, "ada", data="other")
    (found,) = standing(path).void
    assert "the data is another" in found[1]


def test_unsigned(project):
    """A run without its signatures, or with --set, says so in everything that it makes."""
    path = write(**REVIEWED)
    found, _ = ran(path, unsigned=True, changes={"train.lr": 0.001})
    assert found.stamps == ["--set train.lr=0.001", "--unsigned"]
    assert "Not as the card says: --set train.lr=0.001, --unsigned." in path.read_text()
    assert '"--unsigned"' in (project / "runs" / "toy" / "verdict.json").read_text()
    assert '"--unsigned"' in (project / "runs" / "toy" / "0" / "run.json").read_text()


def test_one_identity(project, monkeypatch):
    """A signature keeps git's identity, whatever name was given; one identity of two names is marked."""
    from shadowbox.experiment.facts_table import signature_rows

    (project / "gitconfig").write_text("[user]\nname = Ada L\nemail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(project / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    identity = signatures.git_identity()
    assert (identity, signatures.default_signer()) == ("Ada L <ada@example.org>", "ada-l")
    path = write(reviewers={"min": 2})
    signed(path, "ada", identity=identity)
    assert standing(path).shared == []
    signed(path, "bob", identity=identity)
    signed(path, "eve")
    found = standing(path)
    assert found.shared == ["ada and bob are one identity: Ada L <ada@example.org>"]
    assert found.enough
    rows = list(signature_rows(checked(path)))
    assert found.shared[0] in rows
    assert rows[0].endswith("(git: Ada L <ada@example.org>)")


def test_open_points_keep_from_approval(project, monkeypatch, capsys):
    """A review approves only once every point of `checks` is done; changes can always be asked for."""
    from shadowbox.cli import card as command
    from shadowbox.cli import card_signing

    for module in (command, card_signing):
        monkeypatch.setattr(module, "load", games)
    path = write(checks=["the seed is fair", {"text": "the data is here", "done": True}])
    with pytest.raises(CardError, match="1 point of its `checks` are open: the seed is fair"):
        card_signing.review.callback("toy", "approve", "good", "ada", as_json=False)
    assert signatures.read_signatures(CardFile.read(path)) == []
    card_signing.review.callback("toy", "changes", "not yet", "ada", as_json=False)
    path.write_text(path.read_text().replace("- the seed is fair", "- {text: fair, done: true}"))
    card_signing.review.callback("toy", "approve", "good", "ada", as_json=False)
    assert standing(path).enough
    command.check_cards.callback(("toy",), (), write=False, as_json=False)
    assert "done             fair" in capsys.readouterr().out


def test_damaged_block(project):
    """Signatures that cannot be read are a mistake in the card, not nothing."""
    path = write(reviewers={"min": 1})
    signed(path, "ada")
    path.write_text(path.read_text().replace('{"signatures"', '{"signaturez": 3, "x"'))
    assert {mistake.field for mistake in checked(path).mistakes} == {"card:signatures"}


def test_who(project):
    """A name is a name, and a note has an end."""
    path = write()
    with pytest.raises(UsageError, match="cannot sign"):
        signed(path, "ada <script>")
    with pytest.raises(UsageError, match="letters"):
        signed(path, "ada", note="x" * 3000)


@given(st.text(max_size=300))
def test_any_note(text):
    """Any note is kept word for word, and ends no block."""
    from pathlib import Path

    file = CardFile(Path("x.md"), "---\ngoal: x\n---\n")
    signed_file = signatures.add_signature(
        file, "ada", "signed", settings="s", data=None, commit=None, note=text
    )
    again = CardFile(Path("x.md"), signed_file.text)
    assert [entry.note for entry in signatures.read_signatures(again)] == [" ".join(text.split())]
    assert again.edited() == []
    assert again.head == file.head
