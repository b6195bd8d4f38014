"""`shadowbox eval`: evaluate a policy or a world, and say whether it passes its gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cli.store import parse_shares
from shadowbox.cli.terminal import (
    PATH,
    SEED,
    at_least,
    emit,
    json_option,
    progress,
    size,
    write_page,
)
from shadowbox.cli.text.evaluation import calibration_text, evaluation_text, probe_text
from shadowbox.cli.text.world import ladder_text, world_text
from shadowbox.core.game import Game
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.play.checkpoints import require_run, run_to_evaluate

if TYPE_CHECKING:  # it needs torch, which help does not
    from shadowbox.evaluate.calibration import Calibration
    from shadowbox.evaluate.setup import EvalConfig


@click.command("eval")
@click.argument("checkpoint")
@click.argument("store", required=False)
@click.option(
    "--matches",
    type=at_least(2),
    help="Number of matches to play, in a game with a simulator.  [default: 200]",
)
@click.option(
    "--against",
    metavar="SPEC",
    help="Play against this agent instead of the recorded opponents.",
)
@click.option(
    "--opponent",
    "opponents",
    multiple=True,
    metavar="SPEC",
    help="Without STORE: play against this agent; repeatable.  [default: all scripted bots]",
)
@click.option(
    "--delay",
    "delays",
    default="0",
    show_default=True,
    metavar="FRAMES",
    help="Without STORE: reaction delays of the policy to evaluate, such as 0,6,12,18.",
)
@click.option(
    "--world",
    default="",
    metavar="SPEC",
    help="World to play in.  [default: as recorded, or the game's simulator]",
)
@click.option(
    "--side",
    default="val",
    show_default=True,
    help="Data split to evaluate on: train, val, test or all.",
)
@click.option("--shares", help="Percentages for train/val/test.  [default: as in training]")
@click.option(
    "--episodes",
    default=100,
    show_default=True,
    type=at_least(2),
    help="Maximum number of episodes to evaluate on.",
)
@click.option(
    "--tolerance",
    default=2,
    show_default=True,
    type=at_least(0),
    help="Frames between two onsets that count as the same press.",
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Sampling temperature in play.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Press above this probability instead of sampling.",
)
@click.option(
    "--as",
    "style",
    default="",
    metavar="NAME",
    help="Evaluate in the style of this player, on the seats of this player.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit temperatures, thresholds and offsets first, and store them with CHECKPOINT.",
)
@click.option(
    "--likeness",
    is_flag=True,
    help="Compare its play with the recorded player's instead of evaluating: how well does a "
    "classifier distinguish the two?",
)
@click.option(
    "--starts",
    default=500,
    show_default=True,
    type=at_least(2),
    help="Of a world: number of recorded moments to predict from.",
)
@click.option(
    "--samples",
    default=8,
    show_default=True,
    type=at_least(1),
    help="Of a world: predictions of each moment.",
)
@click.option(
    "--frames",
    default=300,
    show_default=True,
    type=at_least(20),
    help="Of a world: frames of each prediction.",
)
@click.option(
    "--ladder",
    multiple=True,
    metavar="SPEC,SPEC,...",
    help="Of a world: rank these policies in it and in the simulator, instead of evaluating it on "
    "STORE; repeatable. Each plays --matches against the --opponent agents, of --frames at most.",
)
@click.option(
    "--seed", default=0, show_default=True, type=SEED, help="Of a world: seed of all draws."
)
@click.option(
    "--game", help="Game of the store as MODULE:GAME, if it is not built in or installed."
)
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=PATH, help="Write an HTML report to this path.")
@click.option(
    "--probe",
    metavar="STORE#EPISODE:FRAME",
    help="Inspect one recorded frame (or `zeros`, an all-zero frame) instead of evaluating.",
)
@click.option(
    "--what-if",
    metavar="STORE#EPISODE:FRAME",
    help="Of a world: continue this recorded moment in other ways instead of evaluating.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="SPEC",
    help="With --what-if: let this agent go on in the player's seat, besides the recorded controls "
    "and none; repeatable.",
)
@click.option(
    "--player",
    default=0,
    show_default=True,
    type=at_least(0),
    help="Seat of --probe and --what-if.",
)
@json_option
def evaluate(
    checkpoint: str,
    store: str | None,
    out: Path | None,
    probe: str | None,
    ladder: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate CHECKPOINT (a run, RUN@step=N or a checkpoint's folder) on STORE.

    Without STORE a policy is judged by matches alone. A world may be named by its spec, such as
    dream:RUN or the game's own simulator. The verdict is left beside the checkpoint.
    """
    game = load(options["game"]) if options["game"] else None
    checkpoint = run_to_evaluate(checkpoint)
    if probe:
        _probe(checkpoint, probe, store, options["player"], as_json)
    elif options["what_if"]:
        _what_if(checkpoint, options, game, out, as_json)
    elif options["likeness"]:
        _likeness(checkpoint, store, _settings(options), game, as_json)
    elif ladder:
        _ladder(checkpoint, ladder, _settings(options), game, out, as_json)
    else:
        _evaluate(checkpoint, store, options, game, out, as_json)


