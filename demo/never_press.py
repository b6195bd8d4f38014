"""Writes docs/never-press.md and its picture out of the results in cards/never-press.md: `python demo/never_press.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowbox.study import results
from shadowbox.study.cardfile import CardFile

ROOT = Path(__file__).resolve().parent.parent
CARD, PAGE, PICTURE = ROOT / "cards" / "never-press.md", ROOT / "docs" / "never-press.md", ROOT / "docs" / "never-press.svg"
WORDS = {
    "seed": "the older recipe: each button on its own, pressed above .5",
    "seed-drawn": "the same, drawn instead of rounded",
    "pos-weight": "presses weigh 10 times, and nobody undoes it",
    "bias": "4 is added to every logit of a button",
    "focal": "a focal loss, and nobody undoes it",
    "actionable": "learned only where the fighter can act, pressed above .5",
    "chain": "whether something changes, then what; a proper likelihood, drawn",
}
TEXT = """\
# The policy that never presses

An older policy reported 98 % on its metric, and pressed nothing. Four cures were proposed for it: weigh presses ten times,
add four to the logits, use a focal loss, learn only from frames in which the fighter can act. None asks whether the policy,
*played*, presses as often as its demonstrator did.

{table}

The demonstrator is the bot `tapper`, who walks, jumps and taps by chance, more often near its opponent: nobody can say when
it presses next, only how often. `accuracy` is the older metric, `val/btn_pressed_acc`: right answers in frames in which any
button is down. Copying the last frame scores {copy}. Press and onset ratios are counted in play, over those of the
recordings: the lowest and the highest of all buttons in use. The gate passes where they are in 0.8 .. 1.25 and 0.67 .. 1.5.

![Press ratios in play of each recipe, beside the band in which the gate passes](never-press.svg)

What one sees:

{story}

Against a demonstrator without habits drawing alone is a cure: the older head is right about how often, button by button. It
says nothing of buttons that go together, nor of how long one is held; [brawl-clone](../cards/brawl-clone.md) needs both.

`shadowbox run never-press` trains and judges all of it again ([the card](../cards/never-press.md): {cost}), and
`python demo/never_press.py` writes this page from its results. A test does the same, smaller, each time.
[Metrics](metrics.md) explains the numbers, and `shadowbox eval RUN STORE` asks the same of any policy.
"""


def main() -> None:
    """Write both files."""
    found = results.kept(CardFile.read(CARD))
    if found is None:
        raise SystemExit("the card has no results: shadowbox run never-press")
    for path, text in written(found).items():
        path.write_text(text)


def written(found: Mapping[str, Any]) -> dict[Path, str]:
    """Each file and what stands in it."""
    rows = [_row(setting) for setting in found["settings"]]
    cost = f"{found['cost']['wall_s'] / 60:.0f} minutes on one core"
    page = TEXT.format(table=_table(rows), copy=f"{rows[0]['copy']:.3f}", story=_story(rows), cost=cost)
    return {PAGE: page, PICTURE: _picture(rows)}


def _row(setting: Mapping[str, Any]) -> dict[str, Any]:
    """One recipe's figures."""
    by_name = {target["metric"].removeprefix("eval/"): target for target in setting["targets"]}
    accuracy = by_name["val/btn_pressed_acc"]
    names = ("press_ratio_min", "press_ratio_max", "onset_ratio_min", "onset_ratio_max", "onset_f1_sampled", "gate")
    return {
        "name": setting["set"]["name"],
        "accuracy": accuracy["value"],
        "copy": accuracy["baselines"]["copy_last"],
        **{name: by_name[name]["value"] for name in names},
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| recipe | accuracy | press ratios | onset ratios | onset F1, drawn | gate |", "|---|---|---|---|---|---|"]
    for row in rows:
        spans = [f"{row[f'{kind}_ratio_min']:.2f} .. {row[f'{kind}_ratio_max']:.2f}" for kind in ("press", "onset")]
        gate = "passed" if row["gate"] == 1 else "failed"
        cells = [
            f"`{row['name']}`: {WORDS[row['name']]}",
            f"{row['accuracy']:.3f}",
            *spans,
            f"{row['onset_f1_sampled']:.3f}",
            gate,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _story(rows: Sequence[Mapping[str, Any]]) -> str:
    """Said of each recipe, out of its numbers."""
    lines = []
    for row in rows:
        high, onsets = row["press_ratio_max"], row["onset_ratio_max"]
        if high < 0.1:
            what = "presses nothing"
        elif high > 1.25:
            what = f"holds some button {high:.1f} times as often as it was shown, begins some {onsets:.1f} times as often"
        else:
            what = "presses as it was shown" if row["gate"] == 1 else "presses some button too little"
        verdict = "passes" if row["gate"] == 1 else "fails"
        lines.append(f"- `{row['name']}` {what}; its accuracy is {row['accuracy']:.3f}, and it {verdict}.")
    return "\n".join(lines)


def _picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """A bar from the lowest to the highest press ratio of each recipe; the gate's band behind them."""
    left, right, top, step = 110, 690, 30, 30
    low, high = math.log10(0.05), math.log10(20)

    def at(value: float) -> float:
        return round(left + (right - left) * (min(max(math.log10(max(value, 1e-9)), low), high) - low) / (high - low), 1)

    bottom = top + step * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {bottom + 40}" font-family="sans-serif" font-size="13">',
        f'<rect width="720" height="{bottom + 40}" fill="#fff"/>',
        f'<rect x="{at(0.8)}" y="{top - 8}" width="{at(1.25) - at(0.8):.1f}" height="{bottom - top + 8}" fill="#cfe8d5"/>',
    ]
    for number, row in enumerate(rows):
        y = top + step * number
        colour = "#2d7d46" if row["gate"] == 1 else "#b03a2e"
        first, last = at(row["press_ratio_min"]), at(row["press_ratio_max"])
        parts.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{row["name"]}</text>')
        parts.append(f'<rect x="{first}" y="{y}" width="{max(last - first, 3):.1f}" height="14" rx="3" fill="{colour}"/>')
    for value in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        label = "none" if value == 0.05 else f"{value:g}"
        parts.append(f'<line x1="{at(value)}" x2="{at(value)}" y1="{bottom}" y2="{bottom + 5}" stroke="#666"/>')
        parts.append(f'<text x="{at(value)}" y="{bottom + 20}" text-anchor="middle" fill="#444">{label}</text>')
    middle, words = (left + right) / 2, "presses in play, over those recorded"
    parts.append(f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle" fill="#444">{words}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
