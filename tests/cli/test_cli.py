"""The command line as a user meets it: quick help, one JSON object, one-line errors and their exit status."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import click
import numpy as np
import pytest
from conftest import TOY, random_episode

from shadowbox import cli
from shadowbox.data.store import Store
from shadowbox.data.write import Writer

PROGRAM = [sys.executable, "-m", "shadowbox"]


@pytest.fixture
def path(tmp_path):
    """A store of eight episodes."""
    with Writer(tmp_path / "s", TOY, event_kinds=("hit",)) as writer:
        for seed in range(8):
            writer.add(random_episode(TOY, 30, seed=seed, player=f"p{seed % 3}"))
    return tmp_path / "s"


def call(*arguments):
    """Run the program as a user does."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=250
    )


def run(capsys, *arguments):
    """Run a command in this process: exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.mark.parametrize("place", ["clone", "installed"])
def test_without_arguments(capsys, monkeypatch, place):
    """A bare call says what to do first, as possible calls, and fits into a terminal of 24 lines.

    No make outside a clone.
    """
    if place == "installed":
        monkeypatch.setattr(cli, "checkout", lambda: None)
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    steps = [line.strip() for line in out.splitlines() if line.strip().startswith("shadowbox ")]
    assert len(steps) >= 4
    for step in steps:
        _, name, *words = re.split(r" {2,}", step)[0].split()
        command = cli.shadowbox.get_command(None, name)
        command.make_context(name, words)  # refuses what is no option
    assert ("make demo" in out) == (place == "clone")
    assert "shadowbox --help" in out
    assert len(out.splitlines()) < 24
    lines = [line for line in out.splitlines() if not line.startswith("`make")]  # names a folder
    assert len(max(lines, key=len)) <= 80


def test_help_is_quick():
    """`shadowbox --help` takes less than 0.4 s of CPU time (the least of five tries)."""
    resource = pytest.importorskip("resource")
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert call("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.4


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["audit", "--help"],
        ["games"],
        ["store", "--help"],
        ["bench", "--help"],
        ["train", "--help"],
    ],
)
def test_help_needs_no_torch(arguments):
    """Asking for help or for the list of games imports neither torch nor any other heavy library."""
    code = (
        "import sys\nfrom shadowbox import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit as stop:\n"
        "    loaded = {'torch', 'numba', 'pyarrow', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "    print(stop.code, loaded, file=sys.stderr)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert answer.stderr.splitlines()[-1] == "0 set()"


def test_every_command_is_what_the_table_says():
    """Each entry of the table of commands loads and is described by the same first line as its own help."""
    for name in cli.COMMANDS:
        command = cli.shadowbox.get_command(None, name)
        assert command is not None
        assert command.help, name


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["gams"], 2, "unknown command 'gams': did you mean 'games'?"),
        (["audit"], 2, "Missing argument 'STORE'"),
        (["audit", "s", "--jsn"], 2, "No such option"),
        (["games", "brawll"], 2, "unknown game 'brawll'"),
        (["games", "no.such.module:GAME"], 2, "cannot be imported: No module named 'no'"),
        (["games", "shadowbox.errors:ShadowboxError"], 2, "a Game record is needed"),
        (["audit", "nowhere"], 1, "nowhere is not a store"),
        (["store", "info", "nowhere#x"], 2, "expected the number of an episode"),
        (
            ["store", "split", "nowhere", "--out", "o", "--shares", "1/2"],
            1,
            "nowhere is not a store",
        ),
    ],
)
def test_errors_are_one_line(capsys, monkeypatch, tmp_path, arguments, status, message):
    """A wrong call exits with 2 and a failed job with 1, with one line on standard error and no traceback."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == status
    assert out == ""
    assert message in err
    assert err.startswith("shadowbox: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "FILE: No space left on device; free some space"),
        (errno.EROFS, "FILE: Read-only file system; name a place that can be written to"),
        (errno.EMFILE, "FILE: Too many open files; allow more open files, as with: ulimit -n 1024"),
        (errno.EISDIR, "FILE: Is a directory; name a file, not a folder"),
    ],
)
def test_errors_of_the_system_are_words(capsys, monkeypatch, path, number, message):
    """An error of the operating system is said in words, with its file and the next step."""

    def broken(self):
        raise OSError(number, os.strerror(number), "FILE")

    monkeypatch.setattr(Store, "__len__", broken)
    code, _, err = run(capsys, "store", "info", path)
    assert code == 1
    assert err.startswith(f"shadowbox: {message}")
    assert err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a system without /dev/full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_output_that_is_full(path, more):
    """Standard output on a full disk is one line of words and exit status 1."""
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [*PROGRAM, "store", "info", str(path), *more],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert answer.returncode == 1
    assert answer.stderr.startswith("shadowbox: standard output: No space left on device; ")
    assert answer.stderr.count("\n") == 1