def _evaluate(
    checkpoint: str,
    store: str | None,
    options: dict[str, Any],
    game: Game | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from shadowbox.evaluate.dispatch import evaluate_checkpoint, kind_at

    _require(checkpoint, store, game)
    kind, settings = kind_at(checkpoint, game), _settings(options)
    if store is None and "store" in kind.needs:
        raise UsageError("give a STORE to evaluate on, or a frame: --probe STORE#EPISODE:FRAME")
    tuned = None
    if store is not None and settings.delays != (0,):
        raise UsageError("--delay: delays are judged by matches alone; leave STORE out")
    if options["calibrate"]:
        if kind.name != "policy":
            raise UsageError(f"--calibrate: only a policy is calibrated, this is a {kind.name}")
        if store is None:
            raise UsageError("--calibrate: give a STORE, whose recordings it is fitted to")
        tuned = _calibrate(checkpoint, store, settings, game)
    with progress("evaluating") as update:
        result = evaluate_checkpoint(
            checkpoint,
            store,
            settings,
            game=game,
            progress=lambda what, done, total: update(done, total),
        )
    facts = result.report().to_json() | ({"calibration": tuned.to_json()} if tuned else {})
    if out:
        write_page(out, kind.part("page")(result))
        facts["out"] = str(out)
    if as_json:
        emit(facts)
    else:
        if tuned:
            print(calibration_text(tuned) + "\n")
        as_text = world_text if kind.name == "world" else evaluation_text
        print(as_text(result.report()))
        if out:
            print(f"report: {out}, {size(out.stat().st_size)}")


def _require(checkpoint: str, store: str | None, game: Game | None) -> None:
    """Refuse a run or a store that does not exist before torch is imported, which takes seconds."""
    from shadowbox.evaluate.worlds.starts import is_world_spec

    if not is_world_spec(checkpoint, game):
        require_run(checkpoint, game)
    if store is not None:
        Store(store)


def _probe(checkpoint: str, where: str, store: str | None, player: int, as_json: bool) -> None:
    from shadowbox.evaluate.probe import probe_policy

    found = probe_policy(checkpoint, where, data=store, player=player)
    if as_json:
        emit(found.to_json())
    else:
        print(probe_text(found))


def _likeness(
    checkpoint: str, store: str | None, settings: EvalConfig, game: Game | None, as_json: bool
) -> None:
    from shadowbox.cli.text.evaluation import likeness_text
    from shadowbox.evaluate.likeness import likeness

    if store is None:
        raise UsageError("--likeness: give a STORE with matches of the player")
    with progress("playing") as update:
        found = likeness(
            checkpoint,
            store,
            settings,
            game=game,
            progress=lambda what, done, total: update(done, total),
        )
    if as_json:
        emit(found.to_json())
    else:
        print(likeness_text(found.to_json()))


def _ladder(
    world: str,
    policies: tuple[str, ...],
    settings: EvalConfig,
    game: Game | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from shadowbox.evaluate.worlds.ladder import rank_in
    from shadowbox.report.ladder import ladder_page

    specs = [spec for each in policies for spec in each.split(",") if spec]
    with progress("playing") as update:
        found = rank_in(
            world,
            specs,
            settings,
            game=game,
            progress=lambda what, done, total: update(done, total),
        )
    report = found.report()
    if out:
        write_page(out, ladder_page(found))
    if as_json:
        emit(report.to_json() | ({"out": str(out)} if out else {}))
        return
    print(ladder_text(report))
    if out:
        print(f"report: {out}, {size(out.stat().st_size)}")


def _what_if(
    world: str, options: dict[str, Any], game: Game | None, out: Path | None, as_json: bool
) -> None:
    from shadowbox.cli.text.what_if import what_if_text
    from shadowbox.evaluate.worlds.what_if import what_if
    from shadowbox.report.what_if import what_if_page

    with progress("continuing") as update:
        found = what_if(
            world,
            options["what_if"],
            by=options["by"],
            player=options["player"],
            against=options["against"],
            game=game,
            config=_settings(options),
            progress=lambda what, done, total: update(done, total),
        )
    if out:
        write_page(out, what_if_page(found))
    if as_json:
        emit(found.to_json() | ({"out": str(out)} if out else {}))
        return
    print(what_if_text(found))
    if out:
        print(f"report: {out}, {size(out.stat().st_size)}")


def _settings(options: dict[str, Any]) -> EvalConfig:
    from shadowbox.evaluate.setup import EvalConfig

    same = (
        "matches",
        "against",
        "world",
        "side",
        "tolerance",
        "temperature",
        "threshold",
        "device",
        "opponents",
        "starts",
        "samples",
        "frames",
        "seed",
    )
    return EvalConfig(
        **{name: options[name] for name in same},
        split=parse_shares(options["shares"], None, 0) if options["shares"] else None,
        most=options["episodes"],
        player=options["style"],
        delays=_frames(options["delays"]),
    )


def _frames(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--delay: expected numbers of frames, such as 0,6,12 (got '{text}')")
    return tuple(int(part) for part in parts)


def _calibrate(checkpoint: str, store: str, settings: EvalConfig, game: Game | None) -> Calibration:
    from shadowbox.evaluate.calibrate import calibrate_checkpoint
    from shadowbox.learners.augmentation.bodies import view_changes

    with progress("calibrating") as update:
        return calibrate_checkpoint(
            *(checkpoint, store, settings),
            game=game,
            changes=view_changes,
            progress=lambda what, done, total: update(done, total),
        )
