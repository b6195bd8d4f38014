"""Differences between systems are handled in core/system.py alone, which works on all of them."""

from __future__ import annotations

import ast
import ctypes
import errno
import logging
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import shadowbox
from shadowbox.core import system

SOURCES = sorted(Path(shadowbox.__file__).parent.rglob("*.py"))
ROOT = Path(__file__).parents[2]
OF_ONE_SYSTEM = {"fcntl", "resource", "msvcrt", "winreg", "pwd", "grp", "termios", "tty", "pty"}
OF_POSIX = {
    "os": {"fork", "pread", "pwrite", "sysconf", "uname", "getuid", "geteuid", "mkfifo", "killpg",
           "sched_getaffinity", "link", "rename", "replace", "O_DIRECTORY", "O_NOFOLLOW"},
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE", "alarm"},
}  # fmt: skip


def trees(paths):
    """Each file's name and what it says."""
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def imported(node):
    """Names of modules that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()


def test_one_module_knows_the_system():
    """Modules and functions of one system only are used in core/system.py alone."""
    found = []
    for path, tree in trees(SOURCES):
        if path.name == "system.py":
            continue
        for node in ast.walk(tree):
            if imported(node) & OF_ONE_SYSTEM:
                found.append(f"{path.name}:{node.lineno}: {imported(node)}")
            module = getattr(getattr(node, "value", None), "id", "")
            if isinstance(node, ast.Attribute) and node.attr in OF_POSIX.get(module, ()):
                found.append(f"{path.name}:{node.lineno}: {module}.{node.attr}")
            if isinstance(node, ast.Constant) and str(node.value).startswith(("/proc/", "/dev/")):
                allowed = path.name == "scale.py"  # says that it needs Linux
                found += [] if allowed else [f"{path.name}:{node.lineno}: {node.value}"]
    assert not found


def test_text_files_say_their_encoding():
    """Every text file is opened with an encoding, since Windows has a regional default."""
    found = []
    for path, tree in trees([*SOURCES, *ROOT.glob("demo/*.py"), *ROOT.glob("examples/*.py")]):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and opens_text(node) and not says_encoding(node):
                found.append(f"{path.name}:{node.lineno}")
    assert not found


def says_encoding(call):
    """Return true if a call has the argument `encoding`."""
    return any(keyword.arg == "encoding" for keyword in call.keywords)


def opens_text(call):
    """Return true if a call reads or writes text: `open` without b, or a process with text=True."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        return True
    if name in ("run", "Popen", "check_output"):
        return any(keyword.arg in ("text", "universal_newlines") for keyword in call.keywords)
    if not isinstance(call.func, ast.Name) or name != "open":
        return False
    mode = call.args[1] if len(call.args) > 1 else None
    mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), mode)
    return mode is None or "b" not in ast.literal_eval(mode)


@pytest.fixture
def windows(monkeypatch):
    """The module as on Windows: no `fcntl`, no `resource`, a `msvcrt` whose locks are kept here."""
    locks = {}

    def locking(handle, mode, count):
        key = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
        if mode == 0:
            assert locks.pop(key) == handle
        elif locks.setdefault(key, handle) != handle:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(system, "_fcntl", None)
    monkeypatch.setattr(system, "_resource", None)
    monkeypatch.setattr(system, "_msvcrt", SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking))
    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(system, "PAUSE_S", 0)
    return locks


def test_a_lock_leaves_the_text_readable(windows, tmp_path):
    """The locked byte is behind the text of the file, whose position stays; unlocking frees it."""
    path = tmp_path / "lock"
    path.write_bytes(b"pid 7")
    with open(path, "r+b") as one, open(path, "r+b") as other:
        one.seek(3)
        system.lock(one.fileno())
        assert one.tell() == 3
        ((_, at),) = windows
        assert at == system.LOCKED_BYTE > path.stat().st_size
        with pytest.raises(BlockingIOError):
            system.lock(other.fileno())
        system.unlock(one.fileno())
        system.lock(other.fileno())


def test_a_file_system_without_locks_is_another_error(windows, monkeypatch, tmp_path):
    """Only a refused lock means another process; other errors of locking pass through."""

    def locking(handle, mode, count):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(system._msvcrt, "locking", locking)
    with open(tmp_path / "lock", "wb") as file, pytest.raises(OSError, match="Invalid") as refused:
        system.lock(file.fileno())
    assert not isinstance(refused.value, BlockingIOError)


def test_without_any_locks_it_is_said(monkeypatch, tmp_path, caplog):
    """A system with neither kind of lock gives a warning, and work continues."""
    monkeypatch.setattr(system, "_fcntl", None)
    monkeypatch.setattr(system, "_msvcrt", None)
    monkeypatch.setattr(system, "WINDOWS", False)
    with open(tmp_path / "lock", "wb") as file, caplog.at_level(logging.WARNING):
        system.lock(file.fileno())
        system.unlock(file.fileno())
    assert "no file locks" in caplog.text


@pytest.mark.parametrize(("refusals", "tries"), [(3, 4), (1000, system.TRIES)])
def test_a_rename_waits_for_a_reader(windows, monkeypatch, tmp_path, refusals, tries):
    """Replacing an open file on Windows is tried for a while, then the error says what to do."""
    calls = []
    rename = os.replace

    def replace(source, target):
        calls.append(target)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, "Access is denied")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "new").write_bytes(b"new")
    if refusals < system.TRIES:
        system.replace(tmp_path / "new", tmp_path / "old")
        assert (tmp_path / "old").read_bytes() == b"new"
    else:
        with pytest.raises(PermissionError, match="another program has it open: close"):
            system.replace(tmp_path / "new", tmp_path / "old")
    assert len(calls) == tries


