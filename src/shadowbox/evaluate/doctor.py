"""Doctor of training runs: known problems, each with its figure, its threshold and what to change.

diagnose("runs/x") -> Diagnosis, from the files that a run writes (docs/monitoring.md): nothing is
trained or played. A check whose figures a run does not have, or not enough of, says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.errors import UsageError
from shadowbox.evaluate.diagnosis import checks, costs
from shadowbox.evaluate.diagnosis.files import _Check, _Files, _Finding
from shadowbox.train.runs import find_run, first_missed, milestone_results

OK, SICK, UNKNOWN = "ok", "sick", "not enough data"

CHECKS: tuple[_Check, ...] = (*checks.CHECKS, *costs.CHECKS)


class _Diagnosed(NamedTuple):
    """A check of a run with its result; `finding` is None if there is not enough data."""

    check: _Check
    finding: _Finding | None

    @property
    def status(self) -> str:
        """Result in a word: ok, sick, or not enough data."""
        return UNKNOWN if self.finding is None else SICK if self.finding.sick else OK

    def to_json(self) -> dict[str, Any]:
        """Object of `doctor --json`."""
        found = self.finding
        finite = found is not None and math.isfinite(found.figure)
        return {
            "check": self.check.name,
            "status": self.status,
            "figure": found.figure if found is not None and finite else None,
            "words": found.words if found else "",
            "threshold": self.check.threshold,
            "change": self.check.change,
        }


class _Diagnosis(NamedTuple):
    """Results of all checks of a run, and its first missed milestone in words ("" if none is)."""

    run: Path
    checks: tuple[_Diagnosed, ...]
    missed: str

    @property
    def sick(self) -> list[_Diagnosed]:
        """Checks that found a problem."""
        return [each for each in self.checks if each.status == SICK]

    @property
    def healthy(self) -> bool:
        """True if no check found a problem and no milestone is missed."""
        return not self.sick and not self.missed

    def to_json(self) -> dict[str, Any]:
        """Object of `doctor --json`."""
        return {
            "run": str(self.run),
            "healthy": self.healthy,
            "missed_milestone": self.missed or None,
            "checks": [each.to_json() for each in self.checks],
        }


def diagnose(run: str | Path) -> _Diagnosis:
    """Check a run, `runs/x/0` or the name of its card, for all known problems."""
    found = find_run(run)
    if found is None:
        raise UsageError(f"no run at '{run}': give the folder of a run, such as runs/NAME/0")
    files = _Files(found)
    checked = tuple(_Diagnosed(check, check.find(files)) for check in CHECKS)
    stated = [each for each in found.facts.get("milestones") or () if isinstance(each, Mapping)]
    missed = first_missed(milestone_results(stated, [found]))
    return _Diagnosis(found.path, checked, missed)
