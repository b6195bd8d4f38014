"""Runs: a list of them, one with its curves while it is trained, and several over each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.page.document import Html, badge, code, facts, folded, heading, table
from shadowbox.report import levels
from shadowbox.train.log import EVENTS, FACTS, METRICS
from shadowbox.web import cards, runlog
from shadowbox.web.markup import element, empty, framed, link
from shadowbox.web.runlog import Logs, number
from shadowbox.web.site import PageNotFound, Site

MOST = 6  # runs over each other: more nobody can tell apart
TRAIN = "shadowbox train {store} --out runs/NAME"
TONES = {
    "running": "plain",
    "finished": "good",
    "early stop": "good",
    "called off": "plain",
    "stopped": "plain",
    "silent": "bad",
}
HASHES = ("commit", "fingerprint", "facts_hash", "coding_hash", "card_hash")
NAMES = {
    "commit": "commit", "store": "data", "fingerprint": "data fingerprint", "game": "game", "preset": "preset",
    "parameters": "parameters", "facts_hash": "schema: facts", "coding_hash": "schema: coding", "card_hash": "contract",
}  # fmt: skip


def runs(site: Site) -> str:
    """All of them, newest first."""
    found = sorted(
        runlog.find_run_folder(site.runs).items(), key=lambda item: -runlog.touched(item[1])
    )
    blocks: list[str] = [element("h1", "Runs")]
    if found:
        head = ["", "run", "state", "best", "data", "step", "wall time"]
        listed = table(head, [_summary(name, path) for name, path in found], left=5)
        go = element("button", "Compare", type="submit")
        hint = element("p", f"Mark up to {MOST} runs to see them over each other.", class_="soft")
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
        blocks.append(
            empty(
                "Nothing was trained yet.",
                "This trains a policy, and it is listed here:",
                _train(site),
            )
        )
    return framed("Runs", "/runs", blocks, module="web")


def run(site: Site, name: str) -> str:
    """One: how it stands, its curves, where the time went, what happened, what it was made with."""
    path = _found(site, name)
    known = runlog.facts_of(path)
    blocks: list[str] = [
        element("h1", name),
        element("p", id="state", role="status"),
        element("p", _verdict(known), id="verdict"),
        *_figures(),
        heading("Where the time went"),
        element(
            "p",
            "Seconds of the training loop by part; on a GPU the work of forward and backward shows as wait.",
        ),
        element("div", id="time"),
        heading("What happened"),
        element("div", id="events"),
        heading("What it was made with"),
        facts([*_promise(site, known), *_facts(known)]),
        folded("Settings", [facts(_flat(_part(known, "config")))]),
        folded("Files", [facts([("folder", code(str(path)))])]),
    ]
    return framed(name, "/runs", blocks, module="runs", runs=json.dumps([_sources(name, known)]))


def compare(site: Site, names: list[str]) -> str:
    """Several on the same axes."""
    names = list(dict.fromkeys(names))
    if not 1 <= len(names) <= MOST:
        raise UsageError(
            f"From 1 to {MOST} runs can be compared, these are {len(names)}; mark them in the list of runs."
        )
    known = {name: runlog.facts_of(_found(site, name)) for name in names}
    rows = [
        [
            link(_address(name), name),
            _best(facts),
            _data(facts),
            _changes(facts, known.values()),
            _count(facts.get("parameters")),
        ]
        for name, facts in known.items()
    ]
    blocks: list[str] = [element("h1", "Runs compared"), element("p", id="state", role="status")]
    same = len({str(facts.get("fingerprint")) for facts in known.values()}) == 1
    if not same:
        warning = "They were trained and validated on different data: what they score says little about which is better."
        blocks.append(element("p", badge("different data", "bad"), " ", warning))
    blocks += [
        table(["run", "best", "data", "its settings", "parameters"], rows, left=4),
        *_figures(),
    ]
    sources = json.dumps([_sources(name, facts) for name, facts in known.items()])
    return framed(
        "Runs compared", "/runs", blocks, module="runs", runs=sources, baselines=int(same)
    )


def news(site: Site, logs: Logs, name: str, after: int, events: int) -> dict[str, Any]:
    """What a page does not have yet."""
    path = _found(site, name)
    known = runlog.facts_of(path)
    return logs.of(path).news(known, after, events) | {"verdict": _verdict(known)}


# ---- parts of a page ----


def _found(site: Site, name: str) -> Path:
    path = runlog.find_run_folder(site.runs).get(name)
    if path is None:
        raise PageNotFound("There is no such run.")
    return path


def _address(name: str) -> str:
    return f"/runs/{quote(name)}"


def _sources(name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What the script follows, and the lines that the run's card draws across its curves."""
    return {
        "name": name,
        "source": f"{_address(name)}/metrics.json",
        "levels": levels.of_run(known),
    }


def _train(site: Site) -> str:
    stores = [str(path) for _, path in site.numbered_stores()]
    return TRAIN.format(store=stores[0] if stores else "STORE")


