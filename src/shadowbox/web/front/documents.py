"""Docs pages: the Markdown files of the project, with the style of the other pages.

They come from the checkout, or from the data folder of an installed package. Tags in a text are shown
as text.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.errors import checkout
from shadowbox.page.document import Html
from shadowbox.web.markup import command, element, empty, framed, link
from shadowbox.web.site import PageNotFound

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

INSTALLED = "share/shadowbox/docs"  # below the data folder of this Python
FIRST = {  # in the order in which a newcomer reads
    "Begin": ("play-like-me", "from-replays-to-policy", "your-own-gym-game", "troubleshooting"),
    "Understand": ("tour", "glossary", "metrics", "cards"),
    "Games": ("brawl", "melee", "gesture", "add-a-game"),
}
OTHERS = "More"
NAME = re.compile(r"[a-z0-9-]+")
RELATIVE = re.compile(r"(?:\./)?([a-z0-9-]+)\.md(#[\w-]+)?")
OUTSIDE = re.compile(r"https?://|#")


def folder() -> Path | None:
    """Folder of the docs; None if they were not installed."""
    root = checkout()
    at = root / "docs" if root else Path(sysconfig.get_path("data")) / INSTALLED
    return at if at.is_dir() else None


def documents() -> str:
    """Docs page: all pages with their first sentence."""
    at = folder()
    if at is None:
        hint = "Install the package anew, or open a clone of it. Each command explains itself, too:"
        missing = empty("The docs are not installed here.", hint, "shadowbox --help")
        return framed("Docs", "/docs", [element("h1", "Docs"), missing], module="web")
    names = [path.stem for path in sorted(at.glob("*.md")) if NAME.fullmatch(path.stem)]
    listed = {name for group in FIRST.values() for name in group}
    groups: dict[str, Sequence[str]] = {**FIRST, OTHERS: [n for n in names if n not in listed]}
    blocks = [element("h1", "Docs")]
    for title, members in groups.items():
        items = [_entry(at / f"{name}.md") for name in members if name in names]
        blocks += [element("h2", title), element("ul", *items, class_="docs")]
    return framed("Docs", "/docs", blocks, module="web")


def document(name: str) -> str:
    """One page of the docs."""
    at = folder()
    path = at / f"{name}.md" if at and NAME.fullmatch(name) else None
    if path is None or not path.is_file():
        raise PageNotFound(f"No page of the docs is called '{name[:60]}'; /docs lists them.")
    text = path.read_text(encoding="utf-8")
    article = element("article", render(text), class_="doc")
    return framed(_opening(text)[0], "/docs", [article], module="web")


def render(text: str) -> Html:
    """Markup of a Markdown text; links lead to other pages of the docs, or out."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        _linked(token.children or ())
    return Html(parser.renderer.render(_with_anchors(tokens), parser.options, {}))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _fence(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A block of code; one of commands gets a button that copies it."""
    token = tokens[at]
    text = token.content.rstrip("\n")
    if token.info.startswith("console"):
        return command(text)
    return element("pre", element("code", text), tabindex="0")


def _image(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Pictures are not served; their description is what they say."""
    return element("em", tokens[at].content)


def _table_open(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return '<div class="wide" tabindex="0"><table>'


def _table_close(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return "</table></div>"


def _linked(tokens: Sequence[Token]) -> None:
    """Lead links to pages of the server; links into the source become text."""
    kept = True
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
            inside = RELATIVE.fullmatch(address)
            kept = bool(inside or OUTSIDE.match(address))
            if inside:
                token.attrs["href"] = f"/docs/{inside[1]}{inside[2] or ''}"
        if token.type in ("link_open", "link_close") and not kept:
            kept = token.type == "link_close"
            token.type, token.tag, token.attrs, token.nesting = "text", "", {}, 0


def _with_anchors(tokens: Sequence[Token]) -> Sequence[Token]:
    """Headings with the anchors that links name, as on GitHub; cells without styles of their own."""
    for token in tokens:
        if token.type in ("th_open", "td_open"):
            right = "right" in str(token.attrs.pop("style", ""))
            token.attrs |= {"class": "number"} if right else {}
    for token, inside in pairwise(tokens):
        if token.type == "heading_open":
            words = re.sub(r"[^\w\s-]", "", inside.content.lower())
            token.attrs["id"] = words.strip().replace(" ", "-")
    return tokens


def _entry(path: Path) -> Html:
    title, sentence = _opening(path.read_text(encoding="utf-8"))
    return element(
        "li", link(f"/docs/{path.stem}", title), element("span", sentence, class_="soft")
    )


def _opening(text: str) -> tuple[str, str]:
    """Title and first sentence of a page."""
    lines = iter(text.splitlines())
    title = next((line.removeprefix("# ") for line in lines if line.startswith("# ")), "Docs")
    words = " ".join(_paragraph(lines))
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", lambda found: found[1] or "", words)
    first = re.match(r".{30,}?(?=[.:](\s|$))|.*", plain)  # "Bros." is no end
    return title.replace("`", ""), first[0] if first else plain


def _paragraph(lines: Iterator[str]) -> Iterator[str]:
    """Lines of the first paragraph."""
    begun = False
    for line in lines:
        if not line.strip() or line.startswith(("#", "```", "|", "<")):
            if begun:
                return
            continue
        begun = True
        yield line.strip()
