"""Scan of a folder before it is published: names of players, connect codes, paths, addresses.

Names are looked for where a file says that it names a player (`players`, `spans`, ...): a name is
published only if it is that of a bot, a spec of an agent, or a pseudonym. Codes, paths and
addresses are looked for in all texts.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shadowbox.core.episode import UNKNOWN
from shadowbox.core.files import parse_json, read_bytes
from shadowbox.errors import ShadowboxError
from shadowbox.hub.listing import README

NAME, CODE, PATH, MAIL = "name of a player", "connect code", "absolute path", "mail address"
MOST_HEADER = 100 << 20  # bytes of the header of a file of weights, as the format allows
MOST_SHOWN = 10
PATTERNS = {
    CODE: re.compile(r"(?<![\w#&/])(?=\d*[^\W\d_a-z])[^\W_a-z]{1,8}[#＃]\d{1,4}(?!\w)"),  # noqa: RUF001
    PATH: re.compile(
        r"(?<![\w/.~)\]<])/(?:[\w.@+-]+/)+[\w.@+-]*"
        r"|(?<![\w/.~)\]<])/(?:home|Users|root|tmp|mnt|media|srv|opt|var|workspace)\b"
        r"|(?<![\w/.])~\w*/[\w.-]+|(?<![A-Za-z])[A-Za-z]:\\+\w[^\s\"']*|\\\\+[\w.-]+\\+\w[^\s\"']*"
    ),
    MAIL: re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
}
# keys of metadata, facts and settings whose texts name players; of dictionaries their keys do
PEOPLE = frozenset(
    ("player", "players", "person", "persons", "people", "user", "username", "netplay", "nametag",
     "connect_code", "code", "codes", "display_name", "names", "author", "by_person")
)  # fmt: skip
PUBLISHED = re.compile(
    r"|me|person|[a-z]+-[0-9a-f]{8,}|(cpu|player|person|test|train|synthetic)(-\d+)+"
)
SPECS = ("policy", "dream", "encoder", "replay", "py")  # beginnings of specs of agents
UNNAMED = ("schema.json", "done")  # files that declare fields called "player"


class _Finding(NamedTuple):
    """Text that should not be published, and its place."""

    where: str
    what: str
    text: str


def scan(folder: Path, bots: Collection[str], allow: Collection[str] = ()) -> list[_Finding]:
    """All texts of a folder's files that should not be published, without the allowed ones."""
    found = []
    # the README repeats texts of the other files, whose places are the better ones
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == README, path.name)):
        for where, name, text in _texts(path):
            if name and text not in allow and not is_published(text, bots):
                found.append(_Finding(where, NAME, text))
                continue
            for what, pattern in PATTERNS.items():
                found += [
                    _Finding(where, what, match[0])
                    for match in pattern.finditer(text)
                    if match[0] not in allow
                ]
    return found


def refuse(findings: list[_Finding], pushed: str) -> None:
    """Refuse to publish, with each place."""
    if not findings:
        return
    places: dict[tuple[str, str], list[str]] = {}  # of each text
    for each in findings:
        places.setdefault((each.what, each.text), []).append(each.where)
    shown = [
        f"{where[0]}: {what} {text!r:.80}"
        + f" and {len(where) - 1:,} more places" * (len(where) > 1)
        for (what, text), where in places.items()
    ]
    more = f"; and {len(shown) - MOST_SHOWN:,} more texts" * (len(shown) > MOST_SHOWN)
    raise ShadowboxError(
        f"{pushed} was not pushed: {'; '.join(shown[:MOST_SHOWN])}{more}. Add --replace to write "
        "pseudonyms and short paths in their place, or --allow TEXT for each text that may be published"
    )


def is_published(name: str, bots: Collection[str]) -> bool:
    """True for the name of a bot, a spec of an agent, a pseudonym, or an unknown player."""
    head = re.split("[:@]", name, maxsplit=1)[0]
    return name == UNKNOWN or bool(PUBLISHED.fullmatch(name)) or head in bots or head in SPECS


def replacer(bots: Collection[str], allow: Collection[str] = ()) -> Callable[[str, bool], str]:
    """Function of (text, it names a player) that gives the text without what is not published.

    Pseudonyms are keyed by a number that is drawn for each push and not kept: no name can be
    found by trying names against them, and those of two pushes differ.
    """
    key = secrets.token_bytes(32)

    def pseudonym(text: str) -> str:
        digest = hashlib.blake2b(text.encode(), key=key, digest_size=6)
        return f"player-{digest.hexdigest()}"

    def replaced(text: str, is_name: bool) -> str:
        if is_name and text not in allow and not is_published(text, bots):
            return pseudonym(text)
        for what, pattern in PATTERNS.items():
            text = pattern.sub(
                lambda match, what=what: (  # type: ignore[misc]
                    match[0]
                    if match[0] in allow
                    else re.split(r"[\\/]", match[0].rstrip("\\/"))[-1]
                    if what == PATH
                    else pseudonym(match[0])
                ),
                text,
            )
        return text

    return replaced


def mapped(data: Any, change: Callable[[str, bool], str], key: str = "") -> Any:
    """JSON data with every text, names of keys included, changed by `change`."""
    if isinstance(data, str):
        return change(data, key in PEOPLE)
    if isinstance(data, list):
        within = "players" if key in PEOPLE else key
        return [mapped(item, change, within) for item in data]
    if isinstance(data, dict):
        is_span = set(data) == {"seat", "from", "to", "by"}
        return {
            change(name, key in PEOPLE): mapped(
                item, change, "players" if is_span and name == "by" else name
            )
            for name, item in data.items()
        }
    return data


# ---- texts of files ------------------------------------------------------------------------------


def _texts(path: Path) -> Iterator[tuple[str, bool, str]]:
    """Place, "it names a player", and text, for every text of a file."""
    if path.suffix == ".json":
        data = parse_json(read_bytes(path), path.name, object)
        yield from _json_texts(data, path.name, "", path.name not in UNNAMED)
    elif path.suffix == ".jsonl":
        for number, line in enumerate(read_bytes(path).splitlines(), start=1):
            where = f"{path.name}, line {number}"
            yield from _json_texts(parse_json(line, where, object), where, "", True)
    elif path.suffix in (".md", ".csv"):
        lines = read_bytes(path).decode(errors="replace").splitlines()
        for number, text in enumerate(lines, start=1):
            yield f"{path.name}, line {number}", False, text
    elif path.suffix == ".safetensors":
        yield from _json_texts(_header(path), f"header of {path.name}", "", False)


def _json_texts(data: Any, where: str, key: str, names: bool) -> Iterator[tuple[str, bool, str]]:
    found: list[tuple[str, bool, str]] = []

    def note(text: str, is_name: bool) -> str:
        found.append((where, is_name and names, text))
        return text

    if isinstance(data, dict):  # the place has the first key
        for name, item in data.items():
            inside = len(found)
            mapped({name: item}, note)
            named = name != "schema"  # its fields have names, too
            found[inside:] = [
                (f"{where}: {name}", is_name and named, text) for _, is_name, text in found[inside:]
            ]
    else:
        mapped(data, note, key)
    yield from found


def _header(path: Path) -> Any:
    """Metadata and names of the tensors of a file of weights."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MOST_HEADER:
            raise ShadowboxError(f"{path.name} has a header of {size:,} bytes; it is damaged")
        return parse_json(file.read(size), f"header of {path.name}", dict)
