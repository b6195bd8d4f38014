"""Real browser for tests of pages: Chromium, driven by Playwright, without a network."""

from __future__ import annotations

import shutil
import time
import warnings

import pytest

# none of these changes a page: they keep the browser from calling home and from needing a GPU
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
    """Chromium; without it the tests that need it are skipped with a message in capitals."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip(
            "NO CHROMIUM: the pages were not tested. "
            "Install it (Debian: apt-get install chromium) and run again."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of Playwright itself
        from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Function that opens a file; the test fails if a page logs an error or a warning."""
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


def until(page, condition, seconds=120):
    """Wait until a JavaScript condition is true.

    Playwright's own wait_for_function needs eval, which the policy of the pages forbids.
    """
    end = time.monotonic() + seconds
    while not _holds(page, condition):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(20)


def follow(page, link):
    """Click a link and wait for the next page; a click alone returns on the old page."""
    with page.expect_navigation():
        link.click()


def _holds(page, condition):
    """Evaluate a condition; it is false while one page replaces another."""
    try:
        return page.evaluate(condition)
    except Exception as error:
        if "context was destroyed" not in str(error):
            raise
        return False