def _figures() -> list[str]:
    """Where the script draws, and the switch between its two axes."""
    options = [
        element(
            "label",
            element("input", type="radio", name="axis", value=value, checked=value == "step"),
            element("span", word),
        )
        for value, word in (("step", "Steps"), ("seconds", "Wall time"))
    ]
    legend = element("legend", "Along the axis", class_="hidden")
    return [
        element("fieldset", legend, *options, class_="switch"),
        element("p", id="damage", class_="message"),
        element("div", element("p", "Reading the log…", class_="soft"), id="curves"),
        element(
            "noscript",
            element("p", "The curves are drawn by a script, which this browser does not run."),
        ),
    ]


def _summary(name: str, path: Path) -> list[str]:
    try:
        known = runlog.facts_of(path)
    except ShadowboxError as error:
        return ["", name, badge("unreadable", "bad"), str(error), "", "", ""]
    state = runlog.state_of(path, known, runlog.last_lines(path / EVENTS))
    last = next(reversed(runlog.last_lines(path / METRICS)), {})
    step, wall = number(last.get("step")), number(last.get("wall"))
    spent = number(_part(known, "cost").get("wall_s")) or 0.0
    if wall is not None and state in ("running", "silent"):  # what came after the last checkpoint
        spent += max(0.0, wall - runlog.time_of(path / FACTS))
    mark = element("input", type="checkbox", name="run", value=name, aria_label=f"compare {name}")
    shown = badge(state, TONES[state])
    return [
        mark,
        link(_address(name), code(name)),
        shown,
        _best(known),
        _data(known),
        _count(step),
        duration(spent),
    ]


def _verdict(known: Mapping[str, Any]) -> str:
    """One sentence: whether it beats what needs no learning."""
    best = _part(known, "best")
    value, score, floors = (
        number(best.get("value")),
        str(best.get("score", "")),
        _part(best, "baselines"),
    )
    if value is None:
        return "It was not validated yet."
    said = f"The best checkpoint has {plain(score)} {value:.4g} at step {_count(best.get('step'))}"
    rivals = ", ".join(f"{plain(name)} {floor:.4g}" for name, floor in _numbers(floors))
    return f"{said}; without learning: {rivals}." if rivals else f"{said}."


def _best(known: Mapping[str, Any]) -> Html:
    best = _part(known, "best")
    value = number(best.get("value"))
    if value is None:
        return element("span", "not yet", class_="soft")
    return Html(
        f"{element('span', f'{value:.4g} ')}{element('small', plain(str(best.get('score', ''))))}"
    )


def _data(known: Mapping[str, Any]) -> str:
    store, fingerprint = known.get("store"), known.get("fingerprint")
    return str(store)[-40:] if store else code(str(fingerprint)[:8]) if fingerprint else "-"


def _changes(mine: Mapping[str, Any], all_facts: Iterable[Mapping[str, Any]]) -> str:
    """The settings in which the runs differ."""
    configs = [_part(facts, "config") for facts in all_facts]
    own = _part(mine, "config")
    different = [
        name for name, value in own.items() if any(config.get(name) != value for config in configs)
    ]
    return ", ".join(f"{name} {_text(own[name])}" for name in different) or "-"


def _facts(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, name in NAMES.items():
        value = known.get(key)
        if value is not None:
            rows.append(
                (name, code(_text(value)) if key in HASHES or key == "store" else _text(value))
            )
    rows += [(name, _text(value)) for name, value in _part(known, "versions").items()]
    machine = _part(known, "machine")
    rows += [(name.removesuffix("_bytes"), _amount(name, value)) for name, value in machine.items()]
    rows += [(f"cost: {name.removesuffix('_bytes').removesuffix('_s')}", _amount(name, value))
             for name, value in _part(known, "cost").items()]  # fmt: skip
    parent = _part(known, "parent")
    rows.append(
        (
            "parent",
            code(_text(parent.get("spec", "?")))
            if parent
            else "none: it began with random weights",
        )
    )
    lineage = known.get("lineage")
    if isinstance(lineage, list) and len(lineage) > 1:
        rows.append(
            (
                "lineage",
                code(" > ".join(str(one.get("spec")) for one in lineage if isinstance(one, dict))),
            )
        )
    return rows


def _promise(site: Site, known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The card that it keeps, where that is here."""
    name = known.get("card")
    if not isinstance(name, str):
        return []
    return [
        (
            "card",
            link(cards.address(name), code(name))
            if name in cards.found(site.cards)
            else code(name),
        )
    ]


def _flat(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in data.items()]


# ---- words ----


def duration(seconds: float) -> str:
    """Seconds as people say them."""
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
    """`onset_f1` as people read it."""
    return name.replace("_", " ")


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside an object of a file, whatever stands there."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _numbers(data: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, value) for name, found in data.items() if (value := number(found)) is not None]


def _count(value: Any) -> str:
    found = number(value)
    return "-" if found is None else f"{found:,.0f}"


def _amount(name: str, value: Any) -> str:
    found = number(value)
    if found is None:
        return _text(value)
    if name.endswith("_bytes"):
        return f"{found / 1e9:.1f} GB"
    return duration(found) if name.endswith("_s") else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return _count(value)
    return value if isinstance(value, str) else json.dumps(value)[:500]
