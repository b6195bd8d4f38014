"""Write docs/never-press.md and its picture from the results of two cards.

Run it as `python demo/never_press.py`. The table of logits is kept in docs/never-press-logits.json,
and taken anew from the runs of the first card where they are here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.cards.file import CardFile
from shadowbox.core.evaluation import read_evaluation
from shadowbox.experiment import results
from shadowbox.play.checkpoints import checkpoint_folder

ROOT = Path(__file__).resolve().parent.parent
PLAYED, PEOPLE = ROOT / "cards" / "never-press.md", ROOT / "cards" / "never-press-melee.md"
PAGE, PICTURE = ROOT / "docs" / "never-press.md", ROOT / "docs" / "never-press.svg"
LOGITS, RUNS = ROOT / "docs" / "never-press-logits.json", ROOT / "runs" / "never-press"
SHOWN = ("seed", "chain")  # recipes of the table of logits
RARE = 0.005  # share of frames; a control that is down in fewer is left out of that table
RECIPES = {
    "seed": "the original recipe: independent buttons, pressed above probability 0.5",
    "seed-drawn": "the same model, sampled instead of rounded",
    "pos-weight": "presses weigh 10 times in the loss, not undone in play",
    "bias": "4 is added to every logit of a button",
    "focal": "a focal loss, not undone in play",
    "actionable": "learned only where the fighter can act, pressed above 0.5",
    "chain": "predicts whether a control changes, then its value; a proper likelihood, sampled",
}
GATE = {"press": (0.8, 1.25), "onset": (0.67, 1.5)}
TEXT = """\
# The policy that never presses

A policy of an older system reported 98 % on its metric and pressed no button. Four remedies were
proposed for it: weigh presses ten times, add four to the logits, use a focal loss, or learn only
from frames in which the fighter can act. None of them checks whether the policy, *in play*,
presses as often as its demonstrator did.

![Press and onset ratios of each recipe, beside the bands in which the gate passes](never-press.svg)

`accuracy` is the metric of the older system, `press_accuracy`: correct predictions in frames in
which any button is down. Press ratios count frames with a button down, onset ratios count presses
that begin, each divided by the count in the recordings; the table shows the lowest and the
highest of all buttons in use. The gate passes within 0.8 .. 1.25 and 0.67 .. 1.5.

## In closed loop

{played}

The demonstrator is the bot `tapper`, which walks, jumps and taps at random, more often near its
opponent: the time of its next press cannot be predicted, only the rate. Copying the last frame
scores an accuracy of {played_copy}.

{played_story}

## Logits, and the frame that was looked at

{logits}

For a demonstrator without habits, sampling alone is a remedy: the older head predicts the rate of
each button correctly. It does not model buttons that are pressed together, nor how long a button
is held; [brawl-clone](../cards/brawl-clone.md) needs both.

## On replays of people

{people}

These are replays of people, split by file; the figures are means over three splits. The game has
no simulator, so the policy predicts one frame ahead: at every frame it receives the buttons that
were really pressed before, and its ratios describe what it would begin and hold there, not where
its own play would lead. Copying the last frame scores an accuracy of {people_copy}. With this few
files the gate is stricter than people are with each other: the held-out people have other habits
than those in training.

{people_story}

## Reproduce

`shadowbox run never-press` trains and evaluates the first table ([its
card](../cards/never-press.md): {played_cost}), and `shadowbox run never-press-melee` the second,
with replays in the folder `replays/` ([its card](../cards/never-press-melee.md): {people_cost}).
`python demo/never_press.py` writes this page from their results. A test repeats a smaller version
of the first. [Metrics](metrics.md) explains the numbers, and `shadowbox eval RUN STORE` computes
them for any policy.
"""

Row = Mapping[str, Any]


def main() -> None:
    """Write the page, the picture and the logits."""
    if all((RUNS / name).is_dir() for name in SHOWN):
        found = {name: _logits_of(RUNS / name) for name in SHOWN}
        LOGITS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for path, text in written(_results(PLAYED), _results(PEOPLE)).items():
        path.write_text(text, encoding="utf-8")


def written(played: Mapping[str, Any], people: Mapping[str, Any]) -> dict[Path, str]:
    """Text of each file, from the results of both cards."""
    values, panels = {}, {}
    for name, title, stored in (
        ("played", "in closed loop", played),
        ("people", "replays of people", people),
    ):
        rows = panels[title] = [_row(setting) for setting in stored["settings"]]
        values[name] = _table(rows)
        values[f"{name}_copy"] = f"{rows[0]['copy']:.3f}"
        values[f"{name}_story"] = "\n".join(_story(rows))
        values[f"{name}_cost"] = f"{stored['cost']['wall_s'] / 60:.0f} minutes on one core"
    values["logits"] = "\n".join(_logits(json.loads(LOGITS.read_text(encoding="utf-8"))))
    return {PAGE: TEXT.format(**values), PICTURE: _picture(panels)}


def _results(card: Path) -> dict[str, Any]:
    stored = results.stored_results(CardFile.read(card))
    if stored is None:
        raise SystemExit(f"{card}: the card has no results; run `shadowbox run {card.stem}`")
    return stored


def _row(setting: Mapping[str, Any]) -> Row:
    """Figures of one recipe."""
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


def _logits_of(run: Path) -> dict[str, dict[str, float]]:
    """Logits of the controls in use, from the evaluation beside a run's checkpoint."""
    report = read_evaluation(checkpoint_folder(str(run)))
    rows = report.context["press_logits"] if report else {}
    return {
        control: {name: round(value, 5) for name, value in row.items()}
        for control, row in rows.items()
        if row["rate"] >= RARE
    }


