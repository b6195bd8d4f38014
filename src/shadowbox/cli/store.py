"""`shadowbox store`: inspect, merge, split, shrink, salvage and export stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import PATH, SEED, at_least, emit, json_option, progress, size, table
from shadowbox.data import edit
from shadowbox.data.soundness import reasons, require_sound
from shadowbox.data.split import SIDES, Split
from shadowbox.data.store import Store, parse_episode_spec
from shadowbox.errors import ShadowboxError, UsageError


@click.group()
def store() -> None:
    """Inspect, merge, split, shrink, salvage and export stores.

    STORE is a folder; STORE#12 is one episode in it.
    """


@store.command()
@click.argument("where", metavar="STORE[#EPISODE]")
@json_option
def info(where: str, as_json: bool) -> None:
    """Show the manifest of a store or the metadata of one episode (`audit` reports the content)."""
    path, episode = parse_episode_spec(where)
    found = Store(path)
    facts = _about_store(found) if episode is None else _about_episode(found, episode)
    if as_json:
        emit(facts)
        return
    shown = [
        [name, size(value) if name == "bytes" else str(value)] for name, value in facts.items()
    ]
    print(table(["", ""], shown, left=2).strip("\n"))


@store.command()
@click.argument("sources", metavar="STORE...", nargs=-1, required=True)
@click.option("--out", required=True, type=PATH, help="Path of the new store.")
@click.option("--unique", is_flag=True, help="Skip episodes whose content was already copied.")
@json_option
def merge(sources: tuple[str, ...], out: Path, unique: bool, as_json: bool) -> None:
    """Copy the episodes of several stores into a new store."""
    stores = [Store(source) for source in sources]
    with progress("merging") as update:
        counts = edit.merge(stores, out, unique=unique, progress=update)
    _say(
        as_json,
        {"store": str(out), **counts},
        f"{out}: {counts['episodes']} episodes, {counts['left_out']} left out",
    )


@store.command()
@click.argument("source", metavar="STORE")
@click.option(
    "--out",
    required=True,
    type=PATH,
    help="Folder to write the stores train, val and test to.",
)
@click.option(
    "--shares", default="80/10/10", show_default=True, help="Percentages for train/val/test."
)
@click.option(
    "--by",
    "key",
    help="player or day hold out players or days; another metadata key keeps episodes together.",
)
@click.option(
    "--seat",
    default=0,
    show_default=True,
    type=at_least(0),
    help="With --by player: the seat that is judged.",
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the split.")
@json_option
def split(
    source: str, out: Path, shares: str, key: str | None, seat: int, seed: int, as_json: bool
) -> None:
    """Write a store for each split.

    Episodes are assigned by hash, so later data moves none of them. With --by player, an episode is
    a test if the judged seat is a player who is held out, is trained on if none of its players is, and is
    dropped otherwise.
    """
    counts = edit.split(Store(source), out, parse_shares(shares, key, seed, seat))
    _say(
        as_json,
        {"out": str(out), **counts},
        f"{out}: " + ", ".join(f"{side} {n}" for side, n in counts.items() if n or side in SIDES),
    )


@store.command()
@click.argument("episodes", metavar="STORE#EPISODE...", nargs=-1, required=True)
@json_option
def drop(episodes: tuple[str, ...], as_json: bool) -> None:
    """Delete episodes. The episodes after them are renumbered."""
    places = [parse_episode_spec(where) for where in episodes]
    if len({path for path, _ in places}) > 1 or any(number is None for _, number in places):
        raise UsageError("all episodes must be in one store, each given as STORE#NUMBER")
    source = Store(places[0][0])
    kept = edit.drop(source, [number for _, number in places if number is not None])
    _say(
        as_json,
        {"store": str(source.path), "episodes": kept},
        f"{source.path}: {kept} episodes left",
    )


@store.command()
@click.argument("source", metavar="STORE")
@click.option("--out", required=True, type=PATH, help="Path of the new store.")
@json_option
def salvage(source: str, out: Path, as_json: bool) -> None:
    """Copy every sound episode of a damaged store into a new store, and list the others.

    An episode is sound if its content and its part of the metadata match their digests.
    """
    damaged = Store(source, whole=False)
    with progress("copying") as update:
        damage = edit.salvage(damaged, out, update)
    kept = len(damaged) - len(damage)
    if as_json:
        left_out = [{"episode": number, "reason": why} for number, why in sorted(damage.items())]
        emit({"store": str(out), "episodes": kept, "left_out": left_out})
        return
    print(f"{out}: {kept:,} of {len(damaged):,} episodes copied")
    for line in reasons(damage):
        print(f"left out: {line}")


@store.command(context_settings={"ignore_unknown_options": True})
@click.argument("where", metavar="STORE[#EPISODE]")
@click.option("--out", type=PATH, help="Output file, .npz, .parquet or .jsonl.")
@click.argument("own", metavar="[--FORMAT FILE|FOLDER]", nargs=-1, type=click.UNPROCESSED)
@json_option
def export(where: str, out: Path | None, own: tuple[str, ...], as_json: bool) -> None:
    """Export one episode, or all of them, as one file for other programs.

    --FORMAT FILE writes one episode in a format of its game, such as --slp FILE for melee. --minari
    FOLDER and --lerobot FOLDER write the episodes of any game as a dataset of these libraries.
    """
    from shadowbox.collect.datasets import WRITERS

    path, episode = parse_episode_spec(where)
    source = Store(path)
    chosen = range(len(source)) if episode is None else [episode]
    if own and own[0].partition("=")[0].removeprefix("--") in WRITERS:
        out = _dataset(source, chosen, own, out)
    elif own:
        out = _own_format(source, list(chosen), own, out)
    elif out is None:
        raise UsageError(
            "give --out FILE that ends with .npz, .parquet or .jsonl, "
            "or --FORMAT FILE in a format of the game"
        )
    else:
        edit.export(source, chosen, out)
    files = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else [out]
    written = sum(path.stat().st_size for path in files)
    line = f"{out}: {len(chosen)} episodes, {size(written)}"
    _say(as_json, {"out": str(out), "episodes": len(chosen), "bytes": written}, line)


def _dataset(source: Store, chosen: Sequence[int], own: tuple[str, ...], out: Path | None) -> Path:
    """Export episodes as a dataset of another library; `own` is `("--minari", "FOLDER")`."""
    from shadowbox.collect.datasets import write_dataset

    option, _, value = own[0].partition("=")
    folders = [value, *own[1:]] if value else list(own[1:])
    if len(folders) != 1 or out is not None:
        raise UsageError(f"{option} takes one FOLDER and cannot be combined with --out")
    if not len(chosen):
        raise UsageError(f"{source.path}: no episode to export; name at least one")
    require_sound(source, chosen)
    write_dataset(option.removeprefix("--"), source, chosen, Path(folders[0]))
    return Path(folders[0])


def _own_format(source: Store, chosen: list[int], own: tuple[str, ...], out: Path | None) -> Path:
    """Export one episode in a format of its game; `own` is `("--slp", "FILE")`."""
    from shadowbox.games import find as find_game

    name = source.schema.name
    game = find_game(name)
    writers = game.writers if game else {}
    option, _, value = own[0].partition("=")
    files = [value, *own[1:]] if value else list(own[1:])
    if not option.startswith("--") or option[2:] not in writers:
        known = ", ".join(f"--{name}" for name in sorted(writers)) or "none"
        raise UsageError(
            f"unknown option '{own[0]}': give --out FILE, or a format of {name} ({known})"
        )
    if len(files) != 1 or out is not None:
        raise UsageError(f"{option} takes one FILE and cannot be combined with --out")
    if len(chosen) != 1:
        raise UsageError(f"{option} exports one episode: give its number, as in {source.path}#0")
    require_sound(source, chosen)
    try:
        writers[option[2:]](source.episode(chosen[0]), Path(files[0]))
    except OSError as error:
        raise ShadowboxError(f"{files[0]} could not be written: {error.strerror}") from error
    return Path(files[0])


def parse_shares(text: str, key: str | None, seed: int, seat: int = 0) -> Split:
    """Parse `80/10/10` into a Split."""
    try:
        train, val, test = (float(part) / 100 for part in text.split("/"))
    except ValueError:
        raise UsageError(
            f"--shares '{text}': expected three numbers that add up to 100, as in 80/10/10"
        ) from None
    return Split(train, val, test, key, seed, seat)


def _about_store(found: Store) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "store": str(found.path),
        "game": found.schema.name,
        "episodes": len(found),
        "frames": found.frames,
        "bytes": sum(entry.bytes for shard in manifest.shards for entry in shard.files.values()),
        "row_bytes": found.schema.row_dtype.itemsize,
        "columns": len(found.schema.columns),
        "shards": len(manifest.shards),
        "facts_hash": found.schema.facts_hash,
        "fingerprint": found.fingerprint,
        "made": dict(manifest.made),
    }


def _about_episode(found: Store, number: int) -> dict[str, Any]:
    line = found.index[number] if 0 <= number < len(found) else None
    return {
        "episode": number,
        "frames": len(found.rows_of(number)) - 1,
        "events": len(found.events_of(number)),
        "digest": line["digest"].tobytes().hex() if line is not None else "",
        "absent": sorted(found.absent_in(number)),
        **found.meta_of(number),
    }


def _say(as_json: bool, data: dict[str, Any], line: str) -> None:
    if as_json:
        emit(data)
    else:
        print(line)
