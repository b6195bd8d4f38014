"""`shadowbox card sign` and `card review`: signatures and reviews of run cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.terminal import emit, json_option
from shadowbox.errors import CardError, UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.experiment.checks.check import CheckedCard

FOLDER = Path("cards")


def located(name: str) -> Path:
    """Path of a card, given by path or by its name in the folder cards/."""
    path = Path(name)
    return path if path.suffix == ".md" else FOLDER / f"{name}.md"


def require_right(name: str) -> CheckedCard:
    """Return the checked card; raise an error that lists its mistakes."""
    from shadowbox.cards import card as cards
    from shadowbox.experiment.checks import check

    checked = check.check_card(located(name), load)
    if checked.mistakes:
        raise CardError(cards.list_cards(checked.file.path, checked.mistakes))
    return checked


@click.command()
@click.argument("name", metavar="CARD")
@click.option("--as", "who", help="Name of the signer.  [default: git's user.name]")
@click.option("--note", default="", help="Note to store with the signature.")
@json_option
def sign(name: str, who: str | None, note: str, as_json: bool) -> None:
    """Sign a card: its text, its resolved settings and its data.

    Any later edit of the contract voids that.
    """
    _add(name, who, "signed", note, as_json)


@click.command()
@click.argument("name", metavar="CARD")
@click.option("--verdict", required=True, type=click.Choice(["approve", "changes"]))
@click.option("--note", required=True, help="Reason for the decision.")
@click.option("--as", "who", help="Name of the reviewer.  [default: git's user.name]")
@json_option
def review(name: str, verdict: str, note: str, who: str | None, as_json: bool) -> None:
    """Approve a card (counts as a signature) or request changes (keeps it from running)."""
    _add(name, who, "approved" if verdict == "approve" else "asked for changes", note, as_json)


def _add(name: str, who: str | None, did: Any, note: str, as_json: bool) -> None:
    from shadowbox.cards import signatures
    from shadowbox.experiment import dataset as source
    from shadowbox.experiment import settings
    from shadowbox.train.provenance import commit

    checked = require_right(name)
    game = load(checked.card.game)
    if did == "approved":
        signatures.require_checked(checked.card)
    signer = who or signatures.default_signer()
    if not signer:
        raise UsageError("no name to sign with: give one with --as")
    data = source.data_fingerprint(checked.card, game, source.existing_store(checked.card))
    hashed = settings.resolve_settings(checked.card, game).hash
    file = signatures.add_signature(
        checked.file,
        signer,
        did,
        settings=hashed,
        data=data,
        commit=commit(),
        note=note,
        identity=signatures.git_identity(),
    )
    file.write()
    standing = signatures.signature_status(file, checked.card, hashed, data)
    if as_json:
        emit(
            {
                "card": str(file.path),
                "who": signer,
                "did": did,
                "contract": file.hash,
                "missing": standing.missing,
                "shared": standing.shared,
            }
        )
        return
    print(f"{signer} {did}: {file.path} ({file.hash[:19]})")
    print("\n".join([*standing.shared, *(standing.missing or ["it may run"])]))