# ---- text ----


def _logits(found: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    """The table of logits, and the paragraphs around it."""
    yield (
        "The older report looked at one frame, all zeros, found logits of -7 to -10 there, and\n"
        "concluded that presses are too rare to be learned. No recording has such a frame. The table\n"
        "shows it beside the recorded frames: median logit, mean probability, and the share of frames\n"
        "in which the control is down in the data.\n"
    )
    yield "| recipe | control | logit, empty frame | probability | logit | probability | rate in data |"
    yield "|---|---|---|---|---|---|---|"
    for recipe, rows in found.items():
        for control, row in rows.items():
            cells = [f"`{recipe}`", f"`{control}`"]
            cells += [f"{row['empty_logit']:.1f}", f"{row['empty_probability']:.4f}"]
            cells += [f"{row['logit']:.1f}"]
            cells += [f"{row[name]:.4f}" for name in ("probability", "rate")]
            yield f"| {' | '.join(cells)} |"
    ratios = [row["probability"] / row["rate"] for row in found["seed"].values()]
    yield (
        f"\nAt recorded frames `seed` gives each control {min(ratios):.2f} to {max(ratios):.2f} times the\n"
        "rate of the data, and rounding at 0.5 hides it. `policy:RUN@bias=4` adds 4 to every logit at\n"
        "play time, `policy:RUN@bias` the offset of each control that `shadowbox eval --calibrate`\n"
        "found; `shadowbox eval --out` has this table for every policy."
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| recipe | accuracy | press ratios | onset ratios | onset F1, sampled | gate |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spans = [
            f"{row[f'{kind}_ratio_min']:.2f} .. {row[f'{kind}_ratio_max']:.2f}" for kind in GATE
        ]
        cells = [
            f"`{row['name']}`: {RECIPES[row['name']]}",
            f"{row['accuracy']:.3f}",
            *spans,
            f"{row['onset_f1_sampled']:.3f}",
            "passed" if row["gate"] == 1 else "failed",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _story(rows: Sequence[Row]) -> Iterator[str]:
    """One line for each recipe, from its numbers."""
    for row in rows:
        problems = (
            "presses nothing"
            if row["press_ratio_max"] == 0
            else _joined([*_problems(row, "press"), *_problems(row, "onset")])
        )
        gate = "passes" if row["gate"] == 1 else "fails"
        yield (
            f"- `{row['name']}` {problems or 'presses as often as its demonstrator'}; "
            f"its accuracy is {row['accuracy']:.3f}, and it {gate}."
        )


def _problems(row: Row, kind: str) -> Iterator[str]:
    """Ratios outside the band of the gate, in words."""
    does = {"press": "holds", "onset": "begins"}[kind]
    (low, high), (least, most) = (row[f"{kind}_ratio_min"], row[f"{kind}_ratio_max"]), GATE[kind]
    ratios = [f"{low:.2f}"] * (low < least) + [f"{high:.1f}"] * (high > most)
    if ratios:
        yield f"{does} some button {' and another '.join(ratios)} times"


def _joined(problems: Sequence[str]) -> str:
    return ", and ".join(problems) + (" as often as its demonstrator" if problems else "")


# ---- picture ----

# sizes in the picture: width of names, width of a panel, gap between panels, height of a row
NAMES, WIDE, GAP, STEP = 100, 290, 20, 26
MARKS = (0.05, 0.2, 1, 5, 20)  # of the logarithmic axis; ratios are clipped to its ends


def _picture(panels: Mapping[str, Sequence[Row]]) -> str:
    """SVG with a bar from the lowest to the highest ratio of each recipe.

    Presses are on the left, onsets on the right, one data set below the other.
    """
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
    low, high = (left + _position(end) for end in GATE[kind])
    yield f'<text x="{left}" y="{top + 24}" font-weight="600">{title}</text>'
    yield (
        f'<rect x="{low:.1f}" y="{first - 8}" width="{high - low:.1f}" '
        f'height="{bottom - first + 8}" fill="#CFE8D5"/>'
    )
    for number, row in enumerate(rows):
        y = first + STEP * number
        start, end = (left + _position(row[f"{kind}_ratio_{which}"]) for which in ("min", "max"))
        fill = (
            'fill="#2D7D46"'
            if row["gate"] == 1
            else 'fill="#FAFAF7" stroke="#B03A2E" stroke-width="1.5"'
        )
        if named:
            yield f'<text x="{left - 10}" y="{y + 11}" text-anchor="end">{row["name"]}</text>'
        width = max(end - start, 4)
        yield f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="14" rx="3" {fill}/>'
    yield f'<line x1="{left}" x2="{left + WIDE}" y1="{bottom}" y2="{bottom}" stroke="#DEDCD5"/>'
    for mark in MARKS:
        label = "none" if mark == MARKS[0] else f"{mark:g}"
        yield (
            f'<text x="{left + _position(mark):.1f}" y="{bottom + 16}" text-anchor="middle" '
            f'fill="#5B5F64">{label}</text>'
        )


def _position(ratio: float) -> float:
    """Position of a ratio on the axis, in units of the picture."""
    low, high = math.log(MARKS[0]), math.log(MARKS[-1])
    return 8 + (WIDE - 16) * (min(max(math.log(max(ratio, 1e-9)), low), high) - low) / (high - low)


if __name__ == "__main__":
    main()
