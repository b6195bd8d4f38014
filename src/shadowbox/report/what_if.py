"""Page of a recorded moment that is continued in other ways: figures with intervals, and clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shadowbox.evaluate.worlds.branches import SECONDS, _Branch, episode_of
from shadowbox.evaluate.worlds.what_if import RECORDED, _WhatIf
from shadowbox.page.document import (
    Bar,
    Html,
    Text,
    badge,
    beside,
    code,
    facts,
    folded,
    heading,
    sentence,
    table,
    with_interval,
)
from shadowbox.page.match_page import clips_page, side_by_side
from shadowbox.report.match import match_clip

TITLES = {"dealt": "damage dealt", "taken": "damage taken"}


def what_if_page(found: _WhatIf) -> str:
    """The HTML file of a counterfactual."""
    name = f"{found.store.name}#{found.moment.episode}:{found.moment.frame}"
    return clips_page(f"What else could P{found.player + 1} have done? {name}", _blocks(found))


def _blocks(found: _WhatIf) -> Iterator[Html]:
    if found.verdict.warning:
        word = "gate failed" if found.verdict.passed is False else "gate not known"
        yield sentence(badge(word, "bad"), f" {found.verdict.warning}.")
    else:
        yield sentence(badge("gate passed", "good"), f" {found.spec} may be asked.")
    worlds = list(dict.fromkeys(branch.world for branch in found.branches))
    for world in worlds:
        yield sentence(code(world), f": {found.answer(world)}.")
    yield sentence(
        f"{found.samples} samples of each way to play, with the same seeds; intervals of 95 % over "
        "samples. " + " ".join(f"{each[:1].upper()}{each[1:]}." for each in found.remarks)
    )
    for world in worlds:
        yield heading(f"In {world}")
        yield from _bars(found, world)
        yield from _table(found, world)
    yield heading(f"The first sample of each, {SECONDS[-1]} s long")
    yield sentence("All play together. Press play in one of them.")
    yield side_by_side(_clips(found), together=True)
    known: list[tuple[Text, Text]] = [
        ("store", code(str(found.store))),
        ("world", code(found.spec)),
        ("opponent", code(found.against or RECORDED)),
        ("seed", code(str(found.seed))),
    ]
    yield folded("Where this comes from", [facts(known)])


def _bars(found: _WhatIf, world: str) -> Iterator[Html]:
    """Damage dealt and taken at the last horizon, with intervals."""
    bars, last = [], len(SECONDS) - 1
    own = [each for each in found.branches if each.world == world]
    for figure, tone in (("dealt", "p1"), ("taken", "p2")):
        for each in [found.truth, *own]:
            value, low, high = each.after(figure, last)
            title = "the recording" if each is found.truth else _named(each)
            shown = None if each is found.truth else (low, high)
            bars.append(
                Bar(
                    f"{TITLES[figure]}, {title}",
                    value,
                    f"{value:.1f}",
                    "" if each is found.truth else tone,
                    *(shown or (None, None)),
                )
            )
    yield sentence(f"Damage after {SECONDS[-1]} s; in black the recording itself.")
    yield beside(bars)


def _table(found: _WhatIf, world: str) -> Iterator[Html]:
    known = found.recorded_in(world)
    head = ["after", "way to play", *(TITLES.get(name, name) for name in found.figures)]
    rows: list[Sequence[Text]] = []
    for at, seconds in enumerate(SECONDS):
        rows.append([f"{seconds} s", "the recording", *_cells(found.truth, at), "-"])
        for each in found.branches:
            if each.world == world:
                gain = "-" if each is known else _cell(*each.beside(known, at), sign="+")
                rows.append([f"{seconds} s", _named(each), *_cells(each, at), gain])
    yield table([*head, "dealt - taken, beside recorded keys"], rows, left=2)


def _cells(branch: _Branch, at: int) -> list[Text]:
    return [_cell(*branch.after(name, at)) for name in branch.totals]


def _cell(value: float, low: float, high: float, sign: str = "") -> Text:
    if not low < high:  # equal samples, or a single one
        return f"{value:{sign}.1f}"
    return with_interval(f"{value:{sign}.1f}", f"{low:{sign}.1f} .. {high:{sign}.1f}")


def _named(branch: _Branch) -> str:
    return "recorded keys" if branch.by == RECORDED else branch.by


def _same(branch: _Branch, truth: _Branch) -> bool:
    """True if the first sample has the rows of the recording."""
    return all(
        len(values) == len(truth.rows[key]) and bool((values[:-1] == truth.rows[key][:-1]).all())
        for key, values in branch.rows.items()
    )


def _clips(found: _WhatIf) -> list[Html]:
    """Clips way by way, so that the worlds are beside each other, and the recording."""
    clips = []
    repeated = [
        each.world for each in found.branches if each.by == RECORDED and _same(each, found.truth)
    ]
    for each in sorted(found.branches, key=lambda one: _ways(found).index(one.by)):
        if each.world in repeated and each.by == RECORDED:
            clips.append(_clip(found, found.truth, f"the recording, which {each.world} repeats"))
        else:
            clips.append(_clip(found, each, f"{_named(each)}, in {each.world}"))
    return clips if repeated else [*clips, _clip(found, found.truth, "the recording")]


def _ways(found: _WhatIf) -> list[str]:
    return list(dict.fromkeys(each.by for each in found.branches))


def _clip(found: _WhatIf, branch: _Branch, caption: str) -> Html:
    names = [f"P{seat + 1}" for seat in range(found.game.schema.players)]
    if found.against and branch is not found.truth:
        names = [found.against] * len(names)
    names[found.player] = _named(branch)
    return match_clip(found.game, caption, episode_of(branch, found.game, names))
