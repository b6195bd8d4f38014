"""Run of a pipeline: recordings, audit, policy, world, matches, and one page about all of it.

OUT/plan.json        stages, steps and the estimate
    STAGE.json       facts of a stage that is done; a resumed pipeline does not take it again
    store/           the recordings; policy/ and world/ are runs; matches/ is a store
    report.html      the page; audit.html, policy.html and world.html have the details
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.data.store import Progress
from shadowbox.errors import UsageError
from shadowbox.pipeline import page, stages
from shadowbox.pipeline.config import _PipelineConfig
from shadowbox.pipeline.plan import NAME, _Plan, make_plan, read_plan
from shadowbox.pipeline.work import _Work

if TYPE_CHECKING:
    from shadowbox.train.console import Console

REPORT = "report.html"


def run_pipeline(work: _Work) -> dict[str, Any]:
    """Take every stage that is not done yet. Return the place of the page and the main figures."""
    work.take("recordings", stages.get_recordings)
    work.take("audit", stages.audit_recordings)
    work.take("policy", stages.train_policy)
    work.take("policy-report", stages.judge_policy)
    work.take("world", stages.train_world)
    work.take("world-report", stages.judge_world)
    work.take("matches", stages.play_matches)
    work.take("report", write_report)
    return {
        "report": str(work.path(REPORT)),
        "game": work.plan.game,
        "out": str(work.out),
        "seconds": dict(work.seconds),
        "estimated": dict(work.plan.seconds),
        **page.main_figures(work.facts),
    }


def write_report(work: _Work) -> dict[str, Any]:
    """The page about all stages."""
    write_whole(work.path(REPORT), page.pipeline_page(work).encode())
    return {"page": str(work.path(REPORT))}


def plan_pipeline(
    game: Game,
    name: str,
    paths: Sequence[str],
    out: Path,
    config: _PipelineConfig,
    *,
    resume: bool,
    say: Callable[[str], None],
) -> _Plan:
    """The plan in `out` of a pipeline that is resumed, or a new one, which is not written yet."""
    known = read_plan(out)
    if known is None:
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out} holds other files; choose another folder")
        return make_plan(game, name, paths, config, say)
    if not resume:
        raise UsageError(
            f"{out}/{NAME} exists already: go on with --resume, or choose another folder"
        )
    for field, value in config.to_json().items():
        usual = getattr(_PipelineConfig(), field)
        if value not in (usual, getattr(known.config, field)):
            raise UsageError(
                f"{out} is a pipeline with {field}={getattr(known.config, field)} (got {value}): "
                f"resume it without that setting, or choose another folder"
            )
    if known.game != name or (paths and list(paths) != list(known.paths)):
        raise UsageError(
            f"{out} is a pipeline of {known.game} on {', '.join(known.paths) or 'its own matches'}; "
            f"resume it with the same game and paths, or choose another folder"
        )
    return known


def start(
    game: Game,
    plan: _Plan,
    out: Path,
    *,
    say: Callable[[str], None],
    progress: Callable[[str], AbstractContextManager[Progress | None]],
    console: Callable[[], Console] | None = None,
) -> dict[str, Any]:
    """Write the plan, and run or go on with its pipeline."""
    plan.write(out)
    return run_pipeline(_Work(game, plan, out, say, progress, console))
