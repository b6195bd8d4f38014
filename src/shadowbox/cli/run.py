"""`shadowbox run`: train every seed of a card under its kill rules and record the results."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.card import parsed
from shadowbox.cli.card_signing import located
from shadowbox.cli.launch.workers import WORKERS, _Workers, backend
from shadowbox.cli.terminal import PATH, emit, json_option, number, progress, table
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.experiment.outcome import CardResult


@click.command()
@click.argument("names", metavar="CARD...", nargs=-1, required=True)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the card's runs; finished seeds are kept.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting for this call; noted in the results (repeatable).",
)
@click.option(
    "--unsigned",
    is_flag=True,
    help="Run without the required signatures; noted in the results.",
)
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=PATH,
    help="Folder for runs.",
)
@click.option(
    "--workers",
    type=WORKERS,
    help="Train seeds and settings at a time: in N processes, or ray[:ADDRESS].  [default: 1]",
)
@click.option("--keep-card", is_flag=True, help="Do not write the results into the card.")
@click.option(
    "--dry",
    is_flag=True,
    help="Rehearse: every stage with the card's settings on generated data, in four steps.",
)
@json_option
def run(
    names: tuple[str, ...],
    resume: bool,
    changes: tuple[str, ...],
    unsigned: bool,
    runs: Path,
    workers: _Workers | None,
    keep_card: bool,
    dry: bool,
    as_json: bool,
) -> None:
    """Run cards: check, get the data, train each seed under the kill rules, evaluate, record results.

    Exit 0 when it ran to its end, whatever it reached; 75 when its card stopped or paused it; 130
    when it was interrupted, which ends the cards after it, too.
    """
    from shadowbox.experiment.run import RunOptions, require_runnable, run_card
    from shadowbox.experiment.targets import UNFINISHED
    from shadowbox.train.console import Console

    if dry:
        _rehearse(names, parsed(changes), runs, resume=resume, as_json=as_json)
        return
    wish = RunOptions(resume, parsed(changes), unsigned, runs, keep_card)
    for name in names if len(names) > 1 else ():  # all of them, before the first one runs
        require_runnable(located(name), load, wish)
    finished = []
    if workers is not None:
        from shadowbox.launch.parts import train_parts

        with backend(workers, pool=True) as found:
            for name in names if found is not None else ():
                train_parts(located(name), wish, found, _say)
        if found is not None:  # what follows finds all of them finished, and evaluates them
            wish = dataclasses.replace(wish, resume=True)
    for name in names:
        with progress("making data") as update:
            finished.append(
                run_card(
                    located(name),
                    load,
                    wish,
                    console=lambda: Console(sys.stderr),
                    progress=update,
                    say=_say,
                )
            )
        if finished[-1].verdict == UNFINISHED:
            break
    if finished[0].first:  # of several processes the first speaks for all
        if as_json:
            found = [each.to_json() for each in finished]
            emit(found[0] if len(found) == 1 else {"cards": found})
        else:
            _report(finished)
    sys.exit(max(each.exit_code for each in finished))


def _rehearse(
    names: tuple[str, ...], changes: dict[str, Any], runs: Path, *, resume: bool, as_json: bool
) -> None:
    """Rehearse cards: launch spec, data, training, evaluation and page of each."""
    from shadowbox.core.files import write_whole
    from shadowbox.experiment.ahead.rehearsal import rehearse
    from shadowbox.experiment.run import RunOptions
    from shadowbox.launch.spec import make_spec
    from shadowbox.report import run as page
    from shadowbox.report.source import find_source
    from shadowbox.train.console import Console

    found = []
    for name in names:
        path = located(name)
        make_spec(path, "slurm", load, RunOptions(changes=changes, unsigned=True), say=_say)
        done = rehearse(
            path, load, resume=resume, changes=changes, runs=runs,
            console=lambda: Console(sys.stderr), say=_say,
        )  # fmt: skip
        subject = find_source(str(done.result.run), path.parent, runs)
        report = done.result.run / "report.html"
        html = page.report(subject, load, match=False)
        write_whole(report, html.encode(errors="backslashreplace"))
        found.append(
            {
                "card": done.result.card.id,
                "run": str(done.result.run),
                "steps": [int(each.facts.get("step", 0)) for each in subject.runs],
                "figures": len(subject.runs[0].facts.get("eval", {})),
                "report": str(report),
                "read_from_7z": done.read,
                "cut": done.cut,
                "rules_left_out": list(done.left_out),
            }
        )
        if not as_json:
            print(f"{done.result.card.id}: trained, judged and drawn on generated rows; {report}")
            words = ", ".join(f"{name} {value:,}" for name, value in done.cut.items())
            print(f"cut: {words}; its figures say nothing, and its kill rules only warned")
    if as_json:
        emit(found[0] if len(found) == 1 else {"cards": found})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(finished: list[CardResult]) -> None:
    from shadowbox.experiment.results import setting_words
    from shadowbox.train.runs import first_missed

    rows = []
    for each in finished:
        parts = each.settings or (each,)
        for part in parts:
            rows += [
                [each.card.id, setting_words(part.changes), *_target(outcome)]
                for outcome in part.outcomes
            ]
    print(
        table(["card", "setting", "target", "value", "95 %", "baselines", "verdict"], rows, left=3)
    )
    for each in finished:
        reason = f": {each.reason}" if each.reason else ""
        print(f"\n{each.run}: {each.verdict}{reason} ({_cost(each)})")
        if missed := first_missed(each.milestones):
            print(f"first missed milestone: {missed}")
        if each.stamps:
            print(f"differs from the card: {', '.join(each.stamps)}")


def _target(outcome: Any) -> list[str]:
    interval = "-" if outcome.low is None else f"{number(outcome.low)} .. {number(outcome.high)}"
    baselines = (
        ", ".join(f"{name} {number(value)}" for name, value in outcome.baselines.items()) or "-"
    )
    return [str(outcome.target), number(outcome.value), interval, baselines, outcome.verdict]


def _cost(each: CardResult) -> str:
    cost = each.cost
    words = f"{cost['wall_s']:,.1f} s"
    return words + (
        f", {cost['actual_over_estimate']:.2f} times the estimate"
        if "actual_over_estimate" in cost
        else ""
    )
