"""Writes docs/never-press.md and its picture out of the results of two cards: `python demo/never_press.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.cards.file import CardFile
from shadowbox.experiment import results

ROOT = Path(__file__).resolve().parent.parent
PLAYED, PEOPLE = ROOT / "cards" / "never-press.md", ROOT / "cards" / "never-press-melee.md"
PAGE, PICTURE = ROOT / "docs" / "never-press.md", ROOT / "docs" / "never-press.svg"
WORDS = {
    "seed": "the older recipe: each button on its own, pressed above .5",
    "seed-drawn": "the same, drawn instead of rounded",
    "pos-weight": "presses weigh 10 times, and nobody undoes it",
    "bias": "4 is added to every logit of a button",
    "focal": "a focal loss, and nobody undoes it",
    "actionable": "learned only where the fighter can act, pressed above .5",
    "chain": "whether something changes, then what; a proper likelihood, drawn",
}
GATE = {"press": (0.8, 1.25), "onset": (0.67, 1.5)}
TEXT = """\
# The policy that never presses

An older policy reported 98 % on its metric, and pressed nothing. Four cures were proposed for it: weigh presses ten times,
add four to the logits, use a focal loss, learn only from frames in which the fighter can act. None asks whether the policy,
*played*, presses as often as its demonstrator did.

![Press and onset ratios of each recipe, beside the bands in which the gate passes](never-press.svg)

`accuracy` is the older metric, `press_accuracy`: right answers in frames in which any button is down. Press ratios are
frames with a button down, onset ratios presses that begin, each over those of the recordings: the lowest and the highest of
all buttons in use. The gate passes where they are in 0.8 .. 1.25 and 0.67 .. 1.5.

## Played

{played}

The demonstrator is the bot `tapper`, who walks, jumps and taps by chance, more often near its opponent: nobody can say when
it presses next, only how often. Copying the last frame scores an accuracy of {played_copy}.

{played_story}

Against a demonstrator without habits drawing alone is a cure: the older head is right about how often, button by button. It
says nothing of buttons that go together, nor of how long one is held; [brawl-clone](../cards/brawl-clone.md) needs both.

## What people pressed

{people}

These are replays of people, split by file; three splits, and figures are their means. The game has no simulator, so a policy is
asked one frame ahead: at every frame it is told what was really pressed before, and its ratios say what it would begin and hold
there, not where its own play would lead it. Copying the last frame scores an accuracy of {people_copy}. With so few files the
gate asks more than people agree on: who is held back has other habits than those who were learned from.

{people_story}

## Again

`shadowbox run never-press` trains and judges the first table ([the card](../cards/never-press.md): {played_cost}),
`shadowbox run never-press-melee` the second, with replays in the folder `replays/`
([the card](../cards/never-press-melee.md): {people_cost}), and `python demo/never_press.py` writes this page from their
results. A test does the first, smaller, each time. [Metrics](metrics.md) explains the numbers, and
`shadowbox eval RUN STORE` asks the same of any policy.
"""

Row = Mapping[str, Any]


def main() -> None:
    """Write both files."""
    for path, text in written(_found(PLAYED), _found(PEOPLE)).items():
        path.write_text(text, encoding="utf-8")


def written(played: Mapping[str, Any], people: Mapping[str, Any]) -> dict[Path, str]:
    """Each file and what stands in it, from the results of both cards."""
    words, panels = {}, {}
    for name, title, found in (
        ("played", "played", played),
        ("people", "people's replays", people),
    ):
        rows = panels[title] = [_row(setting) for setting in found["settings"]]
        words[name] = _table(rows)
        words[f"{name}_copy"] = f"{rows[0]['copy']:.3f}"
        words[f"{name}_story"] = "\n".join(_story(rows))
        words[f"{name}_cost"] = f"{found['cost']['wall_s'] / 60:.0f} minutes on one core"
    return {PAGE: TEXT.format(**words), PICTURE: _picture(panels)}


def _found(card: Path) -> dict[str, Any]:
    found = results.stored_results(CardFile.read(card))
    if found is None:
        raise SystemExit(f"the card has no results: shadowbox run {card.stem}")
    return found


def _row(setting: Mapping[str, Any]) -> Row:
    """One recipe's figures."""
    by_name = {target["metric"].removeprefix("eval/"): target for target in setting["targets"]}
    accuracy = by_name["press_accuracy"]
    names = (
        "press_ratio_min",
        "press_ratio_max",
        "onset_ratio_min",
        "onset_ratio_max",
        "onset_f1_sampled",
        "gate",
    )
    return {
        "name": setting["set"]["name"],
        "accuracy": accuracy["value"],
        "copy": accuracy["baselines"]["copy_last"],
        **{name: by_name[name]["value"] for name in names},
    }


