"""Page of the demo: a row for each part, which waits, runs, or is done with what it made.

The page is written whole after each step and takes itself anew while the demo runs, but never while
a match in it plays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from shadowbox.core.files import write_whole
from shadowbox.page.document import Html, badge, code, folded, sentence, shell, table
from shadowbox.page.match_page import CLIPS, STYLES, bundle

RELOAD_S = 4
TONES = {"done": "good", "failed": "bad", "stopped": "bad"}
SCRIPT = f"""
const viewers = [...document.querySelectorAll("match-viewer")];
setInterval(() => {{
  for (const each of document.querySelectorAll("[data-since]"))
    each.textContent = `${{Math.max(0, Math.round(Date.now() / 1000 - each.dataset.since))}} s`;
}}, 1000);
if (document.querySelector("[data-since]"))
  setInterval(() => {{
    const open = document.querySelector("details[open]") || document.fullscreenElement;
    if (!open && !viewers.some((viewer) => viewer.playing)) location.reload();
  }}, {1000 * RELOAD_S});
"""


@dataclass
class Part:
    """One part of the demo: its commands, its times, and the blocks that show what it made."""

    name: str
    title: str
    words: str  # one sentence on what happens
    state: str = "waiting"
    began: float = 0.0  # seconds since 1970
    wall_s: float = 0.0
    cpu_s: float = 0.0
    commands: list[str] = field(default_factory=list)
    blocks: list[Html] = field(default_factory=list)
    why: str = ""  # it failed or was stopped


class Board:
    """All parts, and the file that shows them."""

    def __init__(self, file: Path, parts: Sequence[Part]) -> None:
        self.file, self.parts, self.began = file, list(parts), time.time()

    def write(self) -> None:
        """Write the page whole, as all parts are now."""
        body = Html("".join(["<h1>The whole loop, on one page</h1>", *self._blocks()]))
        script = bundle(CLIPS) + SCRIPT
        text = shell("Demo of Shadowbox", Html(f"<main>{body}</main>"),
                     styles=(*STYLES, "card.css"), script=script)  # fmt: skip
        write_whole(self.file, text.encode())

    def _blocks(self) -> list[Html]:
        running = any(part.state == "running" for part in self.parts)
        wall, cpu = sum(p.wall_s for p in self.parts), sum(p.cpu_s for p in self.parts)
        total = [
            Html("<b>all</b>"),
            "",
            _since(self.began) if running else _seconds(wall),
            _seconds(cpu),
        ]
        rows = [
            [
                Html(f'<a href="#{part.name}">{escape(part.title)}</a>'),
                _badge(part),
                _wall(part),
                _seconds(part.cpu_s),
            ]
            for part in self.parts
        ]
        said = "Each part appears as soon as it is done. " if running else ""
        intro = sentence(
            f"{said}Every command below can be given by hand, in the folder of this page. "
            "Trainings are as short as a demo requires: they show the way, not what can be reached."
        )
        summary = table(["part", "", "seconds", "CPU seconds"], [*rows, total], left=2)
        return [intro, summary, *(_section(part) for part in self.parts)]


def _section(part: Part) -> Html:
    blocks = [
        Html(f'<h2 id="{part.name}">{escape(part.title)} {_badge(part)}</h2>'),
        sentence(part.words),
    ]
    if part.why:
        blocks.append(sentence(part.why))
    blocks += part.blocks
    if part.commands:
        listed = [sentence(code(f"$ {command}")) for command in part.commands]
        blocks += [listed[-1]] if part.state == "running" else [folded("Commands", listed)]
    return Html("".join(blocks))


def _badge(part: Part) -> Html:
    return badge(part.state, TONES.get(part.state, "plain"))


def _wall(part: Part) -> Html | str:
    return _since(part.began) if part.state == "running" else _seconds(part.wall_s)


def _since(began: float) -> Html:
    """Seconds since then, which the page counts on."""
    return Html(f'<span data-since="{began:.0f}">{max(0.0, time.time() - began):.0f} s</span>')


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds else "-"
