"""The options --world and --stage, the same for every command that plays matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def world_options(command: Command) -> Command:
    """Add --world and --stage to a command; `stage_option` turns the second into options."""
    command = click.option(
        "--stage", help="Stage of the world; the same as @stage=NAME in --world."
    )(command)
    return click.option(
        "--world",
        default="",
        metavar="SPEC",
        help="World to play in: GAME[@KEY=VALUE...], dream:RUN or py:MODULE:FACTORY.  "
        "[default: the game's simulator]",
    )(command)


def stage_option(stage: str | None) -> dict[str, Any]:
    """--stage as an option of a world."""
    return {} if stage is None else {"stage": stage}
