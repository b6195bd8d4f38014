"""Results of a card: its Markdown block, and `verdict.json` beside its runs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.cards.card import Card
from shadowbox.cards.file import CardFile, data_line
from shadowbox.core.files import write_whole
from shadowbox.experiment import origin, prices
from shadowbox.experiment import targets as verdict
from shadowbox.train import log
from shadowbox.train.runs import Run, first_missed

if TYPE_CHECKING:
    from shadowbox.experiment.outcome import CardResult

BLOCK = "results"
NAME = "verdict.json"


def write(file: CardFile, finished: CardResult, folder: Path, *, keep_card: bool = False) -> None:
    """Write verdict.json and the card's results block.

    The card is read again first, because it may have been edited meanwhile.
    """
    found = finished.to_json() | {
        "contract": file.hash,
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NAME, (json.dumps(_plain(found), indent=1) + "\n").encode())
    if not keep_card:
        CardFile.read(file.path).with_block(BLOCK, block(found)).write()


def stored_results(file: CardFile) -> dict[str, Any] | None:
    """Results in a card; None without any."""
    try:
        data = file.data(BLOCK)
    except ValueError:
        return None
    return data if _whole(data) else None


def _whole(data: Any) -> bool:
    """True if data has the shape that `write` writes, as far as it is used here."""
    if not isinstance(data, dict) or not isinstance(data.get("verdict"), str):
        return False
    targets, settings, spent = data.get("targets"), data.get("settings", []), data.get("cost")
    return (
        _are(targets, _TARGET)
        and _are(settings, _SETTING)
        and _are(data.get("runs", []), _RUN)
        and isinstance(spent, dict)
        and all(map(_number, spent.values()))
    )


def _are(found: Any, shape: Mapping[str, Callable[[Any], bool]]) -> bool:
    if not isinstance(found, list):
        return False
    return all(
        isinstance(each, dict) and all(fits(each.get(name)) for name, fits in shape.items())
        for each in found
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


_TARGET: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("metric", "op", "verdict"), _text),
    **dict.fromkeys(("value", "low", "high"), lambda value: value is None or _number(value)),
    "wanted": lambda value: _text(value) or _number(value),
    "baselines": lambda value: isinstance(value, dict) and all(map(_number, value.values())),
    "met_for_free_by": lambda value: isinstance(value, list) and all(map(_text, value)),
    "passed": lambda value: isinstance(value, bool),
    "primary": lambda value: isinstance(value, bool),
}
_RUN: Mapping[str, Callable[[Any], bool]] = {
    "run": _text,
    "seed": _number,
    **dict.fromkeys(
        ("data", "settings_hash", "commit"), lambda value: value is None or _text(value)
    ),
    "versions": lambda value: isinstance(value, dict),
    "machine": lambda value: isinstance(value, dict),
    "checkpoints": lambda value: (
        isinstance(value, dict)
        and all(isinstance(each, dict) for each in value.values())
        and all(_number(each.get("step")) and _text(each.get("weights")) for each in value.values())
    ),
}
_SETTING: Mapping[str, Callable[[Any], bool]] = {
    "set": lambda value: isinstance(value, dict),
    "verdict": _text,
    "runs": lambda value: value is None or _are(value, _RUN),
    "targets": lambda value: _are(value, _TARGET),
    "cost": lambda value: (
        isinstance(value, dict) and all(map(_number, value.values())) and "wall_s" in value
    ),
}


def block(found: Mapping[str, Any]) -> str:
    """Results as Markdown."""
    lines = [
        f"**{found['verdict']}**" + (f": {_cell(found['reason'])}" if found["reason"] else ""),
        "",
    ]
    lines += ["| target | wanted | reached | 95 % | baselines | |", "|---|---|---|---|---|---|"]
    lines += [_target(target) for target in found["targets"]]
    if milestones := found.get("milestones"):
        reached = sum(each["verdict"] == "reached" for each in milestones)
        missed = first_missed(milestones)
        lines += [
            "",
            f"Milestones: {reached} of {len(milestones)} reached"
            + (f"; first missed: {_cell(missed)}." if missed else "."),
        ]
    if found.get("settings"):
        lines += ["", *_settings(found["settings"])]
    lines += ["", *_cost(found)]
    return "\n".join([*lines, "", data_line(_plain(found))])


def stamps(own: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Deviations from the card in this call or in any of the runs."""
    return list(
        dict.fromkeys([*own, *(stamp for run in runs for stamp in run.facts.get("stamps") or ())])
    )


def cost(card: Card, runs: Sequence[Run]) -> dict[str, float]:
    """Cost of runs, compared with their estimate."""
    took = [run.facts.get("cost") or {} for run in runs]
    wall = sum(float(each.get("wall_s", 0)) for each in took)
    found = {
        "wall_s": round(wall, 2),
        "cpu_s": round(sum(float(each.get("cpu_s", 0)) for each in took), 2),
    }
    if judging := sum(float(each.get("judging_s", 0)) for each in took):
        found["judging_s"] = round(judging, 2)  # part of the seconds above
    found["usd"] = round(prices.read_prices().cost(card.budget.machine, wall), 4)
    expected = [
        float(said["per_run_s"])
        for run in runs
        if (said := run.facts.get("estimate")) and said.get("per_run_s")
    ]
    finished = [run for run in runs if verdict.verdict_of(run) == "finished"]
    if expected and len(expected) == len(runs) == len(finished):
        found["estimated_s"] = round(sum(expected), 2)
        found["actual_over_estimate"] = round(wall / sum(expected), 3)
    return found