def test_every_number_and_path_follows_one_rule():
    """Numbers of every command are bounded to 64 bits and not negative; an empty path is refused."""
    for command, option in _options(cli.shadowbox):
        where = f"{command} {option.name}"
        if isinstance(option.type, click.types.IntParamType):
            assert isinstance(option.type, click.IntRange), where
            assert option.type.min is not None, where
            assert option.type.min >= 0, where
            assert option.type.max is not None, where
            assert option.type.max < 2**63, where
        if isinstance(option.type, click.Path):
            with pytest.raises(click.BadParameter, match=r"is empty|does not exist"):
                option.type.convert("", option, None)


def _options(command, name=""):
    """Options and arguments of a command and of those below it."""
    for option in command.params:
        yield name, option
    if isinstance(command, click.Group):
        for each in command.list_commands(None):
            yield from _options(command.get_command(None, each), f"{name} {each}")


def test_files_that_cannot_be_written(capsys, monkeypatch, path, tmp_path):
    """A page that is a folder, or an empty name, is refused in one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for out, status, message in (("", 2, "the path is empty"), (tmp_path, 1, "name a file")):
        code, _, err = run(capsys, "view", f"{path}#0", "--out", out)
        assert (code, message in err) == (status, True), err
        assert "Shadowbox itself" not in err
    code, _, err = run(capsys, "record", ".:x", "--p0", "a", "--p1", "b", "--out", "q")
    assert (code, "'.' cannot be the name of a module" in err) == (2, True)
    assert sorted(tmp_path.iterdir()) == before
    code, out, _ = run(capsys, "view", f"{path}#0", "--out", "/dev/null", "--json")
    assert (code, json.loads(out)["out"]) == (0, "/dev/null")


def test_errors_with_json(capsys):
    """With --json an error is the one object on standard output, too."""
    code, out, err = run(capsys, "audit", "nowhere", "--json")
    assert code == 1
    assert json.loads(out) == {"error": err.removeprefix("shadowbox: ").strip(), "exit": 1}


def test_an_interrupt_in_compiled_code_is_an_interrupt(capsys, monkeypatch, path):
    """A compiled function turns Ctrl-C into a SystemError; the command still ends as stopped."""

    def interrupted(self):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise SystemError("returned a result with an exception set") from stop

    monkeypatch.setattr(Store, "__len__", interrupted)
    assert run(capsys, "store", "info", path)[::2] == (130, "shadowbox: stopped\n")


def test_a_traceback_only_with_debug(capsys, monkeypatch, path):
    """An error of the program itself is one line that names --debug.

    With it the traceback is shown.
    """

    def broken(self):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "__len__", broken)
    code, _, err = run(capsys, "store", "info", path)
    assert code == 1
    assert (
        err
        == "shadowbox: an error of Shadowbox itself: ZeroDivisionError: a bug; --debug shows where\n"
    )
    _, _, err = run(capsys, "--debug", "store", "info", path)
    assert "Traceback" in err


def test_audit_in_words_as_json_and_as_a_page(capsys, path, tmp_path):
    """`audit` prints a table, one JSON object with --json, and with --html writes a page.

    All say the same numbers.
    """
    code, out, _ = run(capsys, "audit", path, "--verify", "--html", tmp_path / "deep" / "a.html")
    assert code == 0
    assert "8 episodes, 240 frames of toy" in out.splitlines()[-2]
    assert "every file verified" in out
    _, short, _ = run(capsys, "audit", path, "--brief")
    assert "pad/a[0]" in short
    assert "player/x" not in short
    assert short.splitlines()[-1] in out.replace(", every file verified", "")
    code, out, _ = run(capsys, "audit", path, "--json")
    facts = json.loads(out)
    assert (facts["episodes"], facts["frames"], facts["row_bytes"]) == (
        8,
        240,
        TOY.row_dtype.itemsize,
    )
    assert facts["events"] == {"hit": 40}
    page = (tmp_path / "deep" / "a.html").read_text()
    assert facts["fingerprint"] in page
    assert "verified" in page


def test_audit_verify_fails_on_damage(capsys, path):
    """`audit --verify` on a damaged store fails with the shard and the episode, as the only output."""
    rows = next(path.glob("*.rows.npy"))
    data = bytearray(rows.read_bytes())
    data[-1 - TOY.row_dtype.itemsize] ^= 1
    rows.write_bytes(data)
    code, out, err = run(capsys, "audit", path, "--verify")
    assert (code, out) == (1, "")
    assert f"{rows} is damaged (its digest differs): episode 7" in err


def test_store_info(capsys, path):
    """`store info` describes a store, or one episode with its metadata."""
    code, out, _ = run(capsys, "store", "info", path, "--json")
    assert code == 0
    assert json.loads(out)["episodes"] == 8
    _, out, _ = run(capsys, "store", "info", f"{path}#4", "--json")
    assert json.loads(out)["player"] == "p1"
    _, out, _ = run(capsys, "store", "info", path)
    assert "fingerprint" in out


def test_store_merge_split_drop_export(capsys, path, tmp_path):
    """The store commands do on the command line what they say, and report what they did."""
    code, out, _ = run(
        capsys, "store", "merge", path, path, "--out", tmp_path / "m", "--unique", "--json"
    )
    assert (code, json.loads(out)["episodes"], json.loads(out)["left_out"]) == (0, 8, 8)
    code, out, _ = run(
        capsys,
        "store",
        "split",
        path,
        "--out",
        tmp_path / "sides",
        "--by",
        "player",
        "--shares",
        "50/50/0",
        "--json",
    )
    counts = json.loads(out)
    assert counts["train"] + counts["val"] == 8
    assert counts["test"] == 0
    code, out, _ = run(capsys, "store", "drop", f"{tmp_path / 'm'}#0", f"{tmp_path / 'm'}#5")
    assert (code, len(Store(tmp_path / "m"))) == (0, 6)
    code, out, _ = run(capsys, "store", "export", f"{path}#3", "--out", tmp_path / "e.npz")
    assert code == 0
    np.testing.assert_array_equal(
        np.load(tmp_path / "e.npz")["player/x"], Store(path).episode(3).columns["player/x"]
    )


def test_a_pipe_that_closes_is_no_error(path):
    """`shadowbox audit STORE | head -1` ends quietly, although the rest of its output is never read."""
    with subprocess.Popen(
        [*PROGRAM, "audit", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_game_of_ones_own(path, tmp_path):
    """`games module:NAME` describes a game that lies outside the package."""
    (tmp_path / "mine.py").write_text(
        "from shadowbox.core.game import Game\nfrom shadowbox.core.schema import *\n"
        "GAME = Game(name='mine', title='a game of mine', schema=Schema('mine', 30, (), "
        "Group('keys', (Flag('go', doc='forward'),), per='player')))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(
        [*PROGRAM, "games", "mine:GAME"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    assert "keys/go" in answer.stdout
    assert "forward" in answer.stdout
