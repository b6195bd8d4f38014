"""`shadowbox migrate`: rewrite files of an earlier version for this version."""

from __future__ import annotations

from pathlib import Path

import click

from shadowbox.cli.terminal import PATH, emit, json_option
from shadowbox.games import load


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option("--dry-run", is_flag=True, help="Print the changes without making them.")
@json_option
def migrate(paths: tuple[Path, ...], dry_run: bool, as_json: bool) -> None:
    """Rewrite files of an earlier version so that this version reads them.

    PATH is a card, a run, a checkpoint, a store, or a folder of them, such as `cards runs`. Give
    cards and their runs together: then runs follow their card to its new hash. Each file is
    written whole or not at all; a second call changes nothing.
    """
    from shadowbox.experiment.migration import files as experiment

    plans = experiment.migrate(paths, load, dry_run=dry_run)
    if not dry_run:
        _draw_curves({plan.path.parent for plan in plans if plan.kind == "run" and plan.changes})
    if as_json:
        emit({"dry_run": dry_run, "files": [plan.to_json() for plan in plans]})
        return
    changed = [plan for plan in plans if plan.changes]
    for plan in changed:
        print(f"{plan.path} ({plan.kind})")
        print("\n".join(f"  {change}" for change in plan.changes))
    count = f"{len(changed)} of {len(plans)}"
    print(f"{count} would change" if dry_run else f"{count} brought up to date")


def _draw_curves(runs: set[Path]) -> None:
    """Tables and pages of curves name scores, too.

    They are drawn again where they were drawn before.
    """
    from shadowbox.report import training

    for run in runs:
        if (run / training.TABLE).is_file():
            training.draw(run)
