"""Runs page: a list of the runs, one run with its curves, and several on the same axes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shadowbox.core.metrics import SHORT, meanings
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.page.document import Html, badge, code, facts, folded, heading, metric_name, table
from shadowbox.report import levels, own_parts
from shadowbox.train.log import EVENTS, FACTS, METRICS
from shadowbox.train.runs import Run
from shadowbox.web import cards, run_matches, runlog
from shadowbox.web.markup import element, empty, framed, link
from shadowbox.web.runlog import LogCache, number
from shadowbox.web.site import PageNotFound, Site

MOST = 6  # runs on the same axes; chart.css has as many colors
TRAIN = "shadowbox train {store} --out runs/NAME"
TONES = {
    "running": "plain",
    "finished": "good",
    "early stop": "good",
    "called off": "plain",
    "stopped": "plain",
    "silent": "bad",
}
PARTS_OF_TIME = (
    "Seconds of the training loop by part. On a GPU, forward and backward run asynchronously; "
    "their time is in wait."
)
DIFFERENT = (
    "These runs were trained and validated on different data, so their scores cannot be compared."
)
HASHES = ("commit", "fingerprint", "facts_hash", "coding_hash", "card_hash")
NAMES = {
    "commit": "commit",
    "store": "data",
    "fingerprint": "data fingerprint",
    "game": "game",
    "preset": "preset",
    "parameters": "parameters",
    "facts_hash": "schema: facts",
    "coding_hash": "schema: coding",
    "card_hash": "contract",
}


def runs(site: Site, metric: str = "") -> str:
    """Runs page: all runs, newest first, with a form that compares some of them.

    `metric` is shown as a further column: the last value in the log of each run.
    """
    folders = sorted(
        runlog.run_folders(site.runs).items(), key=lambda item: -runlog.touched(item[1])
    )
    blocks: list[str] = [element("h1", "Runs")]
    if folders:
        head = ["", "run", "state", "best", "data", "step", "wall time"]
        head += [metric_name(metric)] * bool(metric)
        last = {name: _last_values(path) for name, path in folders}
        rows = [
            [*_summary(name, path), *([_value(last[name].get(metric))] * bool(metric))]
            for name, path in folders
        ]
        listed = table(head, rows, left=5)
        blocks.append(_columns(sorted({key for each in last.values() for key in each}), metric))
        go = element("button", "Compare", type="submit")
        hint = element("p", f"Mark up to {MOST} runs to compare their curves.", class_="soft")
        blocks.append(
            element(
                "form",
                listed,
                element("div", go, hint, class_="row"),
                action="/runs/compare",
                class_="runs",
            )
        )
    else:
        blocks.append(empty("No runs yet.", "Train a policy; it is listed here:", _train(site)))
    return framed("Runs", "/runs", blocks, module="web")


def run(site: Site, name: str) -> str:
    """Page of one run: state, curves, time by part of the loop, events, facts and settings."""
    path = _folder(site, name)
    run_facts = runlog.facts_of(path)
    blocks: list[str] = [
        element("h1", name),
        element("p", id="state", role="status"),
        element("p", _verdict(run_facts), id="verdict"),
        *run_matches.section(site, run_facts),
        element("section", id="own"),
        heading("Curves"),
        *_figures(),
        heading("Time"),
        element("p", PARTS_OF_TIME),
        element("div", id="time"),
        heading("Events"),
        element("div", id="events"),
        heading("Facts"),
        facts([*_card(site, run_facts), *_facts(run_facts)]),
        folded("Settings", [facts(_flat(_part(run_facts, "config")))]),
        folded("Files", [facts([("folder", code(str(path)))])]),
    ]
    sources = json.dumps([_source(name, run_facts)])
    return framed(name, "/runs", blocks, module="runs", runs=sources)


def compare(site: Site, names: list[str]) -> str:
    """Page of several runs with their curves on the same axes, and the settings that differ."""
    names = list(dict.fromkeys(names))
    if not 1 <= len(names) <= MOST:
        raise UsageError(
            f"Comparing takes 1 to {MOST} runs (got {len(names)}). Mark them in the list of runs."
        )
    compared = {name: runlog.facts_of(_folder(site, name)) for name in names}
    rows = [
        [
            link(_address(name), name),
            _best(run_facts),
            _data(run_facts),
            _changes(run_facts, compared.values()),
            _count(run_facts.get("parameters")),
        ]
        for name, run_facts in compared.items()
    ]
    blocks: list[str] = [element("h1", "Runs compared"), element("p", id="state", role="status")]
    same = len({str(run_facts.get("fingerprint")) for run_facts in compared.values()}) == 1
    if not same:
        blocks.append(element("p", badge("different data", "bad"), " ", DIFFERENT))
    blocks += [
        table(["run", "best", "data", "settings that differ", "parameters"], rows, left=4),
        *_figures(),
    ]
    sources = json.dumps([_source(name, run_facts) for name, run_facts in compared.items()])
    return framed(
        "Runs compared", "/runs", blocks, module="runs", runs=sources, baselines=int(same)
    )


def news(site: Site, logs: LogCache, name: str, after: int, events: int) -> dict[str, Any]:
    """New lines of a run after step `after`, for its page; see `runlog`."""
    path = _folder(site, name)
    run_facts = runlog.facts_of(path)
    return logs(path).news(run_facts, after, events) | {
        "verdict": _verdict(run_facts),
        "playing": run_matches.choices(site, path, run_facts),
    }


def own_part(site: Site, name: str) -> str:
    """Part of a run's page that its learner brings: markup, which the page takes anew as it grows."""
    path = _folder(site, name)
    return "".join(own_parts.learner_blocks(Run(path, runlog.facts_of(path))))


