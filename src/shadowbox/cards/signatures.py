"""Signatures of cards, each bound to the contract's text, its resolved settings and its data.

The contract is kept, compressed, beside the signatures, so that the lines changed after signing can
be shown.
"""

from __future__ import annotations

import difflib
import getpass
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from shadowbox.cards import file as cardfile
from shadowbox.cards.card import Card
from shadowbox.cards.field_types import NAME
from shadowbox.cards.file import CardFile, data_line
from shadowbox.cards.migrate import rename_head
from shadowbox.errors import CardError, UsageError

BLOCK = "signatures"
SignatureKind = Literal["signed", "approved", "asked for changes"]
LONGEST_NOTE = 2000


@dataclass(frozen=True)
class Signature:
    """A person's signature or review of a card."""

    who: str
    did: SignatureKind
    when: str
    contract: str  # hash of the head's text
    settings: str  # hash of all settings, defaults too
    data: str | None  # fingerprint, where the data was here
    commit: str | None
    note: str = ""
    moved: str = ""  # hash of the text that was signed, where only names have changed since
    identity: str = ""  # git's name and address at signing, whatever name was given


@dataclass(frozen=True)
class SignatureStatus:
    """Validity of a card's signatures."""

    valid: list[Signature]
    void: list[tuple[Signature, str]]  # and why
    missing: list[str]  # what is still needed, in words
    shared: list[str] = field(default_factory=list)  # names that one identity signed as, in words

    @property
    def enough(self) -> bool:
        """True if the required signatures are present and valid."""
        return not self.missing


def add_signature(
    file: CardFile,
    who: str,
    did: SignatureKind,
    *,
    settings: str,
    data: str | None,
    commit: str | None,
    note: str = "",
    identity: str = "",
) -> CardFile:
    """Add a signature to a card; replaces an earlier one by the same person.

    `identity` is git's name and address of the person at the keyboard (`git_identity`).
    """
    if not NAME.fullmatch(who):
        raise UsageError(
            f"'{who[:80]}' cannot sign: letters, digits, dots, - and _; give a name with --as"
        )
    if len(note) > LONGEST_NOTE:
        raise UsageError(f"the note has {len(note):,} letters, at most {LONGEST_NOTE:,} are kept")
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    mine = Signature(
        who, did, when, file.hash, settings, data, commit, " ".join(note.split()), "", identity
    )
    found = [entry for entry in read_signatures(file) if entry.who != who] + [mine]
    texts = {
        contract: text
        for contract, text in _contracts(file).items()
        if any(contract in (entry.contract, entry.moved) for entry in found)
    }
    texts[file.hash] = cardfile.packed(file.head)
    return file.with_block(BLOCK, _block(found, texts))


def move_signatures(file: CardFile, before: CardFile, settings: str, present: str) -> CardFile:
    """The card with the signatures of `before`, whose names have changed since.

    Those under these settings get the present hashes and a note of the text that was signed, which
    is kept; all others stay as they are.
    """
    found = [
        replace(entry, contract=file.hash, settings=present, moved=before.hash)
        if (entry.contract, entry.settings) == (before.hash, settings)
        else entry
        for entry in read_signatures(before)
    ]
    texts = _contracts(before) | {file.hash: cardfile.packed(file.head)}
    return file.with_block(BLOCK, _block(found, texts))


def read_signatures(file: CardFile) -> list[Signature]:
    """Signatures in a card; raises if the block is damaged."""
    try:
        return [_signature(entry) for entry in _data(file).get("signatures", [])]
    except (TypeError, ValueError) as error:
        raise CardError(
            f"{file.path}: the block of signatures cannot be read; delete it and sign again"
        ) from error


def _signature(entry: dict[str, Any]) -> Signature:
    found = Signature(**entry)
    for name, value in asdict(found).items():
        if not isinstance(value, str) and not (value is None and name in ("data", "commit")):
            raise TypeError(f"{name} is not text")
    return found


def signature_problems(file: CardFile) -> Iterator[tuple[int, str]]:
    """Line and message of each problem in the signatures block."""
    try:
        read_signatures(file)
    except CardError as error:
        yield (
            file.text.count("\n", 0, file.text.find(f"<!-- card:{BLOCK}")) + 1,
            str(error).partition(": ")[2],
        )


def signature_status(
    file: CardFile, card: Card, settings: str, data: str | None
) -> SignatureStatus:
    """Valid signatures, void ones with the reason, and missing ones."""
    valid, void = [], []
    for entry in read_signatures(file):
        reason = _why_void(entry, file, settings, data)
        if reason:
            void.append((entry, reason))
        else:
            valid.append(entry)
    for_it = {entry.who for entry in valid if entry.did != "asked for changes"}
    missing = [
        f"{entry.who} asked for changes: {entry.note or 'no note'}"
        for entry in valid
        if entry.did == "asked for changes"
    ]
    missing += [f"{name} must sign" for name in card.reviewers.required if name not in for_it]
    if len(for_it) < card.reviewers.min:
        missing.append(f"{card.reviewers.min} must sign, {len(for_it)} did")
    return SignatureStatus(valid, void, missing, list(_shared(valid)))


