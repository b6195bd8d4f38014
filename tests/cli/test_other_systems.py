"""Everything works where `fcntl`, `resource` and `os.fork` are missing, and with the locks of Windows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

OTHER = Path(__file__).parents[1] / "other_systems"
SYSTEMS = ("bare", "windows")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a real other system needs no imitation"
)

RUN = """
import sys
from shadowbox.cli import main
for line in sys.stdin.read().splitlines():
    if line.startswith("append "):
        with open(line.split()[1], "ab") as log:
            log.write(line.split(maxsplit=2)[2].encode() + b"\\n")
        continue
    try:
        main(line.split())
    except SystemExit as stop:
        print("exit", stop.code, line, file=sys.stderr)
"""
LOOP = """\
games
record quick_brawl:GAME --p0 tapper --p1 random --matches 8 --out store
record quick_brawl:GAME --p0 random --p1 random --matches 2 --out store
audit store --verify --brief
view store#0 --out view.html
match quick_brawl:GAME --p0 tapper --p1 random --out match.html
store drop store#0
train store --out run --steps 5 --preset tiny --batch 4 --shares 50/50/0 --set log_every=1
"""
RESUMED = """\
append run/metrics.jsonl {"kind": "train", "step": 6, "epoch": 0, "wall": 0.0}
train store --out run --resume
"""
MORE = """\
tournament quick_brawl:GAME tapper random --matches 2 --workers 2
eval run store --matches 2 --episodes 2 --game quick_brawl:GAME
report run --no-match --out report.html
"""
WRITE = """
import sys
from conftest import TOY, random_episode
from shadowbox.data.write import Writer
with Writer("store", TOY) as writer:
    print("open", flush=True)
    sys.stdin.readline()
    writer.add(random_episode(TOY, 9))
"""


def python(system, folder, code, **options):
    """A process whose interpreter resembles a system."""
    paths = os.pathsep.join([str(OTHER), *filter(None, sys.path)])
    environment = {"PYTHONPATH": paths, "SHADOWBOX_TEST_SYSTEM": system, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env={**os.environ, **environment, "SHADOWBOX_TEST_LOCKS": str(folder / "locks")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,
    )


def failed(system, folder, lines):
    """The calls that failed, with what they said."""
    _, err = python(system, folder, RUN).communicate(lines)
    ends = [line for line in err.splitlines() if line.startswith("exit ")]
    asked = [line for line in lines.splitlines() if not line.startswith("append ")]
    assert len(ends) == len(asked), err
    return err if any(not line.startswith("exit 0 ") for line in ends) else ""


def test_the_other_system_is_another(tmp_path):
    """The interpreter of these tests hides what it should, and refuses to replace an open file."""
    code = """
import os
from shadowbox.core import system
assert system._fcntl is None and system._resource is None and not hasattr(os, "fork")
assert system.WINDOWS == (os.environ["SHADOWBOX_TEST_SYSTEM"] == "windows")
with open("a", "wb") as file:
    open("b", "wb").close()
    system.TRIES = 1
    try:
        system.replace("b", "a")
    except PermissionError as error:
        print(error.strerror)
"""
    for name, said in (("bare", ""), ("windows", "another program has it open")):
        out, err = python(name, tmp_path, code).communicate()
        assert err == ""
        assert out.startswith(said)
        assert bool(out) == bool(said)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_everything_but_serving(system, tmp_path):
    """Every command of the loop ends well.

    A resumed run takes back the lines after its checkpoint.
    """
    assert failed(system, tmp_path, LOOP + MORE * (system == "windows") + RESUMED) == ""
    lines = (tmp_path / "run" / "metrics.jsonl").read_bytes().splitlines()
    assert max(json.loads(line)["step"] for line in lines) == 5


@pytest.mark.parametrize("system", SYSTEMS)
def test_serving(system, tmp_path):
    """A server starts and answers."""
    code = "from shadowbox.cli import main; main(['serve', '--port', '0', '--json'])"
    process = python(system, tmp_path, code)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        with urllib.request.urlopen(json.loads(line)["url"]) as answer:
            assert answer.status == 200
    finally:
        process.kill()
        process.communicate()


def test_two_writers(tmp_path):
    """On Windows, too, a second writer is refused by the first one's name, and a dead one blocks no other."""
    first = python("windows", tmp_path, WRITE)
    assert first.stdout.readline() == "open\n"
    _, err = python("windows", tmp_path, WRITE).communicate("\n")
    assert f"StoreLocked: store is being written to by pid {first.pid} on host " in err
    assert "or end it" in err
    first.kill()
    first.communicate()
    _, err = python("windows", tmp_path, WRITE).communicate("\n")
    assert f"the last writer (pid {first.pid} on host" in err
    calls = [line.split() for line in (tmp_path / "locks").read_text().splitlines()]
    assert [mode for _, mode, _, _ in calls] == ["2", "2", "2", "0"]
    assert {(at, count) for _, _, at, count in calls} == {(str(1 << 30), "1")}
