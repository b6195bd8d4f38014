"""Interrupts each long command at moments from its first instant on; each must end soon, in words.

    python tests/attack/interrupt.py                        # every command at 20 moments
    python tests/attack/interrupt.py --moments 3 --only record train

The moments are spread over the time on a processor in which a command starts and works. SIGINT goes
to all its processes, as Ctrl-C does, SIGTERM to the command alone. A command must end within
`--limit` seconds, with the status of its signal or as finished, say something on standard error
without a traceback, and leave no process. Before Python itself has started it can say nothing; such
an end is counted apart. Where other work keeps the machine busy, the limit is as many times longer as
there are processes for each core; the seconds on a processor beside it do not depend on that.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "0.1.0"
RUN = GOLDEN / "runs" / "golden" / "0"
CARDS = HERE.parent.parent / "cards"
SHADOWBOX = [sys.executable, "-m", "shadowbox"]
SPAN, LIMIT = 8.0, 5.0  # seconds over which the moments are spread; until the end
GONE = 2.0  # seconds after which no process of a command may be left
IDLE = 2.0  # seconds of sleep after which a command only waits
TRAIN = "--preset tiny --length 16 --steps 100000 --set batch=4 --set device=cpu"
COMMANDS = {  # name: words; OUT is a new path, other words in capitals are made by `material`
    "record": "record brawl --p0 based --p1 expert --matches 2000 --out OUT",
    "record gym": "record gym:CartPole-v1 --matches 100000 --out OUT",
    "ingest": "ingest melee REPLAYS --out OUT",
    "ingest, 2 workers": "ingest melee REPLAYS --workers 2 --out OUT",
    "train": f"train {GOLDEN}/data/golden --out OUT --shares 60/40/0 {TRAIN}",
    "train, large store": f"train STORE --out OUT {TRAIN}",
    "run": "run CARD --runs OUT --keep-card",
    "run selfplay": f"run {CARDS}/brawl-selfplay-small.md --runs OUT --keep-card",
    "tournament": "tournament brawl based expert tapper --matches 4000 --workers 2 --out OUT.jsonl",
    "tournament, 1 worker": "tournament brawl based expert --matches 4000 --workers 1",
    "eval": f"eval {RUN} --matches 4000",
    "eval, store": f"eval {RUN} STORE --side all --matches 400",
    "eval, calibrate": f"eval {RUN} STORE --side all --matches 400 --calibrate",
    "serve": "serve --port 0",
    "match": f"match brawl --p0 policy:{RUN} --p1 policy:{RUN} --out OUT.html",
    "store split": "store split STORE --out OUT",
    "store merge": "store merge STORE --unique --out OUT",
    "store drop": "store drop OWN#0 OWN#7",
    "store salvage": "store salvage STORE --out OUT",
    "store export": "store export STORE --out OUT.npz",
    "audit": "audit STORE --verify --html OUT.html",
    "card check": "card check CARD --no-write",
    "card estimate": "card estimate CARD --make",
    "bench sim": "bench sim --seconds 20",
    "bench env": "bench env --seconds 5",
    "bench loop": "bench loop --steps 100000",
    "bench policy": "bench policy --rounds 1000",
    "bench selfplay": "bench selfplay",
    "bench store": "bench store",
    "bench ingest": "bench ingest REPLAYS",
}
CARD = """---
card: 1
id: interrupted
goal: A card that makes its data, trains for a few seconds and judges by many matches
game: brawl
learner: imitation
preset: tiny
set:
  train: {steps: 200, batch: 4, device: cpu}
  learner: {length: 16}
data:
  store: DATA
  split: 60/40/0
  make: {record: {p0: tapper, p1: based, matches: 20, seed: 7, options: {time_limit: 120}}}
targets:
  - {metric: val/loss, op: "<", value: val/loss/copy_last, primary: true}
eval: {matches: 4000, episodes: 2}
seeds: [0]
---

