"""Parts of a run's page that its learner, and the kind of its checkpoints, bring themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from shadowbox.core.game import Game
from shadowbox.core.imports import import_object
from shadowbox.errors import ShadowboxError
from shadowbox.learners import registry
from shadowbox.model import kinds
from shadowbox.page.document import Html, sentence
from shadowbox.train.runs import Run


def blocks(run: Run, game: Game | None) -> Iterator[Html]:
    """Blocks of the kind of checkpoint (its `report`), then those of the learner (its `page`).

    A learner that a file names as module:SPEC is not imported for a page.
    """
    kind = run.facts.get("kind")
    if isinstance(kind, str):
        yield from _of(lambda: _kind_blocks(kind, run, game))
    yield from learner_blocks(run)


def learner_blocks(run: Run) -> Iterator[Html]:
    """Blocks of the learner alone."""
    learner = run.facts.get("learner")
    if isinstance(learner, str) and not registry.is_code(learner):
        yield from _of(lambda: _learner_blocks(learner, run))


def _kind_blocks(name: str, run: Run, game: Game | None) -> list[Html]:
    kind = kinds.checkpoint_kind(name)
    return list(kind.part("report")(run, game)) if kind.report else []


def _learner_blocks(name: str, run: Run) -> list[Html]:
    page = registry.learner_spec(name).page
    make: Any = import_object(page) if page else None
    return list(make(run)) if make else []


def _of(make: Callable[[], list[Html]]) -> Iterator[Html]:
    """The blocks, or the reason why there are none: a page survives the code of others."""
    try:
        yield from make()
    except ShadowboxError as error:
        yield sentence(f"Its own part of the page cannot be made: {error}.")
    except Exception as error:
        yield sentence(f"Its own part of the page failed: {type(error).__name__}: {error}.")
