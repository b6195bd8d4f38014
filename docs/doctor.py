"""Rewrite the tables of the doctor in monitoring.md: `make docs`, or `python docs/doctor.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from shadowbox.evaluate.doctor import CHECKS
from shadowbox.testing.sick_runs import HEALTHY, confusion

PAGE = Path(__file__).resolve().with_name("monitoring.md")
BEGIN, END = "<!-- begin doctor -->", "<!-- end doctor -->"


def text(found: Mapping[str, Sequence[str]]) -> str:
    """Table of the checks, and table of those that fire in each sick run of `found`."""
    lines = ["| | check | problem | found if | change |", "|---|---|---|---|---|"]
    for number, check in enumerate(CHECKS, start=1):
        about = f"{check.symptom} ({check.problem})"
        lines.append(
            f"| {number} | `{check.name}` | {about} | {check.threshold} | {check.change} |"
        )
    numbers = range(1, len(CHECKS) + 1)
    lines += ["", "Rows are runs made sick on purpose, columns the checks that fire:", ""]
    lines.append("| made for | " + " | ".join(map(str, numbers)) + " |")
    lines.append("|---|" + "---|" * len(CHECKS))
    rows = [(f"{number} `{made.name}`", made.name) for number, made in enumerate(CHECKS, start=1)]
    for title, name in [*rows, ("five healthy runs", HEALTHY)]:
        marks = ["x" if check.name in found[name] else "" for check in CHECKS]
        lines.append(f"| {title} | " + " | ".join(marks) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tables = text(confusion(Path(folder)))
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")