# ---- parts of a page ----


def _folder(site: Site, name: str) -> Path:
    path = runlog.run_folders(site.runs).get(name)
    if path is None:
        raise PageNotFound("Run not found. The Runs page lists all of them.")
    return path


def _address(name: str) -> str:
    return f"/runs/{quote(name)}"


def _source(name: str, run_facts: Mapping[str, Any]) -> dict[str, Any]:
    """Data for the script of the page: the address of the log, and the lines of the run's card."""
    return {
        "name": name,
        "source": f"{_address(name)}/metrics.json",
        "own": f"{_address(name)}/own.html",
        "levels": levels.of_run(run_facts),
        "words": SHORT,
        "means": meanings(),
    }


def _train(site: Site) -> str:
    stores = [str(path) for _, path in site.numbered_stores()]
    return TRAIN.format(store=stores[0] if stores else "STORE")


def _figures() -> list[str]:
    """Place for the curves, which the script draws, and the switch between the two axes."""
    options = [
        element(
            "label",
            element("input", type="radio", name="axis", value=value, checked=value == "step"),
            element("span", word),
        )
        for value, word in (("step", "Steps"), ("seconds", "Wall time"))
    ]
    legend = element("legend", "Horizontal axis", class_="hidden")
    return [
        element("fieldset", legend, *options, class_="switch"),
        element("p", id="damage", class_="message"),
        element("div", element("p", "Reading the log…", class_="soft"), id="curves"),
        element(
            "noscript",
            element("p", "Curves need JavaScript. Allow scripts for this page to see them."),
        ),
    ]


def _summary(name: str, path: Path) -> list[str]:
    """Row of a run in the list of runs."""
    try:
        run_facts = runlog.facts_of(path)
    except ShadowboxError as error:
        return ["", name, badge("unreadable", "bad"), str(error), "", "", ""]
    state = runlog.state_of(path, run_facts, runlog.last_lines(path / EVENTS))
    last = next(reversed(runlog.last_lines(path / METRICS)), {})
    step, wall = number(last.get("step")), number(last.get("wall"))
    spent = number(_part(run_facts, "cost").get("wall_s")) or 0.0
    if wall is not None and state in ("running", "silent"):  # time since the last checkpoint
        spent += max(0.0, wall - runlog.time_of(path / FACTS))
    mark = element("input", type="checkbox", name="run", value=name, aria_label=f"compare {name}")
    return [
        mark,
        link(_address(name), code(name)),
        badge(state, TONES[state]),
        _best(run_facts),
        _data(run_facts),
        _count(step),
        duration(spent),
    ]


def _last_values(path: Path) -> dict[str, float]:
    """Last value of each metric near the end of a run's log, by `KIND/NAME`."""
    return {
        f"{line.get('kind')}/{name}": value
        for line in runlog.last_lines(path / METRICS)
        for name, each in line.items()
        if name not in ("kind", "step", "epoch", "wall") and (value := number(each)) is not None
    }


