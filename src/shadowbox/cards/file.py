"""Card files: front matter (the contract), prose for people, and blocks written by the program.

    ---
    goal: ...                     front matter: typed, hashed, signed
    ---
    # Why                         prose: anyone may edit it at any time
    <!-- card:results 1f00ab -->  a block; the number is a digest of its content, so edits show
    ...
    <!-- /card -->

The contract's hash covers the text of the front matter, and neither prose nor blocks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowbox.core.files import parse_json, read_bytes, write_whole
from shadowbox.errors import CardError, ShadowboxError

LARGEST = 1_000_000  # bytes of a card
# in the order in which new ones are appended
BLOCKS = ("facts", "prior", "estimate", "prediction", "signatures", "results")
TITLES = {
    "facts": "Facts (computed)",
    "prior": "Comparable runs",
    "estimate": "Estimate",
    "prediction": "Prediction (before the run)",
    "signatures": "Signatures and reviews",
    "results": "Results",
}
OPENING = re.compile(r"^<!-- card:([a-z]+)(?: ([0-9a-f]+))? -->[ \t]*$", re.M)
DATA = re.compile(r"<!-- data (\{.*\}) -->")
CLOSING = "<!-- /card -->"


@dataclass(frozen=True)
class CardFile:
    """The text of a card. Replacing a block leaves every other character unchanged."""

    path: Path
    text: str

    @staticmethod
    def read(path: Path) -> CardFile:
        """Read a card from disk; refuse text without front matter."""
        try:
            text = read_bytes(path, error=CardError, largest=LARGEST).decode()
        except FileNotFoundError:
            raise CardError(
                f"card {path} not found: `shadowbox card new {path.stem}` writes one"
            ) from None
        except UnicodeDecodeError as error:
            raise CardError(f"{path} is not UTF-8 text (byte {error.start})") from None
        found = CardFile(path, text.replace("\r\n", "\n"))
        if found._head_span is None:
            raise CardError(
                f"{path} is not a run card: line 1 must be ---, and a second --- must end the head"
            )
        return found

    def write(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, self.text.encode())

    @property
    def name(self) -> str:
        """Name of the card: its file name without the ending."""
        return self.path.stem

    @property
    def head(self) -> str:
        """Text of the front matter."""
        span = self._head_span
        assert span is not None, "read() refuses a text without a head"
        return self.text[span[0] : span[1]]

    @property
    def prose(self) -> str:
        """Text below the front matter, without blocks."""
        span = self._head_span
        assert span is not None
        body = self.text[span[1] :].partition("---")[2]
        for name in BLOCKS:
            place = _find(body, name)
            if place:
                body = body[: place[0]] + body[place[3] :]
        return body.strip()

    @property
    def hash(self) -> str:
        """Hash of the front matter, as used in signatures, `run.json` and results."""
        return hash_of(self.head)

    def block(self, name: str) -> str | None:
        """Content of a block, or None if the card does not have it."""
        place = _find(self.text, name)
        return None if place is None else self.text[place[1] : place[2]].strip("\n")

    def data(self, name: str) -> Any:
        """Data that the program keeps in a block.

        None without a block or data; raises ValueError if the data is damaged.
        """
        found = DATA.search(self.block(name) or "")
        try:
            return parse_json(found[1].encode(), f"block {name}", object) if found else None
        except ShadowboxError as error:
            raise ValueError(str(error)) from error

    def with_head(self, head: str) -> CardFile:
        """The same card with another front matter."""
        span = self._head_span
        assert span is not None, "read() refuses a text without a head"
        return CardFile(self.path, self.text[: span[0]] + head + self.text[span[1] :])

    def edited(self) -> list[tuple[int, str]]:
        """Line and name of each block that was edited by hand or is not closed."""
        found = []
        for opening in OPENING.finditer(self.text):
            name, digest = opening[1], opening[2]
            line = self.text.count("\n", 0, opening.start()) + 1
            content = self.block(name)
            if content is None or name not in BLOCKS or digest != _digest(content):
                found.append((line, name))
        return found

    def with_block(self, name: str, content: str) -> CardFile:
        """The same card with `content` in the named block."""
        content = content.strip("\n")
        for mark in ("<!-- card:", CLOSING):  # foreign text in a block cannot end it
            content = content.replace(mark, mark.replace("<!--", "<! --"))
        block = f"<!-- card:{name} {_digest(content)} -->\n{content}\n{CLOSING}"
        place = _find(self.text, name)
        if place:
            return CardFile(self.path, self.text[: place[0]] + block + self.text[place[3] :])
        empty = re.search(
            rf"^## {re.escape(TITLES[name])}[ \t]*\n(?=\s*(?:^## |\Z))", self.text, re.M
        )  # its block was taken out
        if empty:
            rest = self.text[empty.end() :].lstrip()
            return CardFile(
                self.path, f"{self.text[: empty.end()]}\n{block}\n" + (f"\n{rest}" if rest else "")
            )
        return CardFile(self.path, f"{self.text.rstrip()}\n\n## {TITLES[name]}\n\n{block}\n")

    @property
    def _head_span(self) -> tuple[int, int] | None:
        if not self.text.startswith("---\n"):
            return None
        end = re.compile(r"^---[ \t]*$", re.M).search(self.text, 4)
        return (4, end.start()) if end else None


def data_line(data: Any) -> str:
    """Data as an HTML comment, the last line of a block; the data cannot end the comment."""
    text = json.dumps(data, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<!-- data {text} -->"


def hash_of(head: str) -> str:
    """Hash of a front matter's text."""
    return "sha256:" + hashlib.sha256(head.encode()).hexdigest()


def packed(text: str) -> str:
    """A text compressed into one line, to keep the signed contract in a block."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(line: str) -> str | None:
    """The inverse of `packed`; None if the line is damaged or too long."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(line, validate=True), LARGEST)
        return data.decode() if unpacker.eof else None
    except (binascii.Error, zlib.error, ValueError):
        return None


def _find(text: str, name: str) -> tuple[int, int, int, int] | None:
    """Positions of a block: its start, the start and the end of its content, and its end."""
    opening = next((found for found in OPENING.finditer(text) if found[1] == name), None)
    if opening is None:
        return None
    end = text.find(CLOSING, opening.end())
    return None if end < 0 else (opening.start(), opening.end() + 1, end, end + len(CLOSING))


def _digest(content: str) -> str:
    return hashlib.sha256(content.strip("\n").encode()).hexdigest()[:12]
