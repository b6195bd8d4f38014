"""Attack on everything that reads files of others: mutated replays, stores and checkpoints.

    python tests/attack/attack.py                       # the full counts
    python tests/attack/attack.py --replays 50 --stores 20 --checkpoints 0 --seed 3
    python tests/attack/attack.py --only stores:123     # one case again, with its traceback

Each case is a good file or folder, mutated from a seed, and then read as commands and pages do. It
may be read or refused by an error of the family in `shadowbox.errors`. Any other exception is an
escape, more than `--limit` seconds a hang, and memory beyond `LARGEST` a MemoryError, an escape too.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE), str(HERE.parent / "games" / "melee")]

from mutations import bits, disturb, length, spans  # noqa: E402

GOLDEN = HERE.parent / "golden" / "0.1.0"
COUNTS = {"replays": 2000, "stores": 1000, "checkpoints": 300}
LIMIT = 10.0  # seconds of one case
STACK = "stack.txt"  # file for the place in which a case hangs
LARGEST = 3 << 30  # bytes of address space beyond those of the start
STORE_FILES = ("manifest.json",) * 6 + tuple(
    f"00000.{part}" for part in ("rows.npy", "episodes.npy", "events.npy", "meta.jsonl")
)
STEP = "checkpoints/00000020"
RUN_FILES = (
    *(f"{STEP}/config.json",) * 5,
    *(f"{STEP}/schema.json",) * 4,
    *(f"{STEP}/model.safetensors",) * 4,
    *(f"{STEP}/{name}" for name in ("done", "trainer.pt", "evaluation.json")),
    *("run.json", "run.json", "metrics.jsonl", "events.jsonl", "latest", "best"),
)


# ---- the cases -----------------------------------------------------------------------------------


class Replays:
    """Mutated replays of every age, read as `ingest` does."""

    def __init__(self, folder):
        from made_matches import content
        from made_replays import made

        from shadowbox.games.melee import slp

        versions = ((0, 1, 0), (1, 4, 0), (2, 0, 1), (3, 7, 0), slp.NEWEST)
        more = {"frames": 140, "rollbacks": 4}
        self.bases = [slp.write(made(version, **more, seed=3)) for version in versions]
        # random rows are refused for their values; these are not
        self.bases += [content(120, seed=seed, items=((0, 5, 60, 1, 0),)) for seed in range(9)]
        self.folder = folder

    def warm_up(self):
        """Nothing is compiled."""

    def attempt(self, draws):
        """Read one: its content as it came, then through a file of an odd kind now and then."""
        from shadowbox.core.episode import check
        from shadowbox.games.melee import GAME
        from shadowbox.games.melee.replay import read

        data = draws.choice(self.bases)
        for _ in range(draws.choice((1, 1, 1, 2, 3))):
            data = draws.choice((bits, bits, length, spans))(data, draws)
        for at, episode in enumerate(read(data, "mutated.slp", complete=draws.random() < 0.2)):
            check(episode, GAME.schema, f"episode {at}", GAME.event_kinds)
            GAME.schema.pack(episode.columns)
            json.dumps(dict(episode.meta), allow_nan=False)


class Stores:
    """Mutated stores, read as the commands and the pages of matches do."""

    def __init__(self, folder):
        self.folder = folder

    def attempt(self, draws):
        """Disturb a copy, and call a few of its readers."""
        path = self.folder / "store"
        copied(GOLDEN / "data" / "golden", path)
        disturb(path, draws, STORE_FILES)
        attempts(draws.sample(self.calls(draws), 4))

    def warm_up(self):
        """Every reader once, with a good store; none of them may fail."""
        copied(GOLDEN / "data" / "golden", self.folder / "store")
        attempts(self.calls(random.Random(0)))

    def calls(self, draws):
        """The readers of a store."""
        from shadowbox.games import load

        path, game = self.folder / "store", load("brawl")
        return (
            lambda: command("audit", path),
            lambda: command("audit", path, "--verify"),
            lambda: [command("store", "info", f"{path}{part}") for part in ("", "#0", "#4")],
            lambda: command("store", "merge", path, "--out", self.folder / "merged"),
            lambda: command("store", "split", path, "--out", self.folder / "split", "--by", "seed"),
            lambda: command("store", "drop", f"{path}#1"),
            lambda: command("store", "export", path, "--out", self.folder / "out.npz"),
            lambda: command("view", f"{path}#{draws.randrange(5)}", "--out", self.folder / "m.html"),
            lambda: plays(f"replay:{path}#0"),
            lambda: pages_of_store(game, path),
            lambda: command("train", path, "--out", self.folder / "run", "--steps", "1", "--preset",
                            "tiny", "--length", "16", "--shares", "60/40/0", "--set", "batch=4",
                            "--set", "device=cpu"),
        )  # fmt: skip


class Checkpoints:
    """Mutated runs and checkpoints, read as the commands and the pages of runs do."""

    def __init__(self, folder):
        self.folder = folder

    def attempt(self, draws):
        """Disturb a copy, and call a few of its readers."""
        run = self.folder / "runs" / "golden" / "0"
        copied(GOLDEN / "runs" / "golden" / "0", run)
        disturb(run, draws, RUN_FILES)
        attempts(draws.sample(self.calls(draws), 3))

    def warm_up(self):
        """Every reader once, with a good run; none of them may fail."""
        copied(GOLDEN / "runs" / "golden" / "0", self.folder / "runs" / "golden" / "0")
        attempts(self.calls(random.Random(0)))

    def calls(self, draws):
        """The readers of a run."""
        run = self.folder / "runs" / "golden" / "0"
        store, checkpoint = GOLDEN / "data" / "golden", run / STEP
        return (
            lambda: plays(f"policy:{run}"),
            lambda: plays(f"policy:{checkpoint}@0.5"),
            lambda: command("eval", run, "--probe", f"{store}#0:20"),
            lambda: command("report", run, "--out", self.folder / "r.html", "--no-match"),
            lambda: trainer_state(run),
            lambda: command("migrate", run),
            lambda: pages_of_runs(self.folder / "runs"),
        )  # fmt: skip


KINDS = {"replays": Replays, "stores": Stores, "checkpoints": Checkpoints}


# ---- the readers ---------------------------------------------------------------------------------


def command(*words):
    """Call a command in this process; its errors come as exceptions."""
    from shadowbox.cli import shadowbox

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            shadowbox.main([str(word) for word in words], standalone_mode=False)
        except SystemExit as stop:
            if stop.code not in (0, 1, 2, 75, None):
                raise


def attempts(calls):
    """Make all calls; refusals are what is hoped for."""
    import click

    from shadowbox.errors import ShadowboxError

    refused = None
    for call in calls:
        try:
            call()
        except (ShadowboxError, click.ClickException) as error:
            str(error).encode()
            refused = error
    if refused is not None:
        raise refused


def pages_of_store(game, path):
    """The list of matches, the page of one, and its data as JSON."""
    from shadowbox.web import stored

    site = site_of(game, stores=(path,))
    attempts(
        (
            lambda: stored.matches(site, None, 0),
            lambda: stored.match(site, 0, 0),
            lambda: json.dumps(stored.match_data(site, 0, 2), allow_nan=False),
            lambda: stored.match_file(site, 0, 3),
        )
    )


def pages_of_runs(folder):
    """The list of runs, the page of one, its news, and the arena, which lists trained policies."""
    from shadowbox.games import load
    from shadowbox.web import pages, runs
    from shadowbox.web.runlog import log_cache

    site = site_of(load("brawl"), runs=folder)
    attempts(
        (
            lambda: runs.runs(site),
            lambda: runs.run(site, "golden/0"),
            lambda: runs.compare(site, ["golden/0"]),
            lambda: json.dumps(runs.news(site, log_cache(), "golden/0", -1, -1), allow_nan=False),
            lambda: pages.arena(site, {}),
        )
    )


def site_of(game, **folders):
    """A site with these folders and nothing else."""
    from shadowbox.web.site import Site

    nowhere = dict.fromkeys(("out", "tournaments", "runs", "cards"), Path("nowhere"))
    return Site(game=game, known=lambda name: game if name == game.name else None,
                **{**nowhere, **folders})  # fmt: skip


def plays(spec):
    """A few decisions of an agent in brawl."""
    import numpy as np

    from shadowbox.games import load
    from shadowbox.play import specs

    game = load("brawl")
    agent = specs.agent(spec, game)
    state = agent.start(np.arange(2), np.zeros(2, np.int64))
    for _ in range(3):
        _, state = agent.act(game.schema.neutral(2), state)


def trainer_state(run):
    """The state from which a run is resumed, and its log."""
    from shadowbox.model import checkpoint
    from shadowbox.train import log

    checkpoint.load(checkpoint.find_checkpoint(f"{run}@latest")).trainer()
    log.truncate_log(run, 10)


def copied(source, target):
    """A fresh copy of a folder."""
    shutil.rmtree(target.parent, ignore_errors=True)
    shutil.copytree(source, target)


# ---- the watch -----------------------------------------------------------------------------------


def outcome_of(work, draws):
    """`read`, `refused` or `escaped`, and the words of an error."""
    import click

    from shadowbox.errors import ShadowboxError

    try:
        work.attempt(draws)
    except (ShadowboxError, click.ClickException) as error:
        return "refused", f"{type(error).__name__}: {error}"
    except BaseException:
        return "escaped", traceback.format_exc()
    return "read", ""


def in_child(kind, seed, first, count, folder, pipe):
    """Attempt cases from `first` on; a line before and after each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.register(signal.SIGUSR1, file=(folder.parent / STACK).open("w"))
    warnings.simplefilter("ignore")
    work = KINDS[kind](folder)
    work.warm_up()  # imports and compiles what all cases share
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LARGEST, used + LARGEST))
    for number in range(first, count):
        os.write(pipe, json.dumps({"begins": number}).encode() + b"\n")
        began = time.process_time()
        outcome, words = outcome_of(work, random.Random(f"{seed}:{kind}:{number}"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line = {"number": number, "outcome": outcome, "words": words[-3000:], "peak": peak}
        line["cpu_s"] = time.process_time() - began
        os.write(pipe, json.dumps(line).encode() + b"\n")


def attack(kind, count, seed=0, limit=LIMIT, folder=None):
    """Report of `count` cases: outcomes, escapes and hangs with their numbers, peak memory."""
    found = {"outcomes": Counter(), "escaped": {}, "hung": {}, "peak": 0, "slowest": 0.0}
    place = Path(tempfile.mkdtemp(prefix="attack-", dir=folder))
    first = 0
    try:
        while first < count:
            first = _watch(kind, count, seed, limit, place, first, found)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return found


def _watch(kind, count, seed, limit, place, first, found):
    """Follow one child until it ends; the case with which another child begins."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.chdir(place)
        try:
            in_child(kind, seed, first, count, place / "work", writing)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    current, began, rest, hung = None, time.monotonic(), b"", False
    used = _cpu_of(child)
    while True:
        ready, _, _ = select.select([reading], [], [], 0.5)
        if not ready:
            # a busy machine may keep a case waiting: time counts that it works, or only sleeps
            works, sleeps = _cpu_of(child) - used, time.monotonic() - began
            most = 6 * limit if current is None else limit
            hung = works > most or (sleeps > most and _state_of(child) in "SD")
            if hung:
                break
            continue
        if not (data := os.read(reading, 1 << 16)):
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in map(json.loads, lines):
            if "begins" in line:
                current, began, used = line["begins"], time.monotonic(), _cpu_of(child)
                continue
            found["outcomes"][line["outcome"]] += 1
            found["peak"] = max(found["peak"], line["peak"])
            found["slowest"] = max(found["slowest"], line["cpu_s"])
            if line["outcome"] == "escaped":
                found["escaped"][line["number"]] = line["words"]
            first, current = line["number"] + 1, None
    with contextlib.suppress(ProcessLookupError):
        if hung:
            os.kill(child, signal.SIGUSR1)
            time.sleep(0.2)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if first >= count:
        return count
    stuck = first if current is None else current
    if hung:
        found["hung"][stuck] = (place / STACK).read_text()
    else:
        found["escaped"][stuck] = f"the process died with status {status}"
    return stuck + 1


def _cpu_of(process):
    """CPU seconds of a process, and its state: R runs or waits for a core, S and D sleep."""
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _state_of(process):
    return _stat(process)[0]


def _stat(process):
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()


def again(kind, number, seed):
    """One case in this process, with its traceback."""
    place = Path(tempfile.mkdtemp(prefix="attack-"))
    print(f"in {place}")
    os.chdir(place)
    print(
        *outcome_of(KINDS[kind](place / "work"), random.Random(f"{seed}:{kind}:{number}")), sep="\n"
    )


def main():
    """Run the attack; exit 1 if anything escaped or hung."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"[default: {count}]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of one case")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one case again")
    chosen = parser.parse_args()
    if chosen.only:
        kind, _, number = chosen.only.partition(":")
        again(kind, int(number), chosen.seed)
        return
    bad = 0
    for kind in KINDS:
        found = attack(kind, getattr(chosen, kind), chosen.seed, chosen.limit)
        bad += len(found["escaped"]) + len(found["hung"])
        for what in ("escaped", "hung"):
            for number, words in found[what].items():
                print(f"{kind}:{number} {what}\n{words}")
        counts = ", ".join(f"{count} {name}" for name, count in sorted(found["outcomes"].items()))
        print(
            f"{kind}: {counts or 'none'}; {len(found['hung'])} hung; "
            f"slowest {found['slowest']:.1f} s, peak {found['peak'] / 1e6:.0f} MB",
            flush=True,
        )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
