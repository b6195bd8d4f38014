"""`shadowbox train`: learn a policy from a store."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowbox.cards.front_matter import parse_setting
from shadowbox.cli.store import parse_shares
from shadowbox.cli.terminal import PATH, SEED, at_least, emit, json_option, number, share, table
from shadowbox.core import system
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games import find, load, option_for
from shadowbox.model.design import PRESETS
from shadowbox.report.training import PAGE, draw
from shadowbox.train.config import TrainConfig
from shadowbox.train.console import Console
from shadowbox.train.log import METRICS, read_facts, read_lines

if TYPE_CHECKING:  # it needs torch, which help does not
    from shadowbox.train.protocols import TrainResult

USUAL = {"preset": "default", "length": 64, "shares": "80/10/10", "by": None}
SHARES_OF_FEW = ("70/30/0", "50/50/0", "30/70/0")
EPOCHS = 10  # where neither steps nor epochs are asked for


@click.command()
@click.argument("path", metavar="STORE")
@click.option("--out", required=True, type=PATH, help="Folder of the run.")
@click.option("--steps", type=at_least(1), help="Number of optimizer steps.")
@click.option(
    "--epochs",
    type=at_least(1),
    help="Number of passes over the data, instead of --steps.  [default: 10]",
)
@click.option("--batch", type=at_least(1), help="Segments in a batch.  [default: 64]")
@click.option("--lr", type=float, help="Learning rate after the warm-up.  [default: 0.001]")
@click.option(
    "--seed",
    type=SEED,
    help="Random seed for initialization, data order and dropout.  [default: 0]",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Override a setting of the training loop (repeatable).",
)
@click.option(
    "--preset",
    help="Model preset: tiny, small, default, large, transformer, or policy-mlp (older systems).",
)
@click.option(
    "--with",
    "shape",
    multiple=True,
    metavar="NAME=VALUE",
    help="Override a model or learner setting (repeatable).",
)
@click.option("--encoding", help="Train on a named encoding or selection of the game's fields.")
@click.option(
    "--game", metavar="MODULE:GAME", help="Game of the store, if it is not built in or installed."
)
@click.option("--length", type=at_least(1), help="Decisions in a segment.  [default: 64]")
@click.option("--shares", help="Percentages for train/val/test.  [default: 80/10/10]")
@click.option(
    "--by", help="Metadata key that keeps episodes on one side of the split, such as person."
)
@click.option(
    "--parent", help="Start from the weights of another run: RUN@best, RUN@latest or RUN@step=N."
)
@click.option("--parent-optimizer", is_flag=True, help="Also load the parent's optimizer state.")
@click.option("--resume", is_flag=True, help="Resume the run in --out with its own settings.")
@click.option(
    "--sink", "sinks", multiple=True, help="Also log to wandb, tensorboard or trackio (repeatable)."
)
@json_option
def train(path: str, out: Path, as_json: bool, **options: Any) -> None:
    """Train a policy to imitate the players of STORE.

    Ctrl-C saves and says how to go on; so does SIGTERM.
    """
    store = Store(path)
    kept = read_facts(out) if options["resume"] else {}
    store = _as_it_began(store, kept.get("fingerprint"))
    chosen: dict[str, Any] = {
        name: options[name] or kept.get("task", {}).get(name) or usual
        for name, usual in USUAL.items()
    }
    if game := _named_game(store, options["game"], kept.get("task", {}).get("game")):
        chosen["game"] = game
    config = TrainConfig.of(_settings(options, kept.get("config", {})))
    chosen["encoding"] = options["encoding"] or kept.get("task", {}).get("encoding")
    chosen["with"] = {**kept.get("task", {}).get("with", {}), **_pairs("--with", options["shape"])}
    shown = _shown(store, chosen["encoding"])
    _require_preset(chosen["preset"])
    if not kept and options["shares"] is None:
        chosen["shares"] = _usual_shares(store, chosen["by"])
    split = parse_shares(chosen["shares"], chosen["by"], 0)
    if not kept and options["batch"] is None:
        config = _small_enough(config, store, split, int(chosen["length"]))
    # torch takes seconds to import; a wrong name was refused by now
    from shadowbox.learners.imitation_options import ImitationConfig
    from shadowbox.learners.imitation_task import prepare
    from shadowbox.train.loop import train as run_loop
    from shadowbox.train.protocols import ParentCheckpoint

    imitation = {field.name for field in dataclasses.fields(ImitationConfig)}
    task = prepare(
        store,
        config,
        preset=chosen["preset"],
        **shown,
        imitation={name: value for name, value in chosen["with"].items() if name in imitation},
        length=chosen["length"],
        split=split,
        facts={"store": path, "task": chosen},
        resume=_resume_command(path, out, chosen.get("game")),
        game=find(store.schema.name),
        vocabulary=_vocabulary(options, out),
        **{name: value for name, value in chosen["with"].items() if name not in imitation},
    )
    spec = options["parent"]
    parent = ParentCheckpoint(spec, options["parent_optimizer"]) if spec else None
    result = run_loop(
        task, out, config, parent=parent, resume=options["resume"], console=Console(sys.stderr)
    )
    if result.rank:  # the first process speaks for all
        return
    draw(out)
    if as_json:
        emit(_as_json(result))
    else:
        _say(result)


def _usual_shares(store: Store, by: str | None) -> str:
    """The usual shares; of a few episodes, those that leave some for training and for validation."""
    for shares in (USUAL["shares"], *SHARES_OF_FEW):
        split = parse_shares(str(shares), by, 0)
        if all(len(split.episodes(store, side)) for side in ("train", "val")):
            break
    else:
        raise UsageError(
            f"{store.path}: its {len(store)} episodes cannot be divided into some to learn from and "
            "some to be judged on: record or play more"
        )
    if shares != USUAL["shares"]:
        print(
            f"{store.path} has few episodes, {len(store)}: they are split {shares} into train, "
            "validation and test (--shares)",
            file=sys.stderr,
        )
    return str(shares)


def _vocabulary(options: dict[str, Any], out: Path) -> Any:
    """Combinations of controls of the run that is resumed, else of the parent; None without."""
    from shadowbox.learners.registry import begun_arguments

    run = out if options["resume"] else None
    return begun_arguments(options["parent"] or "", run, "policy").get("vocabulary")


def _small_enough(config: TrainConfig, store: Store, split: Split, length: int) -> TrainConfig:
    """The usual batch halved until an epoch of a small store has one."""
    rows = store.lengths[split.episodes(store, "train")] - 1
    segments, batch = int((-(-rows // length)).sum()), config.batch
    while batch > max(1, segments):
        batch //= 2
    if batch < config.batch:
        print(
            f"{store.path} has {segments:,} segments of {length} decisions to train on: "
            f"a batch is {batch} of them (--batch)",
            file=sys.stderr,
        )
    return replace(config, batch=batch)


def _require_preset(name: str) -> None:
    if name not in PRESETS:
        raise UsageError(f"unknown preset '{name}': {did_you_mean(name, PRESETS)}")


def _as_it_began(store: Store, fingerprint: str | None) -> Store:
    """The store as a resumed run knows it: the first episodes, if it has only grown since."""
    before = store.as_of(fingerprint)
    if len(before) < len(store):
        print(
            f"{store.path} has grown from {len(before):,} to {len(store):,} episodes: "
            f"the run goes on with the first {len(before):,}",
            file=sys.stderr,
        )
    return before


def _settings(options: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """Settings of the loop: those of a resumed run, updated with the options."""
    asked = {
        name: options[name]
        for name in ("steps", "epochs", "batch", "lr", "seed")
        if options[name] is not None
    }
    if options["sinks"]:
        asked["sinks"] = list(options["sinks"])
    asked |= _pairs("--set", options["changes"])
    if not kept and "steps" not in asked and "epochs" not in asked:
        asked["epochs"] = EPOCHS
    return {**kept, **asked}


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """Parse NAME=VALUE options; values are parsed as in a card."""
    found = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise UsageError(
                f"{option} {text}: expected NAME=VALUE, as in {option} max_grad_norm=0.5"
            )
        try:
            found[name] = parse_setting(value)
        except UsageError as error:
            raise UsageError(f"{option} {text}: {error}") from None
    return found


def _named_game(store: Store, spec: str | None, kept: str | None) -> str | None:
    """Load the game named by `--game`; print a note if the store needs one and it is missing."""
    if spec:
        load(spec)
    elif kept:
        raise UsageError(f"this run was started with --game {kept}: give the same option")
    elif find(store.schema.name) is None and "game" in store.manifest.made:
        option = option_for(store.manifest.made)
        print(f"without {option} the policy is shown every column of {store.path}", file=sys.stderr)
    return spec


def _resume_command(path: str, out: Path, game: str | None) -> str:
    named = ["--game", game] if game else []
    return system.command_line(["shadowbox", "train", path, "--out", str(out), *named, "--resume"])


def _shown(store: Store, name: str | None) -> dict[str, Any]:
    """Inputs of the policy: the columns or the encoding of this name, of the store's game.

    Without a name those of `default`, if the game is known and declares them.
    """
    game = find(store.schema.name)
    known = game.encodings if game else {}
    if name is not None and name not in known:
        raise UsageError(
            f"{store.schema.name} has no encoding '{name}': {did_you_mean(name, known)}"
        )
    found = known.get(name or "default")
    return {"input_columns" if found is None or isinstance(found, tuple) else "encoding": found}


def _as_json(result: TrainResult) -> dict[str, Any]:
    seconds = {part: round(value, 4) for part, value in result.table.items()}
    facts = {
        "run": str(result.run),
        "step": result.step,
        "epoch": result.epoch,
        "ended": result.ended,
    }
    return facts | {"best": dict(result.best), "seconds": seconds, "scores": _best_scores(result)}


def _best_scores(result: TrainResult) -> dict[str, float]:
    """The best validation's line of the log."""
    lines = [line for line in read_lines(result.run / METRICS) if line["kind"] == "val"]
    chosen = [line for line in lines if line["step"] == result.best.get("step")]
    return {k: v for k, v in (chosen[-1] if chosen else {}).items() if k not in ("kind", "wall")}


def _say(result: TrainResult) -> None:
    """The best validation, each score beside its baselines and with its interval.

    And where the time went.
    """
    scores = _best_scores(result)
    names = [
        name
        for name in scores
        if name not in ("step", "epoch") and not name.endswith((".low", ".high"))
    ]
    rows = [
        [*(name.split("/", 1) if "/" in name else (name, "this model")), number(scores[name]),
         f"{number(scores[f'{name}.low'])} .. {number(scores[f'{name}.high'])}"]
        for name in names
    ]  # fmt: skip
    if rows:
        print(table(["validation", "of", "value", "95 %"], rows, left=2))
        print()
    whole = sum(result.table.values()) or 1.0
    print(
        table(
            ["time", "s", "share"],
            [[part, f"{s:.2f}", share(s / whole)] for part, s in result.table.items()],
        )
    )
    print(f"\n{result.run}: {result.ended} at step {result.step:,}; curves: {result.run / PAGE}")
