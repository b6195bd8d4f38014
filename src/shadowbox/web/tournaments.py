"""Tournaments page: a list of the tournaments, and one with its ratings and its cross-table.

Each is read from the JSON file that `shadowbox tournament` writes beside its ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shadowbox.core.files import read_json
from shadowbox.errors import ShadowboxError
from shadowbox.evaluate.tournament import elo_warning
from shadowbox.page.document import (
    Html,
    badge,
    code,
    facts,
    folded,
    heading,
    metric_name,
    table,
    with_interval,
)
from shadowbox.web.markup import element, empty, framed, link
from shadowbox.web.runlog import time_of
from shadowbox.web.site import PageNotFound, Site

LARGEST = 16 << 20  # bytes of a file
PLAY = "shadowbox tournament {game} {agents} --matches 100 --out {folder}/first.jsonl"


def tournaments(site: Site) -> str:
    """Tournaments page: all tournaments, newest first."""
    files = _files(site.tournaments)
    blocks: list[str] = [element("h1", "Tournaments")]
    rows = [_summary(name, path) for name, path in files.items()]
    if rows:
        blocks.append(table(["tournament", "game", "best", "agents", "matches"], rows, left=3))
    else:
        agents = " ".join(site.agents[:4])
        play = PLAY.format(folder=site.tournaments, game=site.game.name, agents=agents)
        blocks.append(empty("No tournaments yet.", "Play one; it is listed here:", play))
    return framed("Tournaments", "/tournaments", blocks, module="web")


def tournament(site: Site, name: str) -> str:
    """Page of one tournament: its ratings, its cross-table, and the details folded."""
    path = _files(site.tournaments).get(name)
    if path is None:
        raise PageNotFound("Tournament not found. The Tournaments page lists all of them.")
    data = read_tournament(path)
    ratings = sorted(data["ratings"], key=lambda rating: -rating["elo"])
    details = [
        (key, code(str(data[key]))) for key in ("game", "stage", "world", "matches") if key in data
    ]
    blocks: list[str] = [
        element("h1", name),
        element("p", _headline(ratings)),
        heading("Ratings"),
        element(
            "p",
            "Elo with a 95 % interval. Agents whose intervals overlap may be equally strong. "
            "The grey line is the average.",
        ),
        *_warned(data),
        _ladder(ratings),
        *_nash(data, [rating["agent"] for rating in ratings]),
        heading("Win rates"),
        element(
            "p",
            "Matches that the agent in the row wins against the agent in the column, in percent, "
            "with a 95 % interval. A draw counts as half a win.",
        ),
        _cross_table(data, [rating["agent"] for rating in ratings]),
        folded("Pairs in detail", [_pairs(data)]),
        folded("Settings", [facts([*details, ("file", code(str(path)))])]),
    ]
    return framed(name, "/tournaments", blocks, module="web")


def read_tournament(path: Path) -> dict[str, Any]:
    """Read the result of a tournament; every value that the pages use is checked."""
    again = f"write it anew: shadowbox tournament ... --json > {path}"
    try:
        data = read_json(path, hint=again, largest=LARGEST)
    except FileNotFoundError as error:
        raise ShadowboxError(f"{path} cannot be read: {error.strerror}") from error
    if problem := _problem(data):
        raise ShadowboxError(f"{path} is not the result of a tournament: {problem}; {again}")
    found: dict[str, Any] = data
    return found


# ---- reading ----


def _files(folder: Path) -> dict[str, Path]:
    """Files of the tournaments by name, newest first.

    A name in an address is only looked up in this mapping, so it never becomes part of a path.
    """
    try:
        paths = sorted(folder.glob("*.json"), key=lambda path: -time_of(path))
    except OSError:
        return {}
    return {path.stem: path for path in paths}


def _problem(data: Any) -> str:
    """First reason for which data are not the result of a tournament; empty if there is none."""
    if not isinstance(data, dict):
        return "it is not an object"
    ratings, payoff = data.get("ratings"), data.get("payoff")
    if not isinstance(ratings, list) or not ratings or not isinstance(payoff, dict):
        return "it has no ratings or no payoff"
    for number, rating in enumerate(ratings):
        if not isinstance(rating, dict) or not isinstance(rating.get("agent"), str):
            return f"ratings[{number}] has no agent"
        if bad := _not_numbers(rating, ("elo", "low", "high")):
            return f"ratings[{number}] has no {bad}"
    for one, row in payoff.items():
        if not isinstance(row, dict):
            return f"payoff['{one}'] is not an object"
        for other, cell in row.items():
            if not isinstance(cell, dict):
                return f"payoff['{one}']['{other}'] is not an object"
            if bad := _not_numbers(cell, ("win_rate", "low", "high", "wins", "losses", "draws")):
                return f"payoff['{one}']['{other}'] has no {bad}"
    return _problem_of_mixture(data, [rating["agent"] for rating in ratings])


def _problem_of_mixture(data: Mapping[str, Any], agents: list[str]) -> str:
    """The same of the cycle test and the Nash mixture, which older results lack."""
    test, nash = data.get("cycle_test"), data.get("nash")
    if test is not None:
        fits = isinstance(test, dict) and isinstance(test.get("elo_is_reliable"), bool)
        if not fits or _not_numbers(test, ("p", "cyclic", "expected")):
            return "cycle_test is not a test"
    if nash is not None:
        for name in agents:
            entry = nash.get(name) if isinstance(nash, dict) else None
            for key in ("weight", "score"):
                interval = entry.get(key) if isinstance(entry, dict) else None
                if not isinstance(interval, dict) or _not_numbers(
                    interval, ("value", "low", "high")
                ):
                    return f"nash has no {key} of '{name}'"
    return ""


def _not_numbers(data: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((name for name in names if _number(data.get(name)) is None), "")


def _number(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fits else None


# ---- showing ----


def _summary(name: str, path: Path) -> list[str]:
    try:
        data = read_tournament(path)
    except ShadowboxError as error:
        return [
            name,
            badge("unreadable", "bad"),
            element("span", str(error), class_="words"),
            "",
            "",
        ]
    best = max(data["ratings"], key=lambda rating: rating["elo"])
    return [
        link(f"/tournaments/{quote(name, safe='')}", name),
        str(data.get("game", "")),
        code(best["agent"]),
        str(len(data["ratings"])),
        str(data.get("matches", "-")),
    ]


def _headline(ratings: list[dict[str, Any]]) -> str:
    best, *others = ratings
    equal = [other["agent"] for other in others if other["high"] >= best["low"]]
    if not equal:
        return f"{best['agent']} is the strongest of {len(ratings)} agents."
    return f"{best['agent']} leads; its interval overlaps with {', '.join(equal)}."


def _ladder(ratings: list[dict[str, Any]]) -> Html:
    """Table of the agents with their Elo drawn as a dot on its interval, all on one scale."""
    low, high = min(r["low"] for r in ratings), max(r["high"] for r in ratings)
    span = (high - low) or 1.0

    def x(elo: float) -> str:
        return f"{3 + 94 * (elo - low) / span:.2f}%"

    middle = x(sum(r["elo"] for r in ratings) / len(ratings))
    rows = []
    for at, rating in enumerate(ratings):
        picture = element(
            "svg",
            element("line", x1=middle, x2=middle, y1=0, y2=28, class_="zero"),
            element("line", x1=x(rating["low"]), x2=x(rating["high"]), y1=14, y2=14, class_="span"),
            element("circle", cx=x(rating["elo"]), cy=14, r=4, class_="dot"),
            class_="ladder",
            aria_hidden="true",
        )
        interval = f"{rating['low']:.0f} .. {rating['high']:.0f}"
        rows.append(
            [
                rating["agent"],
                picture,
                with_interval(f"{rating['elo']:.0f}", interval, best=at == 0),
            ]
        )
    return table(["agent", "", metric_name("elo", "Elo")], rows, left=2)


def _warned(data: Mapping[str, Any]) -> list[Html]:
    """A warning where the results contain cycles, which ratings cannot show."""
    warning = elo_warning(data.get("cycle_test"))
    return [element("p", badge("unreliable", "bad"), f" {warning}.")] if warning else []


def _nash(data: Mapping[str, Any], agents: list[str]) -> list[Html]:
    """Table of the mixture of agents that no agent beats; nothing for tournaments without one."""
    nash = data.get("nash")
    if not nash:
        return []
    rows = [
        [name, *(_percent_with_interval(nash[name][key]) for key in ("weight", "score"))]
        for name in agents
    ]
    about = (
        "The mixture of agents that no agent beats on average (Nash averaging), the most even one "
        "if there are several. Copies of an agent change nothing. In percent, with 95 % intervals."
    )
    return [
        heading("Nash averaging"),
        element("p", about),
        table(["agent", metric_name("nash_weight", "weight"), "score against the mixture"], rows),
    ]


def _percent_with_interval(entry: Mapping[str, float]) -> Html:
    interval = f"{100 * entry['low']:.0f} .. {100 * entry['high']:.0f}"
    return with_interval(f"{100 * entry['value']:.0f}", interval, best=False)


def _cross_table(data: Mapping[str, Any], agents: list[str]) -> Html:
    rows = []
    for one in agents:
        cells: list[str] = [one]
        for other in agents:
            cell = data["payoff"].get(one, {}).get(other)
            cells.append("·" if cell is None or one == other else _rate(cell))
        rows.append(cells)
    return table(["", *agents], rows)


def _rate(cell: Mapping[str, Any]) -> Html:
    interval = f"{100 * cell['low']:.0f} .. {100 * cell['high']:.0f}"
    return with_interval(f"{100 * cell['win_rate']:.0f}", interval, best=cell["low"] > 0.5)


def _pairs(data: Mapping[str, Any]) -> Html:
    rows = []
    for one, row in data["payoff"].items():
        for other, cell in row.items():
            if one != other:
                count = " : ".join(str(cell[key]) for key in ("wins", "draws", "losses"))
                more = [_shares(cell.get(key)) for key in ("by_seat", "by_spawn")]
                rows.append(
                    [f"{one} against {other}", count, str(cell.get("distinct", "-")), *more]
                )
    return table(["pair", "won : drawn : lost", "distinct", "by seat", "by spawn"], rows)


def _shares(rates: Any) -> str:
    """Win rates by seat or spawn in one line; they are a list, or an object by name."""
    pairs = (
        rates.items()
        if isinstance(rates, dict)
        else enumerate(rates)
        if isinstance(rates, list)
        else ()
    )
    parts = []
    for name, value in pairs:
        rate = _number(value.get("win_rate")) if isinstance(value, dict) else _number(value)
        label = {"0": "first", "1": "second"}.get(str(name), name)
        parts.append(f"{label} {'-' if rate is None else f'{100 * rate:.0f}'}")
    return ", ".join(parts) or "-"
