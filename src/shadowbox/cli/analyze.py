"""`shadowbox analyze` and `doctor`: whether a policy knows its opponent, and problems of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.terminal import PATH, at_least, emit, json_option, progress, table, write_page
from shadowbox.core.stats import Interval
from shadowbox.games import load
from shadowbox.play.checkpoints import require_run

if TYPE_CHECKING:  # it needs torch, which help does not
    from shadowbox.evaluate.doctor import _Diagnosis
    from shadowbox.evaluate.strategy.analysis import _Analysis


@click.command()
@click.argument("checkpoint")
@click.option(
    "--opponent",
    "opponents",
    multiple=True,
    metavar="SPEC",
    help="Play against this agent; repeatable.  [default: all scripted bots]",
)
@click.option(
    "--matches",
    default=16,
    show_default=True,
    type=at_least(4),
    help="Number of matches against each opponent, a multiple of 4.",
)
@click.option(
    "--frames",
    default=600,
    show_default=True,
    type=at_least(1),
    help="Maximum number of frames of a match that is probed.",
)
@click.option(
    "--world", default="", metavar="SPEC", help="World to play in.  [default: the game's simulator]"
)
@click.option(
    "--game", help="Game of CHECKPOINT as MODULE:GAME, if it is not built in or installed."
)
@click.option("--out", type=PATH, help="Write an HTML report to this path.")
@json_option
def analyze(
    checkpoint: str, game: str | None, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Analyze the policy CHECKPOINT (a run, RUN@step=N or a checkpoint's folder).

    It plays each opponent from both seats. A linear probe then names the opponent from what the
    policy remembers, beside one that reads mean statistics of the same frames.
    """
    named = load(game) if game else None
    require_run(checkpoint, named)
    from shadowbox.evaluate.strategy.analysis import _AnalysisConfig
    from shadowbox.evaluate.strategy.analysis import analyze as run

    settings = _AnalysisConfig(**options)
    with progress("playing") as update:
        found = run(
            checkpoint,
            settings,
            game=named,
            progress=lambda what, done, total: update(done, total),
        )
    if out:
        from shadowbox.report.strategy import analysis_page

        write_page(out, analysis_page(found))
    if as_json:
        emit(found.to_json())
    else:
        _print(found)


def _print(found: _Analysis) -> None:
    rows = [
        [name, *_shares(value), *_shares(found.gains.get(name))]
        for name, value in found.probes.items()
    ]
    head = ["probe reads", "accuracy %", "95 %", "latent gains", "95 %"]
    print(table(head, rows))
    recalls = [
        [name, *(f"{100 * found.recalls[read][name]:.1f}" for read in found.recalls)]
        for name in found.opponents
    ]
    print("\n" + table(["accuracy % against", *found.recalls], recalls))
    if found.entropy:
        entropies = [[name, *_shares(value)] for name, value in found.entropy.items()]
        print("\n" + table(["attention entropy %", "", "95 %"], entropies))
    if found.noticed:
        noticed, chance = (found.noticed[name]["value"] for name in ("noticed", "by_chance"))
        rows = [["opponent changes", _frames(found.noticed["median_frames"]), _share(noticed)],
                ["it does not", "", _share(chance)]]  # fmt: skip
        within = f"noticed % within {found.noticed['within']}"
        print("\n" + table(["change", "median frames", within], rows))
    if found.wins:
        rows = [[name, *_shares(value)] for name, value in found.wins.items()]
        print("\n" + table(["latents", "wins %", "95 %"], rows))
    if found.tactics:
        opponents = list(found.tactics)
        rows = [
            [name, *(_tactic(found.tactics[opponent][name]) for opponent in opponents)]
            for name in found.tactics[opponents[0]]
        ]
        print("\n" + table(["tactics against", *opponents], rows))
    chance = 100 / len(found.opponents)
    print(f"\n{found.checkpoint}: {found.matches} matches, chance {chance:.1f} %")


def _shares(value: Interval | None) -> tuple[str, str]:
    if value is None:
        return "", ""
    return f"{100 * value.value:.1f}", f"{100 * value.low:.1f} .. {100 * value.high:.1f}"


def _tactic(value: Interval) -> str:
    return "-" if value.value != value.value else f"{value.value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _frames(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


@click.command()
@click.argument("run")
@json_option
def doctor(run: str, as_json: bool) -> None:
    """Check RUN for known problems, and say what to change.

    RUN is the folder of a run of self-play, or the name of its card. The files that it has written
    so far are read; it may be running. Exit 1 if a problem was found or a milestone was missed.
    """
    from shadowbox.evaluate.doctor import diagnose

    found = diagnose(run)
    if as_json:
        emit(found.to_json())
    else:
        _print_diagnosis(found)
    sys.exit(0 if found.healthy else 1)


def _print_diagnosis(found: _Diagnosis) -> None:
    rows = [
        [each.check.name, each.status, each.finding.words if each.finding else ""]
        for each in found.checks
    ]
    print(table(["check", "result", "figure"], rows, left=3))
    for each in found.sick:
        print(f"\n{each.check.name}: {each.check.symptom}")
        print(f"  threshold: {each.check.threshold}")
        print(f"  change: {each.check.change}")
    if found.missed:
        print(f"\nfirst missed milestone: {found.missed}")
    count = len(found.sick)
    print(f"\n{found.run}: " + (f"{count} of {len(rows)} checks are sick" if count else "healthy"))
