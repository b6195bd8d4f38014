"""`shadowbox setup camera`: fetch what finds pose and hands in a browser, once, after a question."""

from __future__ import annotations

import sys

import click

from shadowbox.cli.terminal import emit, json_option
from shadowbox.errors import UsageError


@click.group()
def setup() -> None:
    """Fetch what is too large to ship."""


@setup.command()
@click.option("--yes", is_flag=True, help="Fetch without a question.")
@click.option("--heavy", is_flag=True, help="Keep the largest pose model as well, 28 MB more.")
@json_option
def camera(yes: bool, heavy: bool, as_json: bool) -> None:
    """Fetch npm's @mediapipe/holistic, which finds body and hands in the page of a webcam.

    npm asks the registry that it is configured for. The archive must have the known SHA-512. Nothing
    else is fetched, then or later: pictures stay in the browser, and the models on this machine.
    """
    from shadowbox.games.gesture.camera import package

    folder = package.camera_folder()
    size = sum(package.kept(heavy).values())
    fresh = not package.is_complete(folder, heavy)
    if fresh:
        print(
            f"{package.PACKAGE} {package.VERSION}, license {package.LICENSE}: a download of "
            f"{package.ARCHIVE_BYTES / 1e6:.0f} MB, of which {size / 1e6:.0f} MB are kept in {folder}",
            file=sys.stderr,
        )
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("add --yes to fetch without a question")
            click.confirm("Fetch it with npm?", abort=True, err=True)
        package.fetch(folder, heavy)
    facts = {"package": package.PACKAGE, "version": package.VERSION, "license": package.LICENSE}
    if as_json:
        emit({**facts, "folder": str(folder), "bytes": size, "fetched": fresh})
    else:
        print(f"{folder}: {'fetched' if fresh else 'complete'}, {size / 1e6:.0f} MB")
        print("next: shadowbox play gesture --mock --source page --checkpoint RUN")
