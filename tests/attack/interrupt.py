"""Interrupts each long command at moments from its first instant on; each must end soon, in words.

    python tests/attack/interrupt.py                        # every command at 20 moments
    python tests/attack/interrupt.py --moments 3 --only record train

The moments are spread over the time in which the command starts and works. A command must end
within `--limit` seconds, with status 130 or as finished, say something on standard error, and leave
no child. Before Python itself has started it can say nothing; such an end is counted apart.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
STORE = HERE.parent / "golden" / "0.1.0" / "data" / "golden"
RUN = HERE.parent / "golden" / "0.1.0" / "runs" / "golden" / "0"
SPAN, LIMIT = 6.0, 5.0  # seconds over which the moments are spread; until the end
COMMANDS = {
    "record": "record brawl --p0 based --p1 expert --matches 500 --out OUT",
    "tournament": "tournament brawl based expert tapper --matches 4000 --workers 2 --out OUT.jsonl",
    "train": f"train {STORE} --out OUT --preset tiny --length 16 --shares 60/40/0 --steps 100000 "
    "--set batch=4 --set device=cpu",
    "eval": f"eval {RUN} {STORE} --side all --matches 40",
    "serve": "serve --port 0",
    "bench": "bench sim",
}


def interrupted(words, moment, number, limit):
    """Seconds until the end, what is wrong with it, and whether it came before Python's start."""
    command = [sys.executable, "-m", "shadowbox", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(moment)
    if process.poll() is not None:
        process.communicate()
        return (
            0.0,
            "" if process.returncode == 0 else f"ended by itself: {process.returncode}",
            False,
        )
    children = descendants(process.pid)
    process.send_signal(number)
    began = time.monotonic()
    try:
        _, said = process.communicate(timeout=4 * limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 4 * limit, "does not end", False
    took, said = time.monotonic() - began, said.decode()
    time.sleep(1)  # workers look after their parent
    left = [child for child in children if Path(f"/proc/{child}/exe").exists()]  # no zombies
    early = process.returncode == -number or "site.py" in said
    wrong = [
        f"took {took:.1f} s" if took > limit else "",
        "" if early or process.returncode in (0, 130) else f"status {process.returncode}",
        "a traceback" if "Traceback" in said and not early else "",
        "" if early or said.strip() or process.returncode == 0 else "no word",
        f"left {left}" if left else "",
    ]
    return took, "; ".join(filter(None, wrong)), early


def descendants(process):
    """Processes below this one."""
    path = Path(f"/proc/{process}/task/{process}/children")
    own = [int(child) for child in path.read_text().split()] if path.exists() else []
    return own + [each for child in own for each in descendants(child)]


def main():
    """Interrupt the commands; exit 1 if one of them does not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--span", type=float, default=SPAN, help="seconds over which they spread")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds until the end")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    chosen = parser.parse_args()
    bad = 0
    for name in chosen.only:
        slowest, early = 0.0, 0
        for at in range(chosen.moments):
            moment = chosen.span * at / max(chosen.moments - 1, 1)
            number = (signal.SIGINT, signal.SIGTERM)[at % 2]
            with tempfile.TemporaryDirectory(prefix="interrupt-") as folder:
                words = COMMANDS[name].replace("OUT", f"{folder}/out").split()
                took, wrong, before = interrupted(words, moment, number, chosen.limit)
            slowest, early = max(slowest, took), early + before
            if wrong:
                bad += 1
                print(f"{name}, {signal.Signals(number).name} after {moment:.2f} s: {wrong}")
        print(
            f"{name}: {chosen.moments} moments, slowest {slowest:.1f} s, {early} before the start"
        )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
