"""A real browser for the pages: Debian's Chromium, driven by Playwright, without a network."""

from __future__ import annotations

import shutil
import time
import warnings

import pytest

# Nothing of these touches the page: they keep the browser from calling home and from needing a GPU.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser; where there is none the tests that need it are skipped, and say so loudly."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip(
            "NO CHROMIUM: the pages were not tested. Install it (Debian: apt-get install chromium) and run again."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Playwright's own start, which is not ours
        from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """A function that opens a file; at the end of the test no page may have complained."""
    contexts, complaints = [], []

    def open_file(path, *, width=1366, height=768, part="", **options):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"file://{path}{part}")
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert not complaints, f"the browser complained: {complaints}"


def until(page, condition, seconds=15):
    """Wait until a JavaScript condition holds.

    Playwright's own way needs eval, which a page's policy forbids.
    """
    end = time.monotonic() + seconds
    while not _holds(page, condition):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(20)


def follow(page, link):
    """Click what leads to another page, and wait until that one is there: a click alone comes back while the old one stands."""
    with page.expect_navigation():
        link.click()


def _holds(page, condition):
    """Whether it does; in the moment in which one page gives way to another it does not."""
    try:
        return page.evaluate(condition)
    except Exception as error:
        if "context was destroyed" not in str(error):
            raise
        return False
