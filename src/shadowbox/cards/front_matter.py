"""Front matter of cards: a safe subset of YAML, parsed into plain data with the line of each value.

Maps, lists and scalars are read by one small rule (`_scalar`). Tags, anchors and aliases are
refused, so nothing is constructed and nothing can grow. YAML 1.1's surprises (`on` is true,
`12:30` is 750, `1e-3` is a text) do not apply.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

from shadowbox.errors import UsageError

LONGEST = 64_000  # letters of a head
DEEPEST = 12  # levels of nesting
Path = tuple[str | int, ...]

INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Mistake(NamedTuple):
    """A mistake in a card: line, field and message."""

    line: int  # of the file, from 1
    field: str  # as in targets[0].metric
    message: str


class FrontMatter(NamedTuple):
    """Plain data, the line of each of its parts, and the mistakes found while parsing."""

    data: dict[str, Any]
    lines: dict[Path, int]
    mistakes: list[Mistake]

    def line(self, path: Path) -> int:
        """Line of a part, or of the nearest enclosing part that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse_front_matter(text: str, first_line: int = 1) -> FrontMatter:
    """Parse front matter; `first_line` is its first line in the file."""
    mistakes: list[Mistake] = []
    lines: dict[Path, int] = {(): first_line}
    if len(text) > LONGEST:
        return FrontMatter(
            {},
            lines,
            [
                Mistake(
                    first_line,
                    "",
                    f"the head has {len(text):,} letters, at most {LONGEST:,} are read",
                )
            ],
        )
    try:
        refused = _refused(text, first_line)
        node = None if refused else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return FrontMatter({}, lines, [_unreadable(error, first_line)])
    if refused:
        return FrontMatter({}, lines, [refused])
    if not isinstance(node, yaml.MappingNode):
        return FrontMatter(
            {}, lines, [Mistake(first_line, "", "the head must be a list of `name: value` lines")]
        )
    data = _plain(node, (), first_line, lines, mistakes)
    return FrontMatter(data, lines, mistakes)


def parse_setting(text: str) -> Any:
    """Parse the value of a NAME=VALUE option as in a card; raise UsageError if it cannot be read."""
    found = parse_front_matter(f"value: {text}")
    if found.mistakes or set(found.data) != {"value"}:
        reason = found.mistakes[0].message if found.mistakes else "this is more than one value"
        raise UsageError(f"'{text[:80]}' cannot be read: {reason}")
    return found.data["value"]


def path_text(path: Path) -> str:
    """Format a path: `("targets", 0, "metric")` gives targets[0].metric."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def _refused(text: str, first_line: int) -> Mistake | None:
    """The first construct that a card may not contain, found without building anything."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = first_line + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return Mistake(
                line,
                "",
                "anchors and aliases (& and *) are not read: write the value out, or quote the text",
            )
        if tag := getattr(event, "tag", None):
            return Mistake(line, "", f"the tag {tag[:40]!r} is not read: a card holds plain values")
        if isinstance(event, yaml.DocumentStartEvent) and event.explicit:
            return Mistake(line, "", "a second document begins here; the head is one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > DEEPEST:
            return Mistake(line, "", f"values are nested deeper than {DEEPEST} levels")
    return None


def _plain(
    node: Any, path: Path, first: int, lines: dict[Path, int], mistakes: list[Mistake]
) -> Any:
    lines.setdefault(path, first + node.start_mark.line)
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, (*path, at), first, lines, mistakes) for at, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    found: dict[str, Any] = {}
    for key, value in node.value:
        line = first + key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(Mistake(line, path_text(path), "a name is a word, not a list or a map"))
            continue
        name = key.value
        if name in found:
            mistakes.append(Mistake(line, path_text((*path, name)), f"'{name}' is given twice"))
            continue
        lines[(*path, name)] = line
        found[name] = _plain(value, (*path, name), first, lines, mistakes)
    return found


def _scalar(node: Any) -> Any:
    """Parse a scalar: quoted text, true, false, null, an integer, a number, or plain text."""
    text: str = node.value
    if node.style is not None:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text


def _unreadable(error: yaml.YAMLError, first_line: int) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    line = first_line + (mark.line if mark else 0)
    problem = (
        getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    )
    return Mistake(line, "", f"this is not YAML: {' '.join(str(problem).split())}")
