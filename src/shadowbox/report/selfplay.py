"""Self-play's own part of a run's page: results by opponent, and the league."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shadowbox.core.stats import wilson
from shadowbox.page.document import Bar, Html, beside, heading, sentence, table
from shadowbox.train.runs import Run

LARGEST = 4 << 20  # bytes of a league's manifest


def learner_blocks(run: Run) -> list[Html]:
    """Blocks of the page of a run of self-play."""
    return [*_opponents(run), *_league(run)]


def _opponents(run: Run) -> Iterator[Html]:
    lines = [line for line in run.lines if line.get("kind") == "play"]
    latest: dict[str, dict[str, Any]] = {}
    for line in lines:
        names = [key.removeprefix("recent.") for key in line if key.startswith("recent.")]
        for name in names:
            if not name.endswith((".low", ".high")):
                latest[name] = line
    if not latest:
        return
    yield heading("Results by opponent")
    yield sentence(
        f"Share of the last 200 matches that the learner won, at step {lines[-1]['step']:,}, with "
        "95 % intervals. Draws do not count as wins; the mark is one half."
    )
    yield beside([_bar(name, line) for name, line in sorted(latest.items())], wanted=0.5)


def _bar(name: str, line: dict[str, Any]) -> Bar:
    value, low, high = (line[f"recent.{name}{end}"] for end in ("", ".low", ".high"))
    return Bar(name, value, f"{value:.1%} ({low:.1%} to {high:.1%})", "policy", low, high)


def _league(run: Run) -> Iterator[Html]:
    path = run.path / "league.json"
    try:
        if path.stat().st_size > LARGEST:
            return
        league = json.loads(path.read_bytes())
        rows = [_row(entry, league["champion"]) for entry in league["snapshots"]]
    except FileNotFoundError:
        return
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        yield sentence(f"league.json cannot be read: {error}.")
        return
    yield heading("The league")
    yield sentence(
        "Snapshots of the learner, and how many matches the learner has won against each since it "
        "was taken. A snapshot becomes champion once it surely beats the champion before it."
    )
    yield table(["snapshot", "step", "won against it", "matches", ""], rows)


def _row(entry: dict[str, Any], champion: str) -> list[str]:
    wins, matches = (int(each) for each in entry["met"])
    rate = wilson(wins, matches)
    told = f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})" if matches else "not met yet"
    mark = "champion" if entry["name"] == champion else ""
    return [str(entry["name"]), f"{int(entry['step']):,}", told, f"{matches:,}", mark]
