"""Server in a process of its own, started as a user starts it, and a browser for its pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


class Server:
    """Running process of `shadowbox serve`."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        paths = os.pathsep.join([str(TESTS), *sys.path])
        self.errors = (folder / "errors.log").open("w+")
        command = [
            sys.executable,
            "-m",
            "shadowbox",
            "serve",
            "--port",
            "0",
            "--json",
            *map(str, arguments),
        ]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        printed = json.loads(self.process.stdout.readline() or "{}")
        assert "url" in printed, self.complaints()
        self.url = printed["url"]

    def begin(self, **options):
        """Start a match; returns its number and key."""
        body = json.dumps(options).encode()
        request = urllib.request.Request(
            self.url + "live", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def complaints(self):
        """Text of the server on standard error."""
        self.errors.flush()
        return (self.folder / "errors.log").read_text()

    def memory(self):
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return (
            int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
            / 1000
        )

    def cpu(self):
        """CPU time of the server in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Stop the server as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(2)
            self.process.wait(timeout=120)
        self.process.stdout.close()
        self.errors.close()


@pytest.fixture
def server(tmp_path):
    """Function that starts a server; the test fails if one logs an unexpected error."""
    started = []

    def start(*arguments, game="quick_brawl:GAME"):
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(Server(folder, "--game", game, *arguments))
        return started[-1]

    yield start
    for one in started:
        complaints = one.complaints()
        one.stop()
        assert "Traceback" not in complaints or "forfeits" in complaints, complaints


@pytest.fixture
def browse(chromium):
    """Function that opens an address; the test fails if a page logs an error or a warning."""
    contexts, complaints = [], []

    def open_page(address, *, width=1366, height=768, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints, f"the browser complained: {complaints}"
