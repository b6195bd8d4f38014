"""Stages of a pipeline. Each calls what a command of its own calls, and returns facts for the page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from shadowbox.core.files import write_whole
from shadowbox.data.manifest import NAME as MANIFEST
from shadowbox.data.store import Store
from shadowbox.errors import RecordingError
from shadowbox.pipeline.inputs import LEARNERS, inputs_of, split_of
from shadowbox.pipeline.work import _Work

STORE, POLICY, WORLD, MATCHES = "store", "policy", "world", "matches"  # folders
AUDIT_PAGE, POLICY_PAGE, WORLD_PAGE = "audit.html", "policy.html", "world.html"
MOST_REJECTED = 1000  # files that the facts list; the count has all of them
OF_AUDIT = ("episodes", "frames", "seconds", "split", "controls", "events", "bytes_per_frame")


def get_recordings(work: _Work) -> dict[str, Any]:
    """The store: recordings are read, or a game without a reader records its own bots."""
    if work.game.reader is None:
        return _record(work)
    from shadowbox.data.ingest import ingest

    store, config = work.path(STORE), work.plan.config
    with work.counted("reading") as update:
        found = ingest(
            work.game,
            [Path(path) for path in work.plan.paths],
            store,
            workers=config.workers,
            options=work.game.reader_filters[config.filter] if config.filter else {},
            resume=(store / MANIFEST).exists(),
            progress=update,
        )
    read = Store(store)
    if not len(read):
        reason = found["rejected"][0] if found["rejected"] else {"file": "-", "reason": "empty"}
        raise RecordingError(
            f"none of {found['files']:,} recordings came in; the first one, {reason['file']}: "
            f"{reason['reason']}"
        )
    kept = ("files", "cpu_seconds", "bytes_per_frame", "workers")
    return {  # all of the store: the ingest itself counts only what an earlier try had not read yet
        **{name: found[name] for name in kept},
        "accepted": found["files"] - len(found["rejected"]),
        "episodes": len(read),
        "frames": read.frames,
        "rejected": len(found["rejected"]),
        "rejected_files": found["rejected"][:MOST_REJECTED],
    }


def _record(work: _Work) -> dict[str, Any]:
    from shadowbox.collect.matches import Pairing, record

    pairings = [Pairing(*pair) for pair in work.plan.pairings]
    with work.counted("playing") as update:
        record(
            work.game,
            pairings,
            work.path(STORE),
            seed=work.plan.config.seed,
            resume=True,
            progress=update,
        )
    store = Store(work.path(STORE))
    return {
        "episodes": len(store),
        "frames": store.frames,
        "pairings": [list(pair) for pair in work.plan.pairings],
    }


def audit_recordings(work: _Work) -> dict[str, Any]:
    """Content of the store, and what predicting nothing would score on it."""
    from shadowbox.data.audit import audit, warnings
    from shadowbox.report.audit import audit_page

    store = Store(work.path(STORE))
    with work.counted("auditing") as update:
        found = audit(store, split_of(store), update)
    write_whole(work.path(AUDIT_PAGE), audit_page(found).encode())
    return {**{name: found[name] for name in OF_AUDIT}, "warnings": list(warnings(found))}


def train_policy(work: _Work) -> dict[str, Any]:
    """A policy that imitates the recorded players."""
    return _train(work, POLICY)


def train_world(work: _Work) -> dict[str, Any]:
    """A world that predicts the next frame of the recordings."""
    return _train(work, WORLD)


def _train(work: _Work, name: str) -> dict[str, Any]:
    from shadowbox.learners.registry import learner_spec
    from shadowbox.model import checkpoint
    from shadowbox.train.loop import train

    run, resume = work.path(name), bool(checkpoint.steps(work.path(name)))
    if run.exists() and not resume:  # ended before its first checkpoint
        shutil.rmtree(run)
    inputs = inputs_of(name, work.game, work.plan.config, Store(work.path(STORE)))
    result = train(
        learner_spec(LEARNERS[name]).prepare(inputs),
        run,
        inputs.config,
        resume=resume,
        console=work.console() if work.console else None,
    )
    if not result.whole:
        raise work.stopped(name)
    return {
        "run": str(run),
        "steps": result.step,
        "best": dict(result.best),
        "seconds": {part: round(value, 2) for part, value in result.table.items()},
    }


def judge_policy(work: _Work) -> dict[str, Any]:
    """Figures of the policy on held-out recordings, beside baselines, and its behavior gate."""
    return _judge(work, POLICY, POLICY_PAGE, "judging the policy")


def judge_world(work: _Work) -> dict[str, Any]:
    """Figures of the world on held-out recordings, beside baselines, and its gate."""
    return _judge(work, WORLD, WORLD_PAGE, "judging the world")


def _judge(work: _Work, name: str, page: str, what: str) -> dict[str, Any]:
    from shadowbox.evaluate.dispatch import evaluate_checkpoint, kind_at
    from shadowbox.evaluate.setup import EvalConfig

    config, run = work.plan.config, work.path(name)
    settings = EvalConfig(
        most=config.judged_episodes,
        matches=config.matches if work.game.world is not None else None,
        starts=config.starts,
        samples=2,
        frames=config.frames,
        seed=config.seed,
    )
    with work.counted(what) as update:
        result = evaluate_checkpoint(
            run,
            work.path(STORE),
            settings,
            game=work.game,
            progress=lambda part, done, total: update(done, total) if update else None,
        )
    text: str = kind_at(run, work.game).part("page")(result)
    write_whole(work.path(page), text.encode())
    return result.report().to_json()


def play_matches(work: _Work) -> dict[str, Any]:
    """Matches of the policy against each opponent, half of them from each seat."""
    from shadowbox.collect.matches import Pairing, record
    from shadowbox.pipeline.results import results_of

    half, policy = work.plan.config.matches // 2, policy_spec(work)
    pairings = [
        Pairing(*seats, half)
        for other in work.plan.opponents
        for seats in ((policy, other), (other, policy))
    ]
    world = world_spec(work)
    with work.counted("playing") as update:
        record(
            work.game,
            pairings,
            work.path(MATCHES),
            seed=work.plan.config.seed,
            world=world,
            most=work.plan.config.most_frames(learned=bool(world)),
            resume=True,
            progress=update,
        )
    store = Store(work.path(MATCHES))
    return {
        "world": world or work.game.name,
        "episodes": len(store),
        "frames": store.frames,
        "against": results_of(work.game, store, policy, work.plan.opponents),
    }


def policy_spec(work: _Work) -> str:
    """Spec of the trained policy as an agent."""
    return f"policy:{work.path(POLICY)}"


def world_spec(work: _Work) -> str:
    """Spec of the world of the matches: empty for the simulator, else the learned world."""
    if work.game.world is not None:
        return ""
    return f"dream:{work.path(WORLD)}"