# interrupted
"""


def material(folder):
    """Make a large store and many replays in `folder`, unless it holds them."""
    store, replays = folder / "store", folder / "replays"
    if not store.exists():
        words = ["record", "brawl", "--p0", "based", "--p1", "expert", "--matches", "60", "--out"]
        subprocess.run([*SHADOWBOX, *words, folder / "small"], check=True)
        merge = ["store", "merge", *[folder / "small"] * 20, "--out", store]
        subprocess.run([*SHADOWBOX, *merge], check=True)
    if not replays.exists():
        sys.path.insert(0, str(HERE.parent / "games" / "melee"))
        from made_matches import content

        replays.mkdir()
        for number in range(40):
            path = replays / f"{number}.slp"
            # in longer ones the damage would grow beyond its bound
            path.write_bytes(content(frames=2000, seed=number))
            for again in range(30):
                shutil.copyfile(path, replays / f"{number}-{again}.slp")
    return {"STORE": store, "REPLAYS": replays}


def words_of(name, made, folder):
    """Words of a command that writes into `folder` alone."""
    places = {
        **made,
        "OUT": folder / "out",
        "CARD": folder / "interrupted.md",
        "OWN": folder / "own",
    }
    text = COMMANDS[name]
    if "CARD" in text:
        places["CARD"].write_text(CARD.replace("DATA", "data"))
    if "OWN" in text:
        shutil.copytree(made["STORE"], places["OWN"], copy_function=os.link)
    for word in ("STORE", "REPLAYS", "OUT", "CARD", "OWN"):
        text = text.replace(word, str(places[word]))
    return text.split()


def interrupted(words, moment, number, limit, folder):
    """Seconds until the end, of these on a processor, faults, and whether Python had not begun."""
    with open(f"{folder}/errors.txt", "w+b") as errors:
        process = subprocess.Popen(
            [*SHADOWBOX, *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        wait_for(process, moment)
        if process.poll() is None:
            send = os.killpg if number == signal.SIGINT else os.kill
            send(process.pid, number)
        began, used, before = time.monotonic(), 0.0, cpu_seconds(process.pid)
        while process.poll() is None and time.monotonic() - began < 4 * limit * busy():
            used = max(used, cpu_seconds(process.pid) - before)
            time.sleep(0.02)
        took, hangs = time.monotonic() - began, process.poll() is None
        left = [] if hangs else session(process.pid)
        while left and time.monotonic() - began - took < GONE:
            time.sleep(0.02)
            left = session(process.pid)
        if left or hangs:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        errors.seek(0)
        said = errors.read().decode()
    early = process.returncode == -number or "site.py" in said
    faults = {
        f"took {took:.1f} s, {used:.1f} s on a processor": took > limit * busy(),
        f"status {process.returncode}": process.returncode not in (0, 128 + number, 130),
        "a traceback": "Traceback" in said,
        "no word": not said.strip() and process.returncode != 0,
    }
    found = [fault for fault, there in faults.items() if there and not early]
    if left:
        found.append(f"left {left}")
    return took, used, "; ".join([*found, said.strip()[-2000:]]) if found else "", early


def busy():
    """Processes that want a core of this machine, for each core; at least 1."""
    return max(1.0, os.getloadavg()[0] / os.cpu_count())


def wait_for(process, moment):
    """Wait until a command has worked for `moment` seconds, ends, or sleeps for `IDLE` seconds."""
    used, changed = -1.0, time.monotonic()
    while process.poll() is None:
        now = cpu_seconds(process.pid)
        if now >= moment or time.monotonic() - changed > IDLE:
            return
        if now != used or status(process.pid)[:1] != ["S"]:
            used, changed = now, time.monotonic()
        time.sleep(0.01)


def cpu_seconds(process):
    """Seconds that a process has worked, with its children that ended; 0 once it has ended."""
    return sum(map(int, status(process)[11:15])) / os.sysconf("SC_CLK_TCK")


def status(process):
    """What Linux says of a process, from its state on; empty once it has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def session(leader):
    """Processes of a session that run, with what each does."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        fields = status(path.name)  # state, parent, group, session, ...
        if fields and int(fields[3]) == leader and fields[0] != "Z":
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(f"{path.name} {words.decode()[:120]}")
    return found


def attack(name, made, chosen):
    """Interrupt one command at every moment; its line of the table, and its failures."""
    slowest, most, early, bad = 0.0, 0.0, 0, 0
    for at in range(chosen.moments):
        moment = chosen.span * at / max(chosen.moments - 1, 1)
        number = (signal.SIGINT, signal.SIGTERM)[at % 2]
        with tempfile.TemporaryDirectory(prefix="interrupt-", dir=made["STORE"].parent) as folder:
            words = words_of(name, made, Path(folder))
            took, used, wrong, before = interrupted(words, moment, number, chosen.limit, folder)
        slowest, most, early = max(slowest, took), max(most, used), early + before
        if wrong:
            bad += 1
            print(f"{name}, {signal.Signals(number).name} after {moment:.2f} s: {wrong}")
    line = f"{name:22} {slowest:9.1f} {most:7.1f} {early:9} {bad:9}"
    print(line, flush=True)
    return line, bad


def main():
    """Interrupt the commands; exit 1 if one of them does not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument(
        "--span", type=float, default=SPAN, help="seconds of work over which they spread"
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds until the end")
    parser.add_argument("--folder", type=Path, help="keep the store and the replays here")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    with tempfile.TemporaryDirectory(prefix="interrupt-") as folder:
        made = material(chosen.folder or Path(folder))
        found = [attack(name, made, chosen) for name in chosen.only]
    print(f"\n{'command':22} {'slowest s':>9} {'cpu s':>7} {'too early':>9} {'failures':>9}")
    print("\n".join(line for line, _ in found))
    sys.exit(any(bad for _, bad in found))


if __name__ == "__main__":
    main()
