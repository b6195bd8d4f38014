"""A match as one HTML file that works offline: the viewer, the rows and the events inlined."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from shadowbox.core.scenes.grammar import Scene, validate
from shadowbox.core.schema import Array, Choice, Column, Real, Schema
from shadowbox.core.tracks import Track, tracks_dtype
from shadowbox.page.document import Html, part, shell

# each after the modules that it imports
MODULES = (
    "rows",
    "scene",
    "pose",
    "figure",
    "effects",
    "motion",
    "paint",
    "parts",
    "side",
    "pads",
    "timeline",
    "captions",
    "mind",
    "transport",
    "viewer",
)
CLIPS = (*MODULES, "lockstep", "unpack", "clips")
STYLES = ("style.css", "viewer.css")
_EVENT = ("frame", "kind", "player", "other", "what", "value")
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def hello(
    schema: Schema,
    scene: Scene,
    *,
    players: Sequence[str],
    world: str = "",
    worlds: Sequence[Mapping[str, Any]] = (),
    event_kinds: Sequence[str] = (),
    event_whats: Mapping[str, Sequence[str]] | None = None,
    tracks: Sequence[Track] = (),
) -> dict[str, Any]:
    """Description of a match that a viewer needs before the first row, as plain data.

    It holds the place of each column in a row, the scene, and the players' names. The values of
    `tracks` come packed after each row, in this order. A match that changed its world has all of
    them in `worlds`, each with the row `from` which it was in the one with this `spec`.
    """
    validate(scene, schema)
    names = [*players, *(f"P{seat + 1}" for seat in range(len(players), schema.players))]
    return {
        "format": 1,
        "game": schema.name,
        "facts_hash": schema.facts_hash,
        "fps": schema.fps,
        "players": names[: schema.players],
        "world": world,
        "worlds": [dict(each) for each in worlds] or [{"from": 0, "spec": world}],
        "row_bytes": schema.row_dtype.itemsize,
        "columns": {key: _column(schema, column) for key, column in schema.columns.items()},
        "controls": list(schema.control_keys),
        "scene": dict(scene),
        "event_kinds": list(event_kinds),
        "event_whats": {kind: list(whats) for kind, whats in (event_whats or {}).items()},
        "tracks": [track.to_json() for track in tracks],
        "track_bytes": tracks_dtype(tracks).itemsize,
    }


def event_list(events: Array) -> list[dict[str, Any]]:
    """Events as plain data for the viewer, without `match`: a page or a socket shows one match."""
    return [{name: event[name].item() for name in _EVENT} for event in events]


def match_page(
    title: str,
    greeting: Mapping[str, Any],
    rows: Array,
    events: Array,
    *,
    result: Mapping[str, Any] | None = None,
    blocks: Iterable[Html] = (),
) -> str:
    """Text of an HTML file that shows one match.

    `greeting` is the result of `hello`, `rows` are packed, and `blocks` (of page/document.py) are
    placed below the viewer.
    """
    data = _inside_markup(_match_data(greeting, rows, events, result))
    body = (
        '<match-viewer keys="page"></match-viewer>'
        f"<main>{''.join(blocks)}</main>"
        f'<script type="application/json" id="match">{data}</script>'
    )
    return shell(title, Html(body), styles=STYLES, script=bundle([*MODULES, "unpack", "saved"]))


def clip(
    caption: str,
    greeting: Mapping[str, Any],
    rows: Array,
    events: Array,
    result: Mapping[str, Any] | None = None,
) -> Html:
    """Match as one of several figures of a page (`clips_page`); it plays when play is pressed."""
    data = _inside_markup(_match_data(greeting, rows, events, result))
    return Html(
        f'<figure class="clip"><figcaption>{escape(caption)}</figcaption>'
        f'<match-viewer></match-viewer><script type="application/json">{data}</script></figure>'
    )


def side_by_side(clips: Iterable[Html], *, together: bool = False) -> Html:
    """Clips in pairs, where the window is wide enough; `together`: they play as one."""
    kind = "clips lockstep" if together else "clips"
    return Html(f'<div class="{kind}">{"".join(clips)}</div>')


def lockstep_page(title: str, clips: Iterable[Html], blocks: Iterable[Html] = ()) -> str:
    """Text of an HTML file that plays several clips as one, with `blocks` below them."""
    group = f'<div class="lockstep whole">{"".join(clips)}</div>'
    body = Html(f"{group}<main>{''.join(blocks)}</main>")
    return shell(title, body, styles=STYLES, script=bundle(CLIPS))


def clips_page(title: str, blocks: Iterable[Html]) -> str:
    """Report of one column that may contain clips."""
    body = Html(f"<main><h1>{escape(title)}</h1>{''.join(blocks)}</main>")
    styles = (*STYLES, "card.css")
    return shell(title, body, styles=styles, script=bundle(CLIPS))


def _match_data(
    greeting: Mapping[str, Any], rows: Array, events: Array, result: Mapping[str, Any] | None
) -> dict[str, Any]:
    # without a time stamp, so that the same match gives the same file
    packed = gzip.compress(rows.tobytes(), mtime=0)
    rows_as_text = base64.b64encode(packed).decode()
    return {
        "hello": dict(greeting),
        "events": event_list(events),
        "result": result,
        "rows": rows_as_text,
    }


def bundle(names: Sequence[str]) -> str:
    """Modules as one script without imports, which a page opened from a disk may not follow.

    Each module keeps its names to itself.
    """
    return "\n".join(_wrapped(name, part(f"{name}.js")) for name in names)


def _wrapped(name: str, text: str) -> str:
    exported = ", ".join(_EXPORT.findall(text))
    inside = _EXPORT.sub("", _IMPORT.sub(r"const \1 = $\2;", text))
    return f"const ${name} = (() => {{\n{inside}\nreturn {{ {exported} }};\n}})();"


def _column(schema: Schema, column: Column) -> dict[str, Any]:
    """Description of a column of a packed row; `offset` counts bytes, for flags bits."""
    dtype, field = schema.row_dtype, column.field
    assert dtype.fields is not None
    out: dict[str, Any] = {"kind": field.kind, "store": field.store, "slots": column.slots}
    if field.store == "bit":
        out["offset"] = 8 * dtype.fields["bits"][1] + schema.flag_bits[column.key]
    else:
        out["offset"] = dtype.fields[column.key][1]
    if isinstance(field, Choice) and field.names:
        out["names"] = list(field.names)
    if isinstance(field, Real):
        out |= {
            name: limit
            for name, limit in (("low", field.low), ("high", field.high))
            if limit is not None
        }
    return out


def _inside_markup(data: Any) -> str:
    """JSON in which no text can end the surrounding script element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_block(name: str, data: Any) -> Html:
    """Element that holds data for a script of the page."""
    return Html(f'<script type="application/json" id="{name}">{_inside_markup(data)}</script>')


def match_block(
    greeting: Mapping[str, Any], rows: Array, events: Array, result: Mapping[str, Any] | None = None
) -> Html:
    """Data of the one match of a page, for saved.js and its `<match-viewer>`."""
    return data_block("match", _match_data(greeting, rows, events, result))
