"""`shadowbox setup`: completion in a shell; what finds pose and hands in a browser, fetched once."""

from __future__ import annotations

import sys

import click

from shadowbox.cli.terminal import emit, json_option
from shadowbox.errors import UsageError


@click.group()
def setup() -> None:
    """Complete names in your shell, and fetch what is too large to ship."""


@setup.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str | None) -> None:
    """Print the script with which SHELL (default: yours) completes names at the tab key.

    Games, agents, presets, runs, cards and episodes. One line installs it, such as:

    shadowbox setup completion bash >> ~/.bashrc
    """
    from shadowbox.cli.completion import shells

    shell = shell or shells.default_shell()
    if shell is None:
        raise UsageError(f"name your shell, as in: {shells.install_line('bash')}")
    if sys.stdout.isatty():
        print(f"To install it, and then open a new terminal:\n  {shells.install_line(shell)}")
    else:
        print(shells.script(shell))


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