def _columns(names: list[str], chosen: str) -> Html:
    """Form that adds a metric as a column to the list of runs."""
    options = [
        element("option", name or "none", value=name, selected=name == chosen)
        for name in ["", *names]
    ]
    return element(
        "form",
        element(
            "div",
            element(
                "label",
                element("span", "A metric as a column"),
                element("select", *options, name="metric"),
            ),
            element("button", "Show", type="submit"),
            class_="row",
        ),
        action="/runs",
        class_="column-of",
    )


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _verdict(run_facts: Mapping[str, Any]) -> str:
    """One sentence: the best validation of a run beside the baselines that need no learning."""
    best = _part(run_facts, "best")
    value, score = number(best.get("value")), str(best.get("score", ""))
    if value is None:  # a learner that never validates is judged by other lines
        return "Not validated yet." if _part(run_facts, "config").get("validate_every") != 0 else ""
    verdict = f"Best checkpoint: {plain(score)} {value:.4g} at step {_count(best.get('step'))}"
    baselines = ", ".join(
        f"{plain(name)} {baseline:.4g}" for name, baseline in _numbers(_part(best, "baselines"))
    )
    return f"{verdict}; baselines without learning: {baselines}." if baselines else f"{verdict}."


def _best(run_facts: Mapping[str, Any]) -> Html:
    best = _part(run_facts, "best")
    value = number(best.get("value"))
    if value is None:
        return element("span", "not yet", class_="soft")
    name = metric_name(f"val/{best.get('score', '')}", plain(str(best.get("score", ""))))
    return Html(f"{element('span', f'{value:.4g} ')}{element('small', name)}")


def _data(run_facts: Mapping[str, Any]) -> str:
    store, fingerprint = run_facts.get("store"), run_facts.get("fingerprint")
    return str(store)[-40:] if store else code(str(fingerprint)[:8]) if fingerprint else "-"


def _changes(run_facts: Mapping[str, Any], all_facts: Iterable[Mapping[str, Any]]) -> str:
    """Settings of a run that differ from those of any other run."""
    configs = [_part(facts, "config") for facts in all_facts]
    own = _part(run_facts, "config")
    different = [name for name in own if any(each.get(name) != own[name] for each in configs)]
    return ", ".join(f"{name} {_text(own[name])}" for name in different) or "-"


def _facts(run_facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of names and values: commit, data, versions, machine, cost and parents of a run."""
    rows: list[tuple[str, str]] = []
    for key, name in NAMES.items():
        value = run_facts.get(key)
        if value is not None:
            text = _text(value)
            rows.append((name, code(text) if key in HASHES or key == "store" else text))
    rows += [(name, _text(value)) for name, value in _part(run_facts, "versions").items()]
    machine = _part(run_facts, "machine")
    rows += [(name.removesuffix("_bytes"), _amount(name, value)) for name, value in machine.items()]
    for name, value in _part(run_facts, "cost").items():
        label = name.removesuffix("_bytes").removesuffix("_s")
        rows.append((f"cost: {label}", _amount(name, value)))
    parent = _part(run_facts, "parent")
    spec = code(_text(parent.get("spec", "?")))
    rows.append(("parent", spec if parent else "none: random initialization"))
    lineage = run_facts.get("lineage")
    if isinstance(lineage, list) and len(lineage) > 1:
        parents = [str(each.get("spec")) for each in lineage if isinstance(each, dict)]
        rows.append(("lineage", code(" > ".join(parents))))
    return rows


def _card(site: Site, run_facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Row for the card of a run, linked if the card is in the folder of cards."""
    name = run_facts.get("card")
    if not isinstance(name, str):
        return []
    label = code(name)
    known = name in cards.card_files(site.cards)
    return [("card", link(cards.address(name), label) if known else label)]


def _flat(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in data.items()]


# ---- words ----


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def plain(name: str) -> str:
    """Name of a metric with spaces: `onset_f1` becomes `onset f1`."""
    return name.replace("_", " ")


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Object inside the data of a file; empty for any other value."""
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _numbers(data: Mapping[str, Any]) -> list[tuple[str, float]]:
    numbers = ((name, number(value)) for name, value in data.items())
    return [(name, value) for name, value in numbers if value is not None]


def _count(value: Any) -> str:
    count = number(value)
    return "-" if count is None else f"{count:,.0f}"


def _amount(name: str, value: Any) -> str:
    """Value of a fact with its unit, by the end of its name: `_bytes` as GB, `_s` as a duration."""
    amount = number(value)
    if amount is None:
        return _text(value)
    if name.endswith("_bytes"):
        return f"{amount / 1e9:.1f} GB"
    return duration(amount) if name.endswith("_s") else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return _count(value)
    return value if isinstance(value, str) else json.dumps(value)[:500]
