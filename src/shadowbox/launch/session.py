"""One session of a job inside a container: the card's run goes on, and is committed as it goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from shadowbox.cards.file import CardFile
from shadowbox.cards.front_matter import parse_setting
from shadowbox.core.files import write_whole
from shadowbox.errors import ShadowboxError, UsageError, interrupted
from shadowbox.experiment import targets
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.games import load
from shadowbox.launch.commits import PATIENCE_S, _Commits
from shadowbox.launch.spec import read_spec
from shadowbox.train import runs as prior

# beside the card, files of the working folder that its run reads
BESIDE = ("prices.yaml", "throughput.yaml")


def files_of(path: Path) -> dict[str, str]:
    """The card and the tables that its run reads, by their paths, to be written where it runs."""
    places = [path, *(Path(name) for name in BESIDE if Path(name).exists())]
    return {place.as_posix(): place.read_text(encoding="utf-8") for place in places}


def run_session(
    spec_data: Mapping[str, Any],
    files: Mapping[str, str],
    place: Path,
    commit: Callable[[], object],
    *,
    patience_s: float = PATIENCE_S,
) -> dict[str, Any]:
    """Go on with a job's run in the folder `place`, which `commit` makes last; the card's result.

    The files of the job are written first. The session ends before the job's time-out with an
    error, after which the launcher starts another one; so does a failed last commit.
    """
    spec = read_spec(spec_data)
    path, options = parse_command(spec.resume)
    commits = _Commits(commit, patience_s)
    with contextlib.chdir(place), environment(spec.environment):
        _write(files)
        wish = RunOptions(
            True,
            options.changes,
            options.unsigned,
            options.runs,
            options.keep_card,
            session_s=float(spec.timeout_s - spec.grace_s),
            after_save=commits.after_save,
        )
        try:
            result = run_card(path, load, wish)
        finally:
            commits.finish()
    if result.verdict == targets.UNFINISHED:
        raise interrupted(f"{spec.card} was interrupted; another session goes on with it")
    if result.verdict == targets.PAUSED and result.reason.startswith("timeout"):
        raise ShadowboxError(f"{spec.card}: {result.reason}; another session goes on with it")
    return result.to_json()


def parse_command(words: Sequence[str]) -> tuple[Path, RunOptions]:
    """The card and the options of a spec's command, `shadowbox run CARD ...`."""
    rest = list(words[words.index("run") + 1 :])
    path, changes, flags, runs = Path(rest.pop(0)), {}, set(), prior.RUNS
    while rest:
        word = rest.pop(0)
        if word in ("--resume", "--unsigned", "--keep-card"):
            flags.add(word)
        elif word == "--set":
            name, _, text = rest.pop(0).partition("=")
            changes[name] = parse_setting(text)
        elif word == "--runs":
            runs = Path(rest.pop(0))
        elif word == "--workers":  # they change no result
            rest.pop(0)
        else:
            raise UsageError(f"'{word}' is not an option of a job's command")
    return path, RunOptions(
        "--resume" in flags, changes, "--unsigned" in flags, runs, "--keep-card" in flags
    )


def _write(files: Mapping[str, str]) -> None:
    """Write the job's files below this folder; one that is there already keeps its results.

    A card in the folder of the job has results of earlier sessions, so it is replaced only if its
    contract is another one.
    """
    for name, text in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"'{name}' leads out of the job's folder: launch from above the card")
        target = Path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        is_card = target.exists() and target.suffix == ".md"
        if is_card and CardFile(target, text).hash == CardFile.read(target).hash:
            continue
        write_whole(target, text.encode())


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for this block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
