"""A terminal of 80 columns in which a program runs as a person starts it, with the times of each call."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
PATIENCE = 240  # seconds of a machine that does other work as well


class Call:
    """A program that runs in a terminal of its own."""

    def __init__(self, words, folder):
        self.words, self.text, self.first_s, self.first_cpu_s = words, "", None, None
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
        environment.pop("COLUMNS", None)
        self.began, self.master = time.monotonic(), master
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=folder, env=environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def until(self, pattern):
        """Read until the text matches, and return the match; None at the end of the program."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.text)) is None and self._more():
            assert time.monotonic() < end, self.text
        return found

    def end(self):
        """Wait for the end; returns the exit status and the times."""
        self.until(r"(?!)")
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.master)
        return self.process.returncode, {
            "call": " ".join(self.words),
            "first_s": self.first_s,
            "first_cpu_s": self.first_cpu_s,
            "wall_s": round(time.monotonic() - self.began, 2),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        }

    def interrupt(self):
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """End the program now, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            os.close(self.master)

    def _more(self):
        """Read what is there; False at the end."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return True
        try:
            part = os.read(self.master, 65536)
        except OSError:  # Linux: the other side is closed
            return False
        if part and self.first_s is None:
            self.first_s = round(time.monotonic() - self.began, 2)
            self.first_cpu_s = _cpu(self.process.pid)
        self.text += CODES.sub("", part.decode(errors="replace"))
        return bool(part)


def _cpu(pid):
    """CPU seconds of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
