"""`shadowbox store`: look into stores, and make stores out of stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import emit, json_option, progress, size, table
from shadowbox.data import edit
from shadowbox.data.split import Split
from shadowbox.data.store import Store, find
from shadowbox.errors import UsageError


@click.group()
def store() -> None:
    """Look into, merge, split, cut and export stores. STORE is a folder, STORE#12 one episode in it."""


@store.command()
@click.argument("where", metavar="STORE[#EPISODE]")
@json_option
def info(where: str, as_json: bool) -> None:
    """What a store says of itself, or the metadata of one episode. The content: `audit`."""
    path, episode = find(where)
    found = Store(path)
    facts = _about_store(found) if episode is None else _about_episode(found, episode)
    if as_json:
        emit(facts)
        return
    shown = [[name, size(value) if name == "bytes" else str(value)] for name, value in facts.items()]
    print(table(["", ""], shown, left=2).strip("\n"))


@store.command()
@click.argument("sources", metavar="STORE...", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new store.")
@click.option("--unique", is_flag=True, help="Leave out episodes whose content came before.")
@json_option
def merge(sources: tuple[str, ...], out: Path, unique: bool, as_json: bool) -> None:
    """Put the episodes of several stores into a new one."""
    stores = [Store(source) for source in sources]
    with progress("merging") as update:
        counts = edit.merge(stores, out, unique=unique, progress=update)
    _say(as_json, {"store": str(out), **counts}, f"{out}: {counts['episodes']} episodes, {counts['left_out']} left out")


@store.command()
@click.argument("source", metavar="STORE")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the stores train, val and test.")
@click.option("--shares", default="80/10/10", show_default=True, help="Per cent for train/val/test.")
@click.option("--by", "key", help="Metadata value whose episodes stay together, such as a player.")
@click.option("--seed", default=0, show_default=True)
@json_option
def split(source: str, out: Path, shares: str, key: str | None, seed: int, as_json: bool) -> None:
    """Write one store a side, chosen by a hash of each episode: adding data later moves nothing."""
    counts = edit.split(Store(source), out, parse_shares(shares, key, seed))
    _say(as_json, {"out": str(out), **counts}, f"{out}: " + ", ".join(f"{side} {n}" for side, n in counts.items()))


@store.command()
@click.argument("episodes", metavar="STORE#EPISODE...", nargs=-1, required=True)
@json_option
def drop(episodes: tuple[str, ...], as_json: bool) -> None:
    """Remove episodes for good; the ones behind them get new numbers."""
    places = [find(where) for where in episodes]
    if len({path for path, _ in places}) > 1 or any(number is None for _, number in places):
        raise UsageError("name episodes of one store, each as STORE#12")
    source = Store(places[0][0])
    kept = edit.drop(source, [number for _, number in places if number is not None])
    _say(as_json, {"store": str(source.path), "episodes": kept}, f"{source.path}: {kept} episodes stay")


@store.command()
@click.argument("where", metavar="STORE[#EPISODE]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A name that ends with .npz or .parquet.")
@json_option
def export(where: str, out: Path, as_json: bool) -> None:
    """Write one episode, or all of them, as one file that other programs open."""
    path, episode = find(where)
    source = Store(path)
    chosen = range(len(source)) if episode is None else [episode]
    edit.export(source, chosen, out)
    written = out.stat().st_size
    line = f"{out}: {len(chosen)} episodes, {size(written)}"
    _say(as_json, {"out": str(out), "episodes": len(chosen), "bytes": written}, line)


def parse_shares(text: str, key: str | None, seed: int) -> Split:
    """`80/10/10` -> a Split."""
    try:
        train, val, test = (float(part) / 100 for part in text.split("/"))
    except ValueError:
        raise UsageError(f"shares '{text}': three numbers that add up to 100, as in 80/10/10") from None
    return Split(train, val, test, key, seed)


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
