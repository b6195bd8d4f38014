"""Rules that are drawn anew for each match, from ranges in a file.

The file is JSON: `{"gravity": [16, 19.6], "turn_frames": [1, 4], "walk_delay": 0}` draws the first
two and fixes the third. Two files ship by name: `residual`, what a training needs to bear the
differences that are left between these rules and the original's, and `unseen`, one set of rules
outside of it. A match's rules are a function of its seed alone, so that a snapshot or a
row of columns, which hold the seed, resumes it under the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shadowbox.core.files import read_json
from shadowbox.core.game import noise
from shadowbox.core.schema import Array
from shadowbox.errors import UsageError, did_you_mean
from shadowbox.games.brawl.rules import RULES

LARGEST = 100_000  # bytes of the file
SHIPPED = ("residual", "unseen")
FIRST_DRAW = 5000  # far from the draws of bots and weapons

Ranges = Mapping[str, tuple[float, float]]


def read_ranges(path: str) -> Ranges:
    """Lowest and highest value of each rule that a file names, or one that ships."""
    if path in SHIPPED:
        path = str(Path(__file__).parents[1] / "shipped" / "rules" / f"{path}.json")
    try:
        shape = {str: (float, [float])}
        data = read_json(
            Path(path), shape, error=UsageError, hint="write NAME: [LOW, HIGH]", largest=LARGEST
        )
    except FileNotFoundError:
        raise UsageError(f"brawl: randomize={path}: the file does not exist") from None
    return {name: _range(name, value, path) for name, value in data.items()}


def _range(name: str, value: float | list[float], path: str) -> tuple[float, float]:
    """The checked range of a rule; a number alone is fixed."""
    if name not in RULES:
        raise UsageError(f"{path}: unknown rule '{name}': {did_you_mean(name, RULES)}")
    rule, ends = RULES[name], value if isinstance(value, list) else [value, value]
    if len(ends) != 2 or not rule.low <= ends[0] <= ends[1] <= rule.high:
        raise UsageError(
            f"{path}: {name} must be a number or [LOW, HIGH] within {rule.low:g} and "
            f"{rule.high:g} (got {value})"
        )
    if rule.whole and any(end != round(end) for end in ends):
        raise UsageError(f"{path}: {name} must be whole (got {value})")
    return float(ends[0]), float(ends[1])


def draw_rules(stages: Array, ranges: Ranges, seeds: Array, where: Array) -> None:
    """Set the rules of the matches in the mask `where` [N] in `stages` [N], from `seeds` [n]."""
    for draw, name in enumerate(RULES):
        if name in ranges:
            low, high = ranges[name]
            chance = noise(seeds, 0, 0, FIRST_DRAW + draw)
            if RULES[name].whole:
                stages[name][where] = np.floor(low + chance * (high - low + 1.0))
            else:
                stages[name][where] = low + chance * (high - low)
