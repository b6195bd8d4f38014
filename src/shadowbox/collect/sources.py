"""Recordings from a game's sources: sessions that no match of agents gives, into a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from shadowbox.core import system
from shadowbox.core.episode import Episode
from shadowbox.core.game import Game
from shadowbox.core.imports import import_object
from shadowbox.data.manifest import NAME as MANIFEST
from shadowbox.data.store import Progress, Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError, did_you_mean, interrupted

# (seed, number of the session, **options) -> its episodes, with `session` in their metadata
Source = Callable[..., Iterable[Episode]]


def record_sessions(
    game: Game,
    source: str,
    sessions: int,
    out: Path,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append `sessions` sessions of a source to the store `out`; returns a summary.

    `resume` records only the sessions that a store of the same call lacks. A signal that ends the
    process commits the sessions so far.
    """
    call = sessions_call(game, source, sessions, seed, options or {})
    make: Source = import_object(game.sources[source][0])
    done = _stored_sessions(out, call) if resume else 0
    with (
        Writer(
            out, game.schema, event_kinds=game.event_kinds, made={**game.made, "record": call}
        ) as writer,
        system.saves_when_stopped(),
    ):
        before, frames, people = writer.episodes, 0, set()
        try:
            while done < sessions:
                episodes = list(make(seed, done, **call["options"]))
                with system.shielded():
                    for episode in episodes:
                        writer.add(Episode(episode.columns, {**episode.meta, "number": done},
                                           episode.events, episode.absent))  # fmt: skip
                    done += 1
                frames += sum(episode.frames for episode in episodes)
                people |= {name for each in episodes for name in each.meta["players"]}
                if progress:
                    progress(done, sessions)
        except KeyboardInterrupt:
            with system.shielded():
                writer.commit()
            raise interrupted(
                f"stopped after {done:,} of {sessions:,} sessions; {out} keeps them: "
                "go on with the same command and --resume"
            ) from None
        episodes_added = writer.episodes - before
    return {
        "store": str(out),
        "game": game.name,
        "source": source,
        "sessions": sessions,
        "people": len(people),
        "episodes": episodes_added,
        "frames": frames,
        "seed": seed,
    }


def sessions_call(
    game: Game, source: str, sessions: int, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """A call of `record` as plain data, checked, with the defaults of its source filled in."""
    if source not in game.sources:
        known = [*game.sources, *game.live_sources]
        raise UsageError(f"{game.name} has no source '{source}': {did_you_mean(source, known)}")
    defaults = game.sources[source][1]
    for name, value in options.items():
        if name not in defaults:
            raise UsageError(
                f"source '{source}' has no option '{name}': {did_you_mean(name, defaults)}"
            )
        wanted = type(defaults[name])
        if not isinstance(value, wanted) and not (wanted is float and isinstance(value, int)):
            raise UsageError(
                f"source '{source}': option '{name}' must be a {wanted.__name__} (got {value!r})"
            )
    return {
        "game": game.name,
        "source": source,
        "sessions": sessions,
        "seed": seed,
        "options": {**defaults, **options},
    }


def _stored_sessions(out: Path, call: Mapping[str, Any]) -> int:
    """Number of sessions that an interrupted call has stored; they come in order."""
    if not (out / MANIFEST).exists():
        return 0
    store = Store(out)
    if store.manifest.made.get("record") != json.loads(json.dumps(call)):
        raise UsageError(
            f"{out} was recorded by another call; --resume goes on with the call that began a store"
        )
    return 1 + max((store.meta_of(at)["number"] for at in range(len(store))), default=-1)
