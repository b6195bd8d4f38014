"""Pictures of the demo's page: matches, curves, targets and tables from the files of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from shadowbox.data.store import Store
from shadowbox.games import load
from shadowbox.page.document import (
    Bar,
    Html,
    beside,
    facts,
    lines,
    sentence,
    table,
    with_interval,
)
from shadowbox.report.card import outcomes
from shadowbox.report.match import match_clip
from shadowbox.train.runs import find_run

MOST_CONTROLS = 10
PAIR = '<div class="clips lockstep">'  # two viewers that play as one, in a page of an evaluation
FREE = {"pos_mae": ("constant_velocity",), "loss": ("markov", "rate", "free")}


def match(store: Path, caption: str, *, part: float = 0.0, game: str = "") -> Html:
    """A stored match in the viewer: the first one, or the one at this part of the store."""
    opened = Store(store)
    number = int(part * len(opened))
    return match_clip(load(game or opened.schema.name), caption, opened.episode(number))


def audit(store: Path, page: str) -> list[Html]:
    """Presses of the first player, as shares of the frames."""
    opened = Store(store)
    columns = opened.episode(0).columns
    keys = [key for key in opened.schema.control_keys if columns[key].dtype == bool]
    total = dict.fromkeys(keys, 0.0)
    frames = 0
    for number in range(0, len(opened), 10):
        episode = opened.episode(number)
        frames += episode.frames
        for key in keys:
            total[key] += float(episode.columns[key][: episode.frames, 0].sum())
    most = sorted(total.items(), key=lambda item: -item[1])[:MOST_CONTROLS]
    bars = [Bar(key, count / frames, f"{100 * count / frames:.1f} %", "p1") for key, count in most]
    words = (
        f"{len(opened)} matches, {opened.frames:,} frames. The first player holds each key in this "
        "share of a tenth of them. "
    )
    return [sentence(words, _link(page, "All columns and baselines")), beside(bars)]


def curve(run: Path, name: str, title: str) -> Iterator[Html]:
    """A validated figure over steps, beside its baselines."""
    found = find_run(run)
    logged = [line for line in found.lines if line["kind"] == "val"] if found else []
    if len(logged) < 2:
        return
    drawn = [("this run", _points(logged, name), "p1")]
    words = f"{title}: {logged[0][name]:.3g} to {logged[-1][name]:.3g}"
    for free in FREE.get(name, ()):
        if f"{name}/{free}" in logged[0]:
            drawn.append((free, _points(logged, f"{name}/{free}"), "baseline"))
            words += f"; dashed: {free.replace('_', ' ')}, {logged[-1][f'{name}/{free}']:.3g}"
    yield sentence(f"{words}.")
    yield lines(drawn)


def _points(logged: list[Any], name: str) -> list[tuple[float, float]]:
    return [(float(line["step"]), float(line[name])) for line in logged if name in line]


def targets(card: Path, page: str = "") -> Iterator[Html]:
    """What a card promised, and whether it holds."""
    found = json.loads((card / "verdict.json").read_text(encoding="utf-8"))
    yield outcomes(found["targets"])
    if page:
        yield sentence(_link(page, "The whole report"))


def ratings(found: Mapping[str, Any]) -> Html:
    """Elo of a tournament with the share of matches won against each."""
    agents = [each["agent"] for each in found["ratings"]]
    rows = [
        [
            _short(each["agent"]),
            with_interval(f"{each['elo']:.0f}", f"{each['low']:.0f} .. {each['high']:.0f}"),
            *(_won(found["payoff"].get(each["agent"], {}).get(other)) for other in agents),
        ]
        for each in found["ratings"]
    ]
    return table(["", "Elo", *(f"won against {_short(other)}" for other in agents)], rows)


def _short(agent: str) -> str:
    return agent.removeprefix("policy:runs/")


def _won(found: Mapping[str, Any] | None) -> str:
    return f"{100 * found['win_rate']:.0f} %" if found else "-"


def dream(page: Path) -> list[Html]:
    """The first recorded moment of an evaluation beside its prediction."""
    _, _, rest = page.read_text(encoding="utf-8").partition(PAIR)
    pair, end, _ = rest.partition("</div>")  # text in the data of a clip has no markup
    shown = Html(PAIR + pair + end) if end else sentence("No moment was long enough to be shown.")
    words = (
        "Left recorded, right predicted from the same moment and the same keys; play starts both. "
    )
    return [sentence(words, _link(page.name, "All figures of this world")), shown]


def course(store: Path) -> Iterator[Html]:
    """What the person did on the course."""
    result = Store(store).episode(0).meta.get("result")
    if isinstance(result, dict):
        shown = [(name.replace("_", " "), str(value)) for name, value in result.items()]
        yield facts([(name, value) for name, value in shown if value not in ("None", "")])


def _link(name: str, text: str) -> Html:
    return Html(f'<a href="{escape(name)}">{escape(text)}</a>')
