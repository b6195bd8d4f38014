"""Matches of a run on its page: the newest checkpoint against a bot or a snapshot of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_bytes
from shadowbox.errors import ShadowboxError
from shadowbox.model import kinds
from shadowbox.page.document import Html, heading
from shadowbox.play import specs
from shadowbox.report.selfplay import league_of, thinned
from shadowbox.web.markup import element
from shadowbox.web.site import Site

MOST_SNAPSHOTS = 20  # in the list of opponents


def section(site: Site, run_facts: Mapping[str, Any]) -> list[Html]:
    """Form that starts a match on the page of a run, and its stage; empty if a run cannot play."""
    if not _plays(site, run_facts):
        return []
    choice = element("select", name="opponent", aria_label="opponent")
    again = element("input", type="checkbox", name="again")
    return [
        element(
            "section",
            heading("Watch it play"),
            element("p", "No checkpoint yet; the first one can play.", id="newest"),
            element(
                "form",
                element(
                    "div",
                    element("label", element("span", "Opponent"), choice),
                    element("button", "Play a match", type="submit", class_="go", disabled=True),
                    class_="row",
                ),
                element("label", again, " Keep playing, each time the newest one", class_="check"),
                element("p", class_="message", role="alert"),
                id="watch",
            ),
            element("match-viewer", hidden=True),
            element("p", id="match-status", class_="soft", role="status"),
            id="playing",
        )
    ]


def choices(site: Site, run: Path, run_facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Newest checkpoint of a run and its possible opponents by group; None if it cannot play."""
    if not _plays(site, run_facts):
        return None
    kind = kinds.checkpoint_kind(str(run_facts["kind"]))
    agent = f"{kind.spec_name}:{run}"
    world = str(run_facts.get("world") or "")
    return {
        "agent": f"{agent}@latest",
        "step": newest(run),
        "world": "" if specs.runs_code(world) else world,
        "opponents": [
            [group, names] for group, names in _opponents(site, run, run_facts, agent) if names
        ],
    }


def newest(run: Path) -> int | None:
    """Step of the newest checkpoint of a run; None before the first."""
    try:
        text = read_bytes(run / "latest", largest=100).decode("ascii").strip()
    except (OSError, ShadowboxError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def _opponents(
    site: Site, run: Path, run_facts: Mapping[str, Any], agent: str
) -> Iterator[tuple[str, list[list[str]]]]:
    """Groups of opponents, each as a label and its [spec, name]."""
    shares = run_facts.get("opponents")
    met = [str(name) for name in shares] if isinstance(shares, dict) else []
    met = [name for name in met if name in site.agents]
    held_out = set(specs.held_out(site.agents, site.game))
    marks = {name: f"{name} (held out)" for name in held_out}
    yield "Met in training", [[name, name] for name in met]
    others = [name for name in site.agents if name not in met]
    yield "Never met in training" if met else "Bots", [[n, marks.get(n, n)] for n in others]
    snapshots, champion, _ = league_of(run)
    kept = reversed(thinned(snapshots, champion, MOST_SNAPSHOTS))
    itself = [[f"{agent}@latest", "itself, as it is now"]]
    yield (
        "Itself",
        itself
        + [
            [
                f"{agent}@snapshot={each['step']}",
                f"its snapshot of step {each['step']:,}"
                + (", the champion" if each["name"] == champion else ""),
            ]
            for each in kept
        ],
    )


def _plays(site: Site, run_facts: Mapping[str, Any]) -> bool:
    """Test that checkpoints of a run are agents for the game of this server."""
    if run_facts.get("game") != site.game.name or not site.playable_worlds:
        return False
    try:
        return bool(kinds.checkpoint_kind(str(run_facts.get("kind"))).agent)
    except ShadowboxError:
        return False