def total(costs: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sum of several costs."""
    every = list(costs)
    found = {
        name: round(sum(each.get(name, 0) for each in every), 4)
        for name in ("wall_s", "cpu_s", "usd")
    }
    if judging := sum(each.get("judging_s", 0) for each in every):
        found["judging_s"] = round(judging, 4)
    if every and all("estimated_s" in each for each in every):
        found["estimated_s"] = round(sum(each["estimated_s"] for each in every), 2)
        found["actual_over_estimate"] = round(found["wall_s"] / max(found["estimated_s"], 1e-9), 3)
    return found


def stamped(runs: Iterable[Run]) -> list[str]:
    """Deviations from the cards."""
    return sorted({stamp for run in runs for stamp in run.facts.get("stamps") or ()})


def firings(run: Run) -> list[dict[str, Any]]:
    """Kill rules that fired in a run, from its events."""
    return [line for line in log.read_lines(run.path / log.EVENTS) if line.get("event") == "rule"]


def _target(target: Mapping[str, Any]) -> str:
    name = f"**{target['metric']}**" if target["primary"] else target["metric"]
    free = target["baselines"]
    baselines = ", ".join(f"{_cell(each)} {value:.4g}" for each, value in free.items()) or "none"
    note = target["verdict"]
    if target["passed"] and target["met_for_free_by"]:
        note += f", but so do {', '.join(target['met_for_free_by'])}"
    wanted = target["wanted"] if isinstance(target["wanted"], str) else f"{target['wanted']:g}"
    cells = [
        name,
        f"{target['op'].replace('<', '&lt;')} {wanted}",
        number(target["value"]),
        _range(target),
        baselines,
        note,
    ]
    return f"| {' | '.join(cells)} |"


def _settings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    metrics = [target["metric"] for target in found[0]["targets"]]
    lines = [
        "| setting | verdict | " + " | ".join(metrics) + " | seconds |",
        "|---" * (len(metrics) + 3) + "|",
    ]
    best = best_setting(found)
    for at, each in enumerate(found):
        values = [f"{number(target['value'])} ({_range(target)})" for target in each["targets"]]
        name = _cell(setting_words(each["set"]))
        cells = [
            f"**{name}**" if at == best else name,
            each["verdict"],
            *values,
            f"{each['cost']['wall_s']:,.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cost(found: Mapping[str, Any]) -> list[str]:
    spent = found["cost"]
    words = f"{spent['wall_s']:,.1f} s, {spent['usd']:,.2f} US dollars"
    if "judging_s" in spent:
        words += f" ({spent['judging_s']:,.1f} s for judging)"
    if "estimated_s" in spent:
        ratio, estimated = spent["actual_over_estimate"], spent["estimated_s"]
        words += f"; {ratio:.2f} times the estimate of {estimated:,.1f} s"
    lines = [f"Run `{found['run']}`, {found['when']}: {words}."]
    lines += [_cell(line) for line in origin.in_words(found.get("runs") or [])]
    return lines + [f"Not as the card says: {_cell(', '.join(found['stamps']))}."] * bool(
        found["stamps"]
    )


def best_setting(found: Sequence[Mapping[str, Any]]) -> int:
    """The finished setting of a sweep that is best by the deciding target.

    Among equals, the one that met most targets, and missed fewest.
    """

    def rank(each: Mapping[str, Any]) -> tuple[bool, float, int, int]:
        targets = sorted(each["targets"], key=lambda target: not target["primary"])
        if not targets or targets[0]["value"] is None:
            return True, math.inf, 0, 0
        worth = targets[0]["value"] * (1 if targets[0]["op"].startswith("<") else -1)
        return (
            each["verdict"] not in verdict.FINISHED,
            worth,
            -sum(target["passed"] for target in targets),
            sum(target.get("verdict") == verdict.MISSED for target in targets),
        )

    return min(range(len(found)), key=lambda at: rank(found[at]))


def best_of(found: Sequence[CardResult]) -> int:
    """The best of settings that have just run."""
    return best_setting([each.to_json() for each in found])


def setting_words(changes: Mapping[str, Any]) -> str:
    """A setting of a sweep in words: its name, or its changes."""
    return str(
        changes.get("name") or ", ".join(f"{name}={value}" for name, value in changes.items())
    )


def number(value: float | None) -> str:
    """A number for a table, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _range(target: Mapping[str, Any]) -> str:
    low, high = target["low"], target["high"]
    return (
        "-" if low is None or high is None or not math.isfinite(low) else f"{low:.4g} .. {high:.4g}"
    )


def _cell(text: Any) -> str:
    """Text that can neither leave its Markdown cell nor become HTML."""
    return (
        str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
    )


def _plain(value: Any) -> Any:
    """Data without numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