def _shared(valid: list[Signature]) -> Iterator[str]:
    """Names under which one identity signed."""
    names: dict[str, list[str]] = {}
    for entry in valid:
        if entry.identity:
            names.setdefault(entry.identity, []).append(entry.who)
    for identity, signed_as in names.items():
        if len(signed_as) > 1:
            yield f"{' and '.join(signed_as)} are one identity: {identity}"


def require_checked(card: Card) -> None:
    """Refuse an approval while a point of the reviewers' list is open."""
    if left := [check.text for check in card.checks if not check.done]:
        points = "1 point" if len(left) == 1 else f"{len(left)} points"
        raise CardError(
            f"card {card.id} cannot be approved: {points} of its `checks` are open: "
            + "; ".join(left)
            + " (mark each as {text: ..., done: true} once it is done)"
        )


def changed_lines(file: CardFile, contract: str) -> list[str]:
    """Lines that differ from the signed contract: `line 12: - old` and `line 12: + new`."""
    packed = _contracts(file).get(contract)
    before = cardfile.unpacked(packed) if isinstance(packed, str) else None
    if before is None or cardfile.hash_of(before) != contract:
        return ["what was signed is not kept here any more"]
    old, new = before.splitlines(), file.head.splitlines()
    lines = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":  # the head begins in line 2 of the file
            lines += [f"line {c + 2}: - {text}" for text in old[a:b]]
            lines += [f"line {at + 2}: + {new[at]}" for at in range(c, d)]
    return lines


def default_signer() -> str:
    """Default name of a signer: git's user name, or the user of this machine."""
    name = _git_config("user.name").lower().replace(" ", "-")
    if NAME.fullmatch(name):
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, a system without users
        return ""


def git_identity() -> str:
    """Git's name and address of the person at the keyboard, as in `Ada <ada@example.org>`."""
    name, address = _git_config("user.name"), _git_config("user.email")
    return f"{name} <{address}>".strip()[:200] if name or address else ""


def _git_config(key: str) -> str:
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "config", key],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def _why_void(entry: Signature, file: CardFile, settings: str, data: str | None) -> str | None:
    if entry.contract != file.hash:
        return "the contract was edited since:\n  " + "\n  ".join(
            changed_lines(file, entry.contract)
        )
    if entry.moved and not _same_but_names(file, entry.moved):
        return "its names have changed since, and the text that was signed is not kept here"
    if entry.settings != settings:
        return "the same contract now means other settings: defaults or the preset have changed"
    if entry.data is not None and data is not None and entry.data != data:
        return f"the data is another: {entry.data} was signed, {data} is here" + (
            "; replays are identified by their content now, no longer by the call that read them"
            if entry.data.startswith("made:") and not data.startswith("made:")
            else ""
        )
    return None


def _same_but_names(file: CardFile, signed: str) -> bool:
    """True if the signed contract is kept and equals the present one except for renamed settings."""
    packed = _contracts(file).get(signed)
    text = cardfile.unpacked(packed) if isinstance(packed, str) else None
    return (
        text is not None and cardfile.hash_of(text) == signed and rename_head(text)[0] == file.head
    )


def _block(found: list[Signature], texts: dict[str, str]) -> str:
    lines = []
    for entry in found:
        bound = [f"contract `{_short(entry.contract)}`", f"settings `{_short(entry.settings)}`"]
        bound += [f"data `{_short(entry.data)}`"] if entry.data else []
        bound += [f"commit `{entry.commit[:12]}`"] if entry.commit else []
        bound += [f"by `{entry.identity.replace('`', '')}`"] if entry.identity else []
        bound += [f"signed as `{_short(entry.moved)}`"] if entry.moved else []
        note = f": {entry.note}" if entry.note else ""
        lines.append(f"- **{entry.who}** {entry.did} on {entry.when}{note} ({', '.join(bound)})")
    return "\n".join(
        [
            *lines,
            "",
            data_line({"signatures": [asdict(entry) for entry in found], "contracts": texts}),
        ]
    )


def _data(file: CardFile) -> dict[str, Any]:
    if file.block(BLOCK) is None:
        return {}
    data = file.data(BLOCK)
    if not isinstance(data, dict):
        raise ValueError("no data")
    return data


def _contracts(file: CardFile) -> dict[str, str]:
    try:
        found = _data(file).get("contracts", {})
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _short(text: str) -> str:
    kind, colon, number = text.partition(":")
    return f"{kind}{colon}{number[:12]}" if colon else text[:12]
