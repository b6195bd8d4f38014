"""Markup of the pages: elements with escaped text, and the frame around each page.

Pages are built from these functions and those of page/document.py only, so that text from files is
never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from shadowbox.page.document import Html

NAVIGATION = (
    ("/", "Home"),
    ("/play", "Play"),
    ("/arena", "Arena"),
    ("/matches", "Matches"),
    ("/tournaments", "Tournaments"),
    ("/runs", "Runs"),
    ("/cards", "Cards"),
    ("/docs", "Docs"),
)
STYLES = ("style.css", "viewer.css", "chart.css", "card.css", "web.css", "front.css")
VOID = ("input", "link", "meta")


def element(tag: str, /, *children: str, **attributes: str | int | bool | None) -> Html:
    """Element with escaped text and attributes.

    Attributes that are None or False are left out; `class_` gives `class`, `data_x` gives `data-x`.
    """
    parts = [tag]
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(key)
        elif value is not None and value is not False:
            parts.append(f'{key}="{escape(str(value))}"')
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{' '.join(parts)}>" + ("" if tag in VOID else f"{inside}</{tag}>"))


def head_of(title: str, styles: Iterable[str], module: str = "") -> Html:
    """Head of a page with its style sheets, and the script `module`."""
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · Shadowbox"),
        element("link", rel="icon", href="data:,"),
        *(element("link", rel="stylesheet", href=f"/static/{name}") for name in styles),
        *([element("script", type="module", src=f"/static/{module}.js")] if module else []),
    )


def framed(
    title: str,
    current: str,
    blocks: Iterable[str],
    *,
    module: str = "",
    wide: bool = False,
    **data: str | int,
) -> str:
    """Complete page: head, navigation and content.

    `current` is the address of the navigation entry to mark, `module` the name of the script, and
    `data` becomes the data attributes of the body, which the script reads.
    """
    links = (
        element("a", name, href=address, aria_current="page" if address == current else None)
        for address, name in NAVIGATION
    )
    head = head_of(title, STYLES, module)
    body = element(
        "body",
        element(
            "header",
            element("a", "Shadowbox", href="/", class_="brand"),
            element("nav", *links, aria_label="pages"),
        ),
        element("main", *blocks, class_="wide-page" if wide else None),
        **{f"data_{name}": value for name, value in data.items()},
    )
    text = "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"
    # JSON and YAML can hold half a surrogate pair, which UTF-8 cannot
    return text.encode(errors="backslashreplace").decode()


def link(address: str, *words: str) -> Html:
    """Link to another page of the server."""
    return element("a", *words, href=address)


def command(text: str) -> Html:
    """Command to copy; web.js adds a copy button."""
    return element("pre", element("code", text), class_="command")


def empty(missing: str, hint: str, example: str) -> Html:
    """Content of an empty page: a sentence on what is missing, a hint, and the command to copy."""
    return element(
        "section", element("p", missing), element("p", hint), command(example), class_="empty"
    )
