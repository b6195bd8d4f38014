"""Migration of front matter from before 0.1.0: old names are replaced, all other characters kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from shadowbox.cards.front_matter import parse_front_matter
from shadowbox.core import renames
from shadowbox.errors import CardError

FIRST_LINE = 2  # of the head in its file


class _Renamed(NamedTuple):
    """A name or value of the front matter that has changed."""

    line: int  # of the file
    old: str
    new: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.old} -> {self.new}"


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def rename_head(head: str) -> tuple[str, list[_Renamed]]:
    """Front matter with present names, and each replaced name.

    Front matter that cannot be parsed is returned unchanged; its reader lists the mistakes.
    """
    if parse_front_matter(head).mistakes:
        return head, []
    edits = sorted(_edits(yaml.compose(head, Loader=yaml.SafeLoader)))
    changes = [
        _Renamed(
            FIRST_LINE + head.count("\n", 0, edit.start), head[edit.start : edit.end], edit.text
        )
        for edit in edits
    ]
    renamed = head
    for edit in reversed(edits):
        renamed = renamed[: edit.start] + edit.text + renamed[edit.end :]
    if twice := parse_front_matter(renamed, FIRST_LINE).mistakes:
        raise CardError(
            f"line {twice[0].line}: {twice[0].field} has its old and its present name: delete one"
        )
    return renamed, changes


def _edits(head: Any) -> Iterator[_Edit]:
    """All old names in the front matter of an imitation card."""
    parts = {key.value: value for key, value in _pairs(head)}
    learner = parts.get("learner")
    if learner is not None:
        if str(learner.value) not in {*renames.LEARNERS, *renames.LEARNERS.values()}:
            return
        yield from _word(learner, renames.LEARNERS.get(learner.value, learner.value))
    for key, _ in _pairs(head):
        yield from _word(key, renames.CARD_FIELDS.get(key.value, key.value))
    yield from _settings(parts.get("set"))
    for target in _items(parts.get("targets")):
        for key, value in _pairs(target):
            yield from _metrics(value) if key.value in ("metric", "value") else ()
    for rule in _items(parts.get("kill")):
        for key, value in _pairs(rule):
            yield from _metrics(value) if key.value == "when" else ()
            yield from _settings(value) if key.value == "set" else ()
    for name, part in _pairs(parts.get("baseline")):
        for key, _ in _pairs(part) if name.value == "values" else ():
            yield from _metrics(key)
    for name, part in _pairs(parts.get("sweep")):
        for case in _items(part):
            yield from _settings(case)
        yield from _settings(part) if name.value in ("grid", "random") else ()


def _settings(node: Any, before: str = "") -> Iterator[_Edit]:
    """Old names in settings, nested or dotted; a value may be a list or a range."""
    for key, value in _pairs(node):
        name = before + key.value
        if isinstance(value, yaml.MappingNode) and not before and "." not in name:
            yield from _settings(value, f"{name}.")
            continue
        present = renames.rename_setting(name, None)[0]
        yield from _word(key, present.removeprefix(before))
        if name in renames.SHARES and isinstance(value, yaml.MappingNode):
            raise CardError(
                f"line {FIRST_LINE + key.start_mark.line}: a range of {name} has another unit now: "
                f"write one of {present}, the share 1 / N, in its place"
            )
        for one in _items(value) or [value]:
            if isinstance(one, yaml.ScalarNode):
                yield from _value(name, one)


def _value(name: str, node: Any) -> Iterator[_Edit]:
    value = (
        parse_front_matter(f"x: {node.value}").data.get("x") if node.style is None else node.value
    )
    present = renames.rename_setting(name, value)[1]
    if present != value or type(present) is not type(value):
        yield from _word(node, present if isinstance(present, str) else repr(present))


def _metrics(node: Any) -> Iterator[_Edit]:
    """Rename metrics in a text, with its quotes and folds."""
    if isinstance(node, yaml.ScalarNode):
        yield from _word(node, renames.rename_metrics_in(node.value))


def _word(node: Any, present: str) -> Iterator[_Edit]:
    """A scalar with another text in its own quotes."""
    if not isinstance(node, yaml.ScalarNode) or node.value == present:
        return
    quote = node.style if node.style in ("'", '"') else ""
    if node.style in ("|", ">") or node.start_mark.line != node.end_mark.line:
        raise CardError(
            f"line {FIRST_LINE + node.start_mark.line}: write {node.value!r:.60} on one line first"
        )
    yield _Edit(node.start_mark.index, node.end_mark.index, f"{quote}{present}{quote}")


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    """Key and value nodes of a mapping whose keys are words."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [(key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)]


def _items(node: Any) -> list[Any]:
    return node.value if isinstance(node, yaml.SequenceNode) else []
