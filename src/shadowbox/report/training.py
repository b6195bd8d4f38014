"""Training curves from `metrics.jsonl`: a CSV table, and a self-contained page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from shadowbox.core.files import write_whole
from shadowbox.page.document import Html, facts, heading, lines, page
from shadowbox.train.log import METRICS, Line, numbers, read_lines

TABLE, PAGE = "curves.csv", "curves.html"
TONES = {"train": "p1", "val": "p2"}


def draw(run: Path) -> None:
    """Write `curves.csv` and `curves.html` into the run's folder."""
    found = read_lines(run / METRICS)
    write_whole(run / TABLE, as_csv(found).encode())
    write_whole(run / PAGE, as_page(str(run), found).encode())


def _tone(figure: str, curve: str) -> str:
    """The color of a curve: of a learner's own lines that of training."""
    own = "p1" if figure.startswith(f"{curve}/") else "baseline"
    return TONES.get(curve, own)


def as_csv(found: Sequence[Line]) -> str:
    """A row per line of the log, a column per figure."""
    names = list(dict.fromkeys(name for line in found for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def as_page(title: str, found: Sequence[Line]) -> str:
    """A chart per figure: training and validation in two colors, baselines in grey."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for line in found:
        for name, value in numbers(line):
            if name in ("step", "epoch") or name.endswith((".low", ".high")):
                continue
            kind = str(line["kind"])
            score, _, floor = (name, "", "") if kind == "train" else name.partition("/")
            figure = score if kind in TONES else f"{kind}/{score}"
            curves.setdefault(figure, {}).setdefault(floor or kind, []).append(
                (line["step"], value)
            )
    blocks: list[Html] = []
    for name, named in curves.items():
        blocks.append(heading(name))
        blocks.append(lines([(kind, points, _tone(name, kind)) for kind, points in named.items()]))
        blocks.append(
            facts(
                (kind, f"{points[-1][1]:.5g} at step {points[-1][0]:,}")
                for kind, points in named.items()
            )
        )
    return page(f"Curves of {title}", blocks)
