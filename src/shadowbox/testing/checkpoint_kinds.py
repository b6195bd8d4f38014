"""Checks of kinds of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shadowbox.core.evaluation import EvaluationReport
from shadowbox.core.game import Game
from shadowbox.core.metrics import find_info
from shadowbox.evaluate.dispatch import evaluate_checkpoint
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.model import checkpoint, kinds
from shadowbox.model.kinds import CheckpointKind
from shadowbox.play import specs
from shadowbox.testing.agents import check_agent
from shadowbox.testing.random_play import must
from shadowbox.testing.worlds import check_world


def check_checkpoint_kind(
    kind: CheckpointKind,
    run: Path,
    game: Game,
    folder: Path,
    *,
    store: Path | None = None,
    config: EvalConfig | None = None,
) -> None:
    """The promises of a kind, on a trained `run` of it and in an empty folder.

    It is found by its name; the shipped form builds the same model; an agent keeps the promises of
    agents, a world those of worlds; an evaluation has the one shape, and figures that were announced.
    `store`: recordings, if an evaluation needs some.
    """
    must(kinds.checkpoint_kind(kind.name) == kind, f"'{kind.name}' is registered as another kind")
    found = checkpoint.find_checkpoint(run)
    must(kinds.kind_of(found) == kind, f"{found} is a {kinds.kind_of(found).name}")
    shipped = checkpoint.ship(found, folder / "shipped")
    states = [_built(kind, path, game) for path in (found, shipped)]
    same = states[0].keys() == states[1].keys() and all(
        bool((value == states[1][key]).all()) for key, value in states[0].items()
    )
    must(same, "the shipped form builds another model")
    if kind.agent:
        check_agent(specs.agent(f"{kind.spec_name}:{shipped}", game), game)
    if kind.world:
        check_world(specs.world_factory(f"{kind.spec_name}:{shipped}", game), game)
    if kind.evaluate:
        _check_evaluation(kind, run, game, store, config)


def _built(kind: CheckpointKind, path: Path, game: Game) -> dict[str, Any]:
    loaded = checkpoint.load(path, kind=kind.name)
    model = kind.part("build")(loaded, game.schema, "cpu", game.encodings)
    state: dict[str, Any] = model.state_dict()
    return state


def _check_evaluation(
    kind: CheckpointKind, run: Path, game: Game, store: Path | None, config: EvalConfig | None
) -> None:
    result = evaluate_checkpoint(str(run), store, config, game=game)
    report = result.report()
    must(report.kind == kind.name, f"its evaluation is of a {report.kind}")
    again = EvaluationReport.from_json(report.to_json())
    must(again.to_json() == report.to_json(), "its evaluation changes in JSON")
    for name, figure in report.figures.items():
        info = find_info(name, kind.figures)
        must(info is not None, f"the figure {name} is not announced: CheckpointKind.figures")
        assert info is not None
        more = set(figure.baselines) - set(info.baselines)
        must(not more, f"{name} has baselines that are not announced: {sorted(more)}")
        value = figure.value.value
        inside = value != value or info.low <= value <= info.high
        must(inside, f"{name} is {value:g}, announced are {info.low:g} .. {info.high:g}")
    if kind.page:
        must(bool(kind.part("page")(result)), "its page is empty")
