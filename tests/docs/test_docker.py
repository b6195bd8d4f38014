"""The Dockerfile: its lines RUN work in a fresh environment, on the files that its lines COPY name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    line.split(" ", 1)
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def lines(word):
    """The rest of each line that begins with a word."""
    return [rest for first, rest in LINES if first == word]


def test_the_image_gets_files_that_exist_and_pinned_packages():
    """COPY names what .dockerignore lets in and the wheel needs; installs are constrained."""
    copied = {name for rest in lines("COPY") for name in rest.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    assert {"src", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= copied
    assert all("-c constraints.txt" in run for run in lines("RUN") if "pip install" in run)
    assert {first for first, _ in LINES} <= {
        *("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "EXPOSE", "CMD")
    }


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the image is one of Linux")
def test_the_lines_run_in_a_fresh_environment(tmp_path):
    """Every RUN of the file ends well, and the program that it installs plays a match.

    The environment has the packages of the tests, so that only Shadowbox itself is installed.
    """
    place, made = tmp_path / "shadowbox", tmp_path / "venv"
    place.mkdir()
    venv.create(made, with_pip=False)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(made)}))
    own.joinpath("packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for rest in lines("COPY"):
        *names, target = rest.split()
        for name in names:
            if (ROOT / name).is_dir():
                leave = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, place / target, ignore=leave)
            else:
                shutil.copy(ROOT / name, place / target)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings = dict(re.findall(r"(\w+)=(\S+)", " ".join(lines("ENV"))))
    path = f"{made / 'bin'}{os.pathsep}{os.environ['PATH']}"
    said = ""
    for run in lines("RUN"):
        answer = subprocess.run(
            ["sh", "-c", run], cwd=place, env={**kept, **settings, "PATH": path, "TMPDIR": str(tmp_path)},
            capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip
        assert answer.returncode == 0, f"{run}\n{answer.stdout}{answer.stderr}"
        said = answer.stdout
    assert '"policy:champion"' in said
    installed = [path.name for path in own.glob("shadowbox*")]
    assert "shadowbox" in installed
    assert sys.prefix != str(made)
