"""`shadowbox pipeline`: from recordings to a policy, a world, matches and one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cards.front_matter import parse_setting
from shadowbox.cli.terminal import PATH, emit, json_option, number, progress, share, table
from shadowbox.errors import UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.pipeline.plan import _Plan


@click.command()
@click.argument("game")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=PATH)
@click.option("--out", type=PATH, help="Folder for everything.  [default: runs/pipeline-GAME]")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Time for everything, from which the steps of the trainings follow.  [default: 12]",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Setting of the pipeline, such as policy_preset=large or matches=100 (repeatable).",
)
@click.option("--dry", is_flag=True, help="Print the plan with its estimate, and do nothing.")
@click.option("--resume", is_flag=True, help="Go on with the pipeline in --out.")
@json_option
def pipeline(
    game: str,
    paths: tuple[Path, ...],
    out: Path | None,
    minutes: float | None,
    changes: tuple[str, ...],
    dry: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Read recordings of GAME, audit them, train a policy and a world, play, and write one page.

    PATH: files, folders and archives of recordings; a game without recordings of other programs
    plays matches of its own bots. The policy then plays in the game's simulator, or in the learned
    world of a game that has none. Ctrl-C keeps what is done and says how to go on.
    """
    from shadowbox.pipeline.config import _PipelineConfig
    from shadowbox.pipeline.run import plan_pipeline, start
    from shadowbox.train.console import Console

    found = load(game)
    _require_paths(found, paths, resume)
    out = out or Path("runs") / f"pipeline-{found.name}"
    config = _PipelineConfig.of(_settings(minutes, changes))
    names = [str(path) for path in paths]
    plan = plan_pipeline(found, game, names, out, config, resume=resume or dry, say=_say)
    if dry:
        emit(plan.to_json()) if as_json else print(_plan_text(plan))
        return
    print(_plan_text(plan), file=sys.stderr, flush=True)
    facts = start(
        found, plan, out, say=_say, progress=progress, console=lambda: Console(sys.stderr)
    )
    if as_json:
        emit(facts)
    else:
        print(_text(facts))


def _require_paths(game: Any, paths: tuple[Path, ...], resume: bool) -> None:
    if paths and game.reader is None:
        raise UsageError(
            f"{game.name} has no reader of recordings: leave {paths[0]} out, and it plays its own"
        )
    if not paths and game.reader is not None and not resume and "dynamics" in game.learns_by:
        raise UsageError(
            f"name files, folders or archives of {game.name}, as in: "
            f"shadowbox pipeline {game.name} replays"
        )


def _settings(minutes: float | None, changes: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in changes:
        name, mark, value = text.partition("=")
        if not mark:
            raise UsageError(f"--set {text}: expected NAME=VALUE, as in --set matches=100")
        found[name] = parse_setting(value)
    return found | ({} if minutes is None else {"minutes": minutes})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plan_text(plan: _Plan) -> str:
    rows = [[stage, plan.what[stage], f"{seconds:,.0f}"] for stage, seconds in plan.seconds.items()]
    head = table(["stage", "", "seconds"], rows, left=2)
    return f"{head}\n\nestimate: {plan.total / 60:.1f} minutes"


def _text(facts: dict[str, Any]) -> str:
    rows = [
        [each["opponent"], number(each["matches"]), share(each["win_rate"]["value"])]
        for each in facts["matches"]
    ]
    took, planned = (sum(facts[name].values()) / 60 for name in ("seconds", "estimated"))
    gates = ", ".join(
        f"{kind}: gate {'passed' if facts[kind]['passed'] else 'failed'}"
        for kind in ("policy", "world")
    )
    return (
        table(["matches against", "matches", "won"], rows)
        + f"\n\n{gates}; {took:.1f} minutes, planned {planned:.1f}\nreport: {facts['report']}"
    )
