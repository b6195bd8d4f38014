"""`shadowbox card sign`, `review`, `verify-result` and `close`: a card before and after its run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.terminal import PATH, emit, json_option, table
from shadowbox.errors import CardError, UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.experiment.checks.check import CheckedCard

FOLDER = Path("cards")


def located(name: str) -> Path:
    """Path of a card, given by path or by its name in the folder cards/."""
    path = Path(name)
    return path if path.suffix == ".md" else FOLDER / f"{name}.md"


def require_right(name: str, changes: dict[str, Any] | None = None) -> CheckedCard:
    """Return the checked card, with changes as of --set; raise an error that lists its mistakes."""
    from shadowbox.cards import card as cards
    from shadowbox.experiment.checks import check

    checked = check.check_card(located(name), load, changes)
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


@click.command()
@click.argument("name", metavar="CARD")
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option(
    "--metric", default="", help="Metric to predict.  [default: of the first primary target]"
)
@click.option("--as", "who", default="", help="Name of the signer.  [default: git's user.name]")
@click.option("--note", default="", help="Note to store with the prediction.")
@json_option
def predict(
    name: str, folders: tuple[Path, ...], metric: str, who: str, note: str, as_json: bool
) -> None:
    """Predict the result of CARD by a scaling law, and write it into the card before it runs.

    The law is fitted to at least four small finished runs of cards, of different sizes or lengths;
    a folder names all runs in it. Likelihoods are comparable only over equal bins.
    """
    from shadowbox.experiment.ahead.prediction import predict_card

    found = predict_card(located(name), folders, load, metric=metric, who=who, note=note)
    if as_json:
        emit(found)
        return
    print(
        f"{found['metric']}: {found['value']:.4f} ({found['low']:.4f} .. {found['high']:.4f}), "
        f"from {len(found['runs'])} runs; written into {located(name)} as predicted by {found['who']}"
    )


@click.command("verify-result")
@click.argument("name", metavar="CARD")
@json_option
def verify_result(name: str, as_json: bool) -> None:
    """Compare the results in a card with its text, settings, data, runs and checkpoints.

    Exit 1 if anything differs that the results claim. Program and machine are compared, too, but
    decide nothing.
    """
    from shadowbox.experiment import verify

    found = verify.verify_result(located(name), load)
    if as_json:
        emit(found)
    else:
        rows = [
            [each["name"], each["state"], *(_shortened(each[key]) for key in ("then", "now"))]
            for each in found["compared"]
        ]
        print(table(["", "state", "in the results", "here"], rows, left=4))
        states = {each["state"] for each in found["compared"] if each["decides"]}
        known = "" if states <= {verify.SAME, verify.DIFFERS} else ", as far as it is here"
        verdict = f"the results hold{known}" if found["holds"] else "the results do not hold here"
        print(f"\n{found['card']}: {verdict}")
    if not found["holds"]:
        sys.exit(1)


def _shortened(value: str | None) -> str:
    return "-" if value is None else value if len(value) <= 60 else f"{value[:57]}..."


@click.command()
@click.argument("name", metavar="CARD")
@click.option("--note", default="", help="What was learned, stored in the card.")
@json_option
def close(name: str, note: str, as_json: bool) -> None:
    """Evaluate the runs on disk, write the final results into the card, and compare cost with estimate."""
    from shadowbox.experiment import close as closing

    found = closing.close_card(located(name), load, note)
    if as_json:
        emit(found)
        return
    print(found["text"])