# ---- in words --------------------------------------------------------------------------------------------------


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| recipe | accuracy | press ratios | onset ratios | onset F1, as played | gate |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spans = [
            f"{row[f'{kind}_ratio_min']:.2f} .. {row[f'{kind}_ratio_max']:.2f}" for kind in GATE
        ]
        cells = [
            f"`{row['name']}`: {WORDS[row['name']]}",
            f"{row['accuracy']:.3f}",
            *spans,
            f"{row['onset_f1_sampled']:.3f}",
            "passed" if row["gate"] == 1 else "failed",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _story(rows: Sequence[Row]) -> Iterator[str]:
    """Said of each recipe, out of its numbers."""
    for row in rows:
        said = (
            "presses nothing"
            if row["press_ratio_max"] == 0
            else _and([*_said(row, "press"), *_said(row, "onset")])
        )
        verdict = "passes" if row["gate"] == 1 else "fails"
        yield f"- `{row['name']}` {said or 'presses as it was shown'}; its accuracy is {row['accuracy']:.3f}, and it {verdict}."


def _said(row: Row, kind: str) -> Iterator[str]:
    """What leaves the gate's band."""
    does = {"press": "holds", "onset": "begins"}[kind]
    (low, high), (least, most) = (row[f"{kind}_ratio_min"], row[f"{kind}_ratio_max"]), GATE[kind]
    said = [f"{low:.2f}"] * (low < least) + [f"{high:.1f}"] * (high > most)
    if said:
        yield f"{does} some button {' and another '.join(said)} times"


def _and(said: Sequence[str]) -> str:
    return ", and ".join(said) + (" as often as it was shown" if said else "")


# ---- in a picture ----------------------------------------------------------------------------------------------

# units of the picture: room for names, a panel, between panels, between rows
NAMES, WIDE, GAP, STEP = 100, 290, 20, 26
MARKS = (0.05, 0.2, 1, 5, 20)  # the axis is logarithmic; what is below its first mark lies on it


def _picture(panels: Mapping[str, Sequence[Row]]) -> str:
    """Bars from the lowest to the highest ratio of each recipe: presses left, onsets right, one data set below the other."""
    parts: list[str] = []
    top = 0
    for title, rows in panels.items():
        for column, kind in enumerate(GATE):
            parts += _panel(
                NAMES + column * (WIDE + GAP),
                top,
                f"{kind} ratios, {title}",
                kind,
                rows,
                named=column == 0,
            )
        top += 44 + STEP * len(rows) + 36
    wide = NAMES + 2 * WIDE + 2 * GAP
    size = f'viewBox="0 0 {wide} {top}" font-family="system-ui, sans-serif" font-size="12"'
    paper = f'<rect width="{wide}" height="{top}" fill="#FAFAF7"/>'
    return (
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="#1C1F23">',
                paper,
                *parts,
                "</svg>",
            ]
        )
        + "\n"
    )


def _panel(
    left: int, top: int, title: str, kind: str, rows: Sequence[Row], *, named: bool
) -> Iterator[str]:
    first, bottom = top + 44, top + 44 + STEP * len(rows)
    low, high = (left + _along(end) for end in GATE[kind])
    yield f'<text x="{left}" y="{top + 24}" font-weight="600">{title}</text>'
    yield f'<rect x="{low:.1f}" y="{first - 8}" width="{high - low:.1f}" height="{bottom - first + 8}" fill="#CFE8D5"/>'
    for number, row in enumerate(rows):
        y = first + STEP * number
        start, end = (left + _along(row[f"{kind}_ratio_{which}"]) for which in ("min", "max"))
        fill = (
            'fill="#2D7D46"'
            if row["gate"] == 1
            else 'fill="#FAFAF7" stroke="#B03A2E" stroke-width="1.5"'
        )
        if named:
            yield f'<text x="{left - 10}" y="{y + 11}" text-anchor="end">{row["name"]}</text>'
        yield f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 4):.1f}" height="14" rx="3" {fill}/>'
    yield f'<line x1="{left}" x2="{left + WIDE}" y1="{bottom}" y2="{bottom}" stroke="#DEDCD5"/>'
    for mark in MARKS:
        label = "none" if mark == MARKS[0] else f"{mark:g}"
        yield f'<text x="{left + _along(mark):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#5B5F64">{label}</text>'


def _along(ratio: float) -> float:
    """Where a ratio lies on the axis."""
    low, high = math.log(MARKS[0]), math.log(MARKS[-1])
    return 8 + (WIDE - 16) * (min(max(math.log(max(ratio, 1e-9)), low), high) - low) / (high - low)


if __name__ == "__main__":
    main()