def test_elsewhere_a_rename_is_refused_at_once(monkeypatch, tmp_path):
    """On other systems a refusal is about permissions, is not tried again, and stays as it is."""
    calls = []

    def replace(source, target):
        calls.append(target)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(system, "WINDOWS", False)
    with pytest.raises(PermissionError, match="Permission denied"):
        system.replace(tmp_path / "new", tmp_path / "old")
    assert len(calls) == 1


def test_a_file_in_use_is_left(windows, monkeypatch, tmp_path):
    """`discard` leaves a file that Windows keeps, removes others, and needs none."""
    (tmp_path / "a").write_bytes(b"a")
    assert system.discard(tmp_path / "a")
    assert system.discard(tmp_path / "a")

    def unlink(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "unlink", unlink)
    assert not system.discard(tmp_path / "b")
    monkeypatch.setattr(system, "WINDOWS", False)
    with pytest.raises(PermissionError):
        system.discard(tmp_path / "b")


def test_folders_are_not_synced_on_windows(windows, monkeypatch, tmp_path):
    """Windows opens no folder, so none is tried; elsewhere it is opened once."""
    opened, usual = [], os.open
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(1) or usual(*arguments))
    system.sync_folder(tmp_path)
    assert opened == []
    monkeypatch.setattr(system, "WINDOWS", False)
    system.sync_folder(tmp_path)
    assert opened == [1]


def test_a_copy_where_links_are_not_possible(monkeypatch, tmp_path):
    """A file system without hard links gets a copy."""

    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    (tmp_path / "a").write_bytes(b"content")
    system.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino
    monkeypatch.setattr(os, "link", link)
    system.link(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"content"
    assert (tmp_path / "c").stat().st_ino != (tmp_path / "a").stat().st_ino


def test_memory_here():
    """The machine's memory is more than this process ever held, which grows with what it holds."""
    code = (
        "from shadowbox.core import system; before = system.peak_memory(); "
        "held = b'x' * (before + (64 << 20)); print(before, system.peak_memory())"
    )  # a peak is inherited through fork and exec, so more than that is held
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    before, after = map(int, answer.stdout.split())
    assert before < after < system.memory()
    assert after > 64 << 20


def test_memory_on_windows(windows, monkeypatch):
    """Windows is asked by kernel32 and psapi; a refusal, and a system without either, is None."""
    answer = 1

    def fill(record, size):
        if answer:
            assert struct.unpack_from("<I", record)[0] == size == len(record)
            struct.pack_into("<Q", record, 8, 5 << 30)
        return answer

    def process_memory(process, record, size):
        assert process.value == 2**64 - 1  # the pseudo handle of the own process
        return fill(record, size.value)

    libraries = {
        "kernel32": SimpleNamespace(
            GlobalMemoryStatusEx=lambda record: fill(record, 64), GetCurrentProcess=OwnProcess()
        ),
        "psapi": SimpleNamespace(GetProcessMemoryInfo=process_memory),
    }
    monkeypatch.delattr(os, "sysconf", raising=False)
    monkeypatch.delattr(ctypes, "WinDLL", raising=False)
    assert (system.memory(), system.peak_memory(), system.children_cpu_s()) == (None, None, None)
    monkeypatch.setattr(ctypes, "WinDLL", libraries.get, raising=False)
    assert system.memory() == system.peak_memory() == 5 << 30
    answer = 0
    assert (system.memory(), system.peak_memory()) == (None, None)


class OwnProcess:
    """`GetCurrentProcess`, whose answer has as many bits as its type says."""

    restype = ctypes.c_int

    def __call__(self):
        return self.restype(-1).value


def test_processors(monkeypatch, tmp_path):
    """Cores are those that this process may use, or else all of the machine."""
    assert 1 <= system.cores() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert system.cores() == os.cpu_count()
    assert system.processor()
    monkeypatch.setattr(system, "CPUINFO", tmp_path / "nothing")
    assert system.processor()


@pytest.mark.parametrize(
    ("platform", "threads", "method"),
    [("linux", 1, "fork"), ("linux", 2, "spawn"), ("darwin", 1, "spawn"), ("win32", 1, "spawn")],
)
def test_start_methods(monkeypatch, platform, threads, method):
    """Workers are forked on Linux from a process of one thread and spawned everywhere else."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "fork", None, raising=False)
    assert system.start_method(threads) == method


def test_a_command_to_paste(windows, monkeypatch):
    """Words with spaces are quoted as the system's shell wants."""
    assert system.command_line(["a", r"C:\my runs\x"]) == r'a "C:\my runs\x"'
    monkeypatch.setattr(system, "WINDOWS", False)
    assert system.command_line(["a", "my runs"]) == "a 'my runs'"


def test_letters_that_a_pipe_lacks(tmp_path):
    """A pipe of another alphabet gets a question mark for a letter that it lacks, and no error."""
    (tmp_path / "mine.py").write_text(
        "from shadowbox.core.game import Game\nfrom shadowbox.core.schema import *\n"
        "GAME = Game(name='mine', title='J\\xe9r\\xf4me \\u2713', schema=Schema('mine', 30, (), "
        "Group('keys', (Flag('go'),), per='player')))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "shadowbox", "games", "mine:GAME"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"J?r?me ?" in done.stdout
