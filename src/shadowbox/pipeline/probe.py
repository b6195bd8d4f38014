"""Probe of a pipeline: a few recordings and a few steps, timed before anything is promised."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shadowbox.core.game import Game, stable_hash
from shadowbox.data.archives.limits import Recording
from shadowbox.data.audit import audit
from shadowbox.data.read_recordings import ReadRecording, read_recordings
from shadowbox.data.recordings import find_recordings, is_archive, recordings
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import RecordingError, UsageError
from shadowbox.pipeline.config import _PipelineConfig
from shadowbox.pipeline.inputs import LEARNERS, inputs_of

ENOUGH = 3  # recordings to read
TRIED = 30  # of which so many may be refused
STEPS = 6  # of each training; the first two are slower and are not counted
PACKED = 10.0  # bytes of recordings in a byte of an archive, until it is read
FRAMES = 12  # of a match that is timed, after as many that are not
KEY = "side"  # metadata of the probe's episodes, by which they are split
HALVES = Split(0.5, 0.5, 0.0, key=KEY)


@dataclass(frozen=True)
class _Probe:
    """Sizes and speeds that the estimate needs."""

    known: Mapping[str, Any]
    episodes: int  # expected
    frames: float
    read_s: float  # CPU-seconds of a frame
    audit_s: float
    step_s: Mapping[str, float]  # seconds of a step of each training, with its share of validations
    decision_s: Mapping[str, float]  # seconds of a decision of a step
    played_s: float  # seconds of a frame of one of the matches that are played side by side

    @property
    def frames_an_episode(self) -> float:
        """Mean length of an episode."""
        return self.frames / max(1, self.episodes)


def probe(
    game: Game,
    paths: Sequence[Path],
    pairings: Sequence[tuple[str, str, int]],
    config: _PipelineConfig,
) -> _Probe:
    """Time a sample of everything that a pipeline does."""
    with tempfile.TemporaryDirectory(prefix="shadowbox-plan-") as folder:
        place = Path(folder) / "store"
        began = time.process_time()
        if game.reader is None:
            known = _played(game, pairings, place, config)
        else:
            known = _sampled(game, paths, place, config)
        store = Store(place)
        sample = store.frames / 2  # every episode is in it twice
        read_s = (time.process_time() - began) / sample
        began = time.process_time()
        audit(store, HALVES)
        audit_s = (time.process_time() - began) / store.frames
        steps = {
            stage: _step_s(stage, game, config, store, Path(folder) / stage) for stage in LEARNERS
        }
        decisions = config.batch * config.length
        played_s = _played_s(game, config, Path(folder))
        return _Probe(
            known,
            max(2, round(known["episodes"])),
            known["frames"],
            read_s,
            audit_s,
            {stage: step + 0.15 * step for stage, step in steps.items()},
            {stage: step / decisions for stage, step in steps.items()},
            played_s,
        )


def _sampled(
    game: Game, paths: Sequence[Path], place: Path, config: _PipelineConfig
) -> dict[str, Any]:
    """Write some of the recordings, evenly spread, into a store, and expect the rest to be alike."""
    endings = game.reader_endings
    files = find_recordings(paths, endings)
    if not files:
        raise UsageError(
            f"{', '.join(map(str, paths))}: no recording of {game.name} was found there"
        )
    whole = sum(path.stat().st_size * (PACKED if is_archive(path) else 1.0) for path in files)
    options = game.reader_filters[config.filter] if config.filter else {}
    tried = accepted = nbytes = episodes = frames = 0
    refusal = ""
    with Writer(place, game.schema, event_kinds=game.event_kinds) as writer:
        for recording in islice(_spread(files, endings), TRIED):
            tried, nbytes = tried + 1, nbytes + recording.nbytes
            before = frames
            for result in read_recordings(
                recording,
                schema=game.schema,
                event_kinds=game.event_kinds,
                reader=game.reader or "",
                options=options,
            ):
                refusal = refusal or (f"{result.name}: {result.refused}" * bool(result.refused))
                episodes += result.episode is not None
                frames += _add_twice(writer, result)
            accepted += frames > before
            if accepted == ENOUGH:
                break
    if not accepted:
        raise RecordingError(f"none of {tried} recordings that were tried can be used: {refusal}")
    share = whole / max(1, nbytes)
    # small recordings hold fewer frames, but an episode like others
    number = whole / max(1, nbytes / tried) if any(map(is_archive, files)) else len(files)
    return {
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "episodes": episodes / tried * number,
        "frames": frames * share,
    }


def _spread(files: Sequence[Path], endings: Sequence[str]) -> Iterator[Recording]:
    """One recording of each file, the files evenly spread."""
    step = max(1, len(files) // TRIED)
    for at in range(step // 2, len(files), step):
        found = recordings(files[at], endings)
        yield from islice(found, ENOUGH if is_archive(files[at]) else 1)


def _add_twice(writer: Writer, result: ReadRecording) -> int:
    """Add an episode to both sides of the split; its frames, 0 where there is none."""
    if (episode := result.episode) is None:
        return 0
    for side in _sides():
        meta = {**episode.meta, KEY: side}
        writer.add_packed(episode.rows, episode.events, meta, episode.absent, episode.digest)
    return len(episode.rows) - 1


def _sides() -> tuple[str, str]:
    """A value of the key for each side of the halves."""
    first = {stable_hash(0, str(n).encode()) / 2**64 < 0.5: str(n) for n in range(64)}
    return first[True], first[False]


def _played(
    game: Game, pairings: Sequence[tuple[str, str, int]], place: Path, config: _PipelineConfig
) -> dict[str, Any]:
    """Play a match of each pairing, and expect the others to be alike."""
    from shadowbox.play import specs
    from shadowbox.play.match import play

    frames = episodes = 0.0
    with Writer(place, game.schema, event_kinds=game.event_kinds) as writer:
        for p0, p1, count in pairings:
            agents = [specs.agent(each, game) for each in (p0, p1)]
            seeds = np.array([config.seed], np.int64)
            (played,) = play(game, specs.world("", game, 1), agents, (p0, p1), seeds)
            episode = played.episode
            for side in _sides():
                writer.add(replace(episode, meta={**episode.meta, KEY: side}))
            frames, episodes = frames + count * episode.frames, episodes + count
    return {"matches": episodes, "episodes": episodes, "frames": frames}


def _step_s(stage: str, game: Game, config: _PipelineConfig, store: Store, run: Path) -> float:
    """Seconds of a step of a training."""
    from shadowbox.learners.registry import learner_spec
    from shadowbox.train.log import METRICS, read_lines
    from shadowbox.train.loop import train

    # a few short recordings may have fewer segments than a batch
    batch = max(1, min(config.batch, store.frames // 2 // config.length // 2))
    few = replace(config, policy_steps=STEPS, world_steps=STEPS, batch=batch)
    inputs = inputs_of(stage, game, few, store, split=HALVES)
    short = replace(inputs.config, log_every=1, validate_every=STEPS, save_every=STEPS)
    train(learner_spec(LEARNERS[stage]).prepare(inputs), run, short)
    apart = ("time/validate", "time/save")
    seconds = [
        sum(v for k, v in line.items() if k.startswith("time/") and k not in apart)
        for line in read_lines(run / METRICS)
        if line["kind"] == "train"
    ]
    return float(np.median(seconds[2:])) * config.batch / batch


def _played_s(game: Game, config: _PipelineConfig, folder: Path) -> float:
    """Seconds of a frame of a match, in the world in which the policy will play."""
    from shadowbox.play import specs
    from shadowbox.play.match import play

    seeds = np.arange(config.matches // 2)
    spec = "" if game.world is not None else f"dream:{folder / 'world'}"
    names = (f"policy:{folder / 'policy'}", "random")
    world, agents = specs.world(spec, game, len(seeds)), [specs.agent(n, game) for n in names]
    taken = []
    for _ in range(2):  # the first time compiles
        began = time.perf_counter()
        found = [m.episode.frames for m in play(game, world, agents, names, seeds, most=FRAMES)]
        taken.append((time.perf_counter() - began) / sum(found))
    return taken[-1]
