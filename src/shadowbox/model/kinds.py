"""Registry of kinds of checkpoints, by the `kind` in their `config.json`.

`policy`, `encoder` and `world` are built in. A kind is one CheckpointKind, whose parts are dotted names that
are imported on use; a new kind is a line in KINDS, or comes from another package by the entry point
group `shadowbox.checkpoint_kinds`:

    [project.entry-points."shadowbox.checkpoint_kinds"]
    toy = "toy_package.kinds:KIND"

`ensemble` is reserved: it is refused until an entry is registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from shadowbox.core.files import read_json
from shadowbox.core.imports import import_object
from shadowbox.core.metrics import MetricInfo, metrics_in
from shadowbox.errors import CheckpointError, UsageError, did_you_mean

GROUP = "shadowbox.checkpoint_kinds"  # entry point group
RUN_FACTS = "run.json"  # of a run


@dataclass(frozen=True, kw_only=True)
class CheckpointKind:
    """Parts of a kind, each `module:function`; a kind lacks the parts that are empty.

        build     (checkpoint: Checkpoint, schema, device, encodings) -> the model with its weights
        agent     (argument, options, game, spec) -> Agent of the spec `NAME:argument@option`
        world     (argument, options, game, matches, spec) -> World of such a spec
        evaluate  (checkpoint, store, config: EvalConfig, *, game, progress) -> an evaluation, whose
                  `report()` is an EvaluationReport
        page      (that evaluation) -> the text of an HTML page
        report    (run, game) -> blocks of the page of a run that trains one

    `needs` are the inputs of an evaluation, such as a store; `figures` its possible figures, for
    targets named eval/...; `prefix` is the word before the colon of a spec, if it is not the name.
    """

    name: str
    title: str = ""  # in one line
    build: str = ""
    agent: str = ""
    world: str = ""
    evaluate: str = ""
    page: str = ""
    report: str = ""
    prefix: str = ""
    needs: frozenset[str] = frozenset({"store"})
    figures: Mapping[str, MetricInfo] = field(default_factory=dict)

    @property
    def spec_name(self) -> str:
        """Word before the colon of a spec: `policy` in policy:runs/x."""
        return self.prefix or self.name

    def part(self, name: str) -> Any:
        """Import a part; one that the kind lacks is refused."""
        where = getattr(self, name)
        if not where:
            raise UsageError(
                f"checkpoints of kind '{self.name}' have no {name}: "
                f"it is empty in their CheckpointKind"
            )
        try:
            return import_object(where)
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the {name} of checkpoints of kind '{self.name}', {where}, "
                f"cannot be imported: {error}"
            ) from error


POLICY = CheckpointKind(
    name="policy",
    title="an agent that plays",
    build="shadowbox.play.restored_policy:restore_policy",
    agent="shadowbox.play.checkpoints:policy_agent_of",
    evaluate="shadowbox.evaluate.benchmark:evaluate_policy",
    page="shadowbox.report.evaluation:evaluation_page",
    needs=frozenset(),  # without recordings it is judged by matches alone
    figures=metrics_in(("offline", "closed_loop", "sessions", "matches", "gate")),
)
ENCODER = CheckpointKind(
    name="encoder",
    title="an encoder of an opponent's history",
    build="shadowbox.play.restored_policy:restore_encoder",
    evaluate="shadowbox.evaluate.strategy.recorded:evaluate_encoder",
    page="shadowbox.report.encoder:encoder_page",
    figures={
        "next_controls": MetricInfo("low", 0.0, baselines=("copy_last",)),
        "identity": MetricInfo("high", 0.0, 1.0, ("most_frequent",)),
    },
)
WORLD = CheckpointKind(
    name="world",
    title="a learned world, in which one can play",
    build="shadowbox.play.dream.restore:restore_world",
    world="shadowbox.play.dream.restore:dream_of",
    evaluate="shadowbox.evaluate.worlds.suite:evaluate_world",
    page="shadowbox.report.world:world_page",
    prefix="dream",
    figures=metrics_in(["world"]),
)
KINDS: dict[str, CheckpointKind] = {"policy": POLICY, "encoder": ENCODER, "world": WORLD}
RESERVED = {  # name -> planned checkpoints of that kind
    "ensemble": "several checkpoints that act as one",
}


def register(kind: CheckpointKind) -> None:
    """Register a kind in this process. A name of another kind is refused."""
    if KINDS.get(kind.name, kind) != kind:
        raise UsageError(
            f"another kind of checkpoints is named '{kind.name}' already; choose another name"
        )
    KINDS[kind.name] = kind


def names() -> list[str]:
    """Names of all kinds: built in, installed, and registered in this process."""
    return sorted({*KINDS, *(entry.name for entry in entry_points(group=GROUP))})


def checkpoint_kind(name: str) -> CheckpointKind:
    """Kind of this name; an entry point is imported on first use."""
    if name in KINDS:
        return KINDS[name]
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _installed(name, entry.value)
    if name in RESERVED:
        raise UsageError(
            f"checkpoints of kind '{name}' ({RESERVED[name]}) cannot be used yet: expected a "
            f"package that registers the name in the entry point group {GROUP}"
        )
    raise UsageError(f"unknown kind of checkpoints '{name}': {did_you_mean(name, names())}")


def kind_of(checkpoint: Path) -> CheckpointKind:
    """Kind of a checkpoint's folder, by its `config.json`."""
    path = checkpoint / "config.json"
    try:
        config = read_json(path, error=CheckpointError, hint="use another step")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    name = config.get("kind")
    if not isinstance(name, str):
        raise CheckpointError(f"{path}: kind is {name!r:.40}, expected one of {', '.join(names())}")
    return checkpoint_kind(name)


def spec_kind(prefix: str, part: str) -> CheckpointKind | None:
    """Kind of a spec `PREFIX:...` if it has that part (`agent` or `world`), else None.

    Another package's kind that cannot be imported is an error only where its own name is asked for.
    """
    for kind in [*KINDS.values(), *_installed_kinds(prefix)]:
        if kind.spec_name == prefix and getattr(kind, part):
            return kind
    return None


def _installed_kinds(wanted: str) -> Iterator[CheckpointKind]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name != wanted):
        if entry.name in KINDS:
            continue
        try:
            yield _installed(entry.name, entry.value)
        except UsageError:
            if entry.name == wanted:
                raise


def _installed(name: str, where: str) -> CheckpointKind:
    try:
        kind = import_object(where.partition("[")[0].strip())
    except Exception as error:  # a third party's module may raise anything
        raise UsageError(
            f"the kind of checkpoints '{name}', {where}, cannot be imported: {error}"
        ) from error
    if not isinstance(kind, CheckpointKind) or kind.name != name:
        raise UsageError(
            f"the kind of checkpoints '{name}': {where} is {kind!r:.60}, expected a CheckpointKind "
            f"with name='{name}'"
        )
    return kind


def run_of(checkpoint: Path) -> Path:
    """Folder of the run of a checkpoint; the checkpoint's own, where the run's facts are beside it.

    The second is so in a pulled folder, which holds a run with one checkpoint (hub/contents.py).
    """
    beside = (checkpoint / RUN_FACTS).is_file()
    return checkpoint if beside else checkpoint.parent.parent
