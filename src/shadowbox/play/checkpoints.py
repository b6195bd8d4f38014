"""Specs of checkpoints, `policy:RUN@OPTION...`: the checkpoint that is meant, and its agent.

RUN is a run (it has a folder `checkpoints/`), a card's folder of runs by seed (the lowest, or
`seed=N`), a checkpoint's own folder, or the name of one that the game ships. Without `best`,
`latest` or `step=N` it is the best checkpoint, or the latest if none was validated. `snapshot=N` is
the policy of step N that the league of a run of self-play keeps. Torch is imported when an agent is
built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.evaluation import FILE, NOT_SHOWN, GateReport
from shadowbox.core.files import read_json
from shadowbox.core.game import Agent, Game
from shadowbox.data.split import Split
from shadowbox.errors import CheckpointError, ShadowboxError, UsageError, did_you_mean
from shadowbox.model import kinds

if TYPE_CHECKING:  # it needs torch
    from shadowbox.model.checkpoint import CheckpointConfig

FOLDER = "checkpoints"
SNAPSHOT = "league/step-{:08d}.safetensors"  # weights of a run's policy that its league keeps
OPTIONS = (
    "a temperature such as 0.9",
    "best",
    "latest",
    "step=N",
    "snapshot=N",
    "seed=N",
    "delay=N",
    "apm=N",
    "hold=N",
    "threshold",
    "threshold=P",
    "bias",
    "bias=B",
    "player=NAME",
    "strength=X",
    "skill=X",
    "skill.NAME=X",
    "device=NAME",
    "block=N",
)
STRONGEST = 50.0  # bias: the odds of a button times or over exp(50)
MOST_TOGETHER = 4096  # matches of a block
FARTHEST = 1e6  # of a strength: finite, whatever a game counts it in


def policy_agent_of(argument: str, options: Sequence[str], game: Game, spec: str) -> Agent:
    """The agent of `policy:ARGUMENT@OPTIONS`."""
    from shadowbox.play.policy_agent import BLOCK, HOTTEST, TUNED, SamplingConfig, policy_agent

    which, seed, snapshot, temperature, device, player = "", "", "", 1.0, "cpu", ""
    threshold: float | None = None
    strength: float | None = None
    skill: dict[str, float] = {}
    bias, offsets, block = 0.0, False, BLOCK
    for option in options:
        name, _, value = option.partition("=")
        if option in ("best", "latest") or name == "step":
            which = option
        elif name == "seed":
            seed = value
        elif name == "snapshot":
            which, snapshot = "latest", value
        elif option == "threshold":
            threshold = TUNED
        elif name == "threshold":
            threshold = _number(option, value, 0, 1, spec)
        elif option == "bias":
            offsets = True
        elif name == "bias":
            bias = _number(option, value, -STRONGEST, STRONGEST, spec)
        elif name == "player" and value:
            player = value
        elif name == "strength":
            strength = _number(option, value, -FARTHEST, FARTHEST, spec)
        elif name == "skill" or name.startswith("skill."):
            skill[name.partition(".")[2]] = _number(option, value, -FARTHEST, FARTHEST, spec)
        elif name == "device" and value:
            device = value
        elif name == "block":
            block = int(_number(option, value, 0, MOST_TOGETHER, spec))
        elif name[:1].isdigit() or name[:1] == ".":
            temperature = _number(option, option, 0, HOTTEST, spec)
        else:
            raise UsageError(
                f"agent '{spec}': unknown option '{option}'; a policy has {', '.join(OPTIONS)}"
            )
    folder = checkpoint_folder(game.policies.get(argument, argument), which, seed, spec, game)
    return policy_agent(
        folder,
        game.schema,
        SamplingConfig(
            temperature, threshold, player, strength, bias, offsets, tuple(skill.items())
        ),
        device=_device(device, spec),
        block=block,
        mark="" if snapshot else mark_of(folder),  # a snapshot was not evaluated
        encodings=game.encodings,
        weights=_snapshot(folder, snapshot, spec) if snapshot else None,
    )


def _snapshot(checkpoint: Path, step: str, spec: str) -> Path:
    """File of the weights that the league of a checkpoint's run keeps of a step."""
    run = checkpoint.parent.parent
    path = run / SNAPSHOT.format(int(step)) if step.isdecimal() else run
    if not path.is_file():
        kept = [str(int(each.stem.partition("-")[2])) for each in _snapshots(run)]
        known = f"it has {', '.join(kept)}" if kept else "it has no league"
        raise UsageError(f"agent '{spec}': {run} has no snapshot of step '{step}'; {known}")
    return path


def _snapshots(run: Path) -> list[Path]:
    return sorted((run / SNAPSHOT).parent.glob("step-*.safetensors"))


def checkpoint_folder(
    where: str, which: str = "", seed: str = "", spec: str = "", game: Game | None = None
) -> Path:
    """Folder of the checkpoint of a spec."""
    from shadowbox.model import checkpoint

    run = run_of_seed(Path(where), seed, spec or where, game) if where else None
    if run is None:
        raise UsageError(f"agent '{spec}': name a run, as in policy:runs/x")
    return checkpoint.find_checkpoint(f"{run}@{which}" if which else run)


def require_run(where: str, game: Game | None = None) -> None:
    """Refuse a name that no run, card's folder of runs or checkpoint has; torch is not imported."""
    if where:
        run_of_seed(Path(where.partition("@")[0]), "", where, game)


def run_to_evaluate(spec: str) -> str:
    """The run of `policy:RUN`, or the name itself; a policy of a game has no place for a verdict."""
    kind, _, run = spec.partition(":")
    if kind != "policy":
        return spec
    if Path(run.partition("@")[0]).is_dir():
        return run
    raise UsageError(
        f"'{spec}': eval takes a run or a checkpoint's folder, where it leaves the verdict; "
        f"let a policy that comes with a game play: shadowbox tournament GAME {spec} AGENT"
    )


def folder_of_spec(spec: str, game: Game) -> Path | None:
    """Folder of the checkpoint of `policy:RUN@OPTION...` or `dream:RUN@OPTION...`; else None."""
    text, *options = spec.split("@")
    argument = text.partition(":")[2]
    shipped = shipped_checkpoints(spec, game)
    if shipped is None:
        return None
    which = [each for each in options if each in ("best", "latest") or each.startswith("step=")]
    which += ["latest" for each in options if each.startswith("snapshot=")]
    seed = [each.removeprefix("seed=") for each in options if each.startswith("seed=")]
    where = shipped.get(argument, argument)
    return checkpoint_folder(where, (which or [""])[-1], (seed or [""])[-1], spec, game)


def run_of_seed(path: Path, seed: str, spec: str, game: Game | None = None) -> Path:
    """The run itself, or in a card's folder the run of a seed (default: the lowest)."""
    if (path / FOLDER).is_dir() or (path / "config.json").is_file():
        if seed:
            raise UsageError(
                f"'{spec}': {path} is one run; seed=N chooses among the runs of a card"
            )
        return path
    if not path.is_dir():
        raise CheckpointError(f"'{spec}': {path} is not a run{_shipped_text(spec, game)}")
    runs = sorted(
        (int(entry.name), entry)
        for entry in path.iterdir()
        if entry.name.isdecimal() and (entry / FOLDER).is_dir()
    )
    if not runs:
        below = sorted(
            entry.name
            for entry in path.iterdir()
            if entry.is_dir() and any(entry.glob(f"*/{FOLDER}"))
        )
        hint = (
            f"; its settings are {', '.join(below)}: name one, as in {path / below[0]}"
            if below
            else ""
        )
        raise CheckpointError(
            f"'{spec}': {path} holds no run: neither {FOLDER} nor a folder for each seed{hint}"
        )
    if not seed:
        return runs[0][1]
    chosen = [run for number, run in runs if number == int(seed)] if seed.isdecimal() else []
    if not chosen:
        known = [str(number) for number, _ in runs]
        raise UsageError(f"'{spec}': {path} has no seed '{seed}': {did_you_mean(seed, known)}")
    return chosen[0]


def trained_seats(checkpoint: Path, about: CheckpointConfig) -> tuple[int, ...]:
    """Seats that a policy was trained on, from its run or preset; empty: all."""
    from shadowbox.model.design import SEATS

    imitation = _facts(checkpoint).get("imitation")
    given = imitation.get("seats") if isinstance(imitation, dict) else None
    return tuple(int(seat) for seat in given) if given else SEATS.get(about.preset, ())


def trained_split(checkpoint: Path) -> tuple[Split | None, str | None]:
    """Split of the run and fingerprint of its store; None for a checkpoint without a run."""
    facts = _facts(checkpoint)
    known, fingerprint = facts.get("split"), facts.get("fingerprint")
    return Split.of(known) if isinstance(known, dict) else None, fingerprint if isinstance(
        fingerprint, str
    ) else None


def trained_store(checkpoint: Path) -> Path | None:
    """Path of the store of the checkpoint's run, as it was given; None for a checkpoint without a run."""
    facts = _facts(checkpoint)
    data = facts.get("data")  # of a card
    known = data.get("store") if isinstance(data, dict) else facts.get("store")
    return Path(known) if isinstance(known, str) and known else None


def shipped_checkpoints(spec: str, game: Game) -> Mapping[str, str] | None:
    """Paths by name of the policies or worlds that a game ships, by the kind of a spec; else None."""
    return {"policy": game.policies, "dream": game.worlds}.get(spec.partition(":")[0])


def _shipped_text(spec: str, game: Game | None) -> str:
    """Names of the shipped checkpoints of the kind of a spec, as the end of a message."""
    shipped = None if game is None else shipped_checkpoints(spec, game)
    if game is None or shipped is None:
        return ""
    kind = spec.partition(":")[0]
    names = [f"{kind}:{name}" for name in sorted(shipped)]
    return f"; {game.name} ships {', '.join(names) or f'no {kind}'}"


def shipped_agents(game: Game) -> list[str]:
    """Specs of the policies that a game ships, and of each at the reaction delays it was trained with.

    Without a delay first, then by delay: policy:NAME, policy:NAME@delay=6.
    """
    found = []
    for name, path in sorted(game.policies.items()):
        about = read_json(Path(path) / "config.json", error=CheckpointError)
        delays = sorted(set(about["arguments"]["config"].get("delays") or ()))
        found += [f"policy:{name}", *(f"policy:{name}@delay={each}" for each in delays if each)]
    return found


def agents_of_runs(folder: Path, game: str) -> list[str]:
    """Specs of the runs below a folder whose last checkpoint plays this game, such as policy:runs/x.

    Looks for `RUN`, `CARD/SEED` and `CARD/SETTING/SEED`.
    """
    found = []
    for depth in ("*", "*/*", "*/*/*"):
        for entry in sorted(folder.glob(f"{depth}/{FOLDER}")):
            try:
                about = read_json(sorted(entry.glob("[0-9]*"))[-1] / "config.json")
                kind = kinds.checkpoint_kind(about["kind"])
                if about["game"] == game and kind.agent:
                    found.append(f"{kind.spec_name}:{entry.parent}")
            # not finished, of an unknown kind, or none: its spec says what is wrong with it
            except (OSError, LookupError, TypeError, ShadowboxError):
                continue
    return found


def mark_of(checkpoint: Path) -> str:
    """Sentence that names an agent of a checkpoint that did not pass its gate.

    Empty if it passed, or was never evaluated.
    """
    try:
        found = read_json(checkpoint / FILE, error=CheckpointError)
        gate = GateReport.from_json(found.get("gate"))
    except FileNotFoundError:
        return ""
    except CheckpointError:
        return "its evaluation cannot be read"
    if gate.passed:
        return ""
    more = f" (and {len(gate.why) - 1} more)" if len(gate.why) > 1 else ""
    verb = "was not shown to pass" if gate.verdict == NOT_SHOWN else "failed"
    return f"{verb} the behavior gate: {gate.why[0] if gate.why else 'no reason given'}{more}"


def _facts(checkpoint: Path) -> dict[str, Any]:
    """Facts of a checkpoint's run; empty for a checkpoint without a run."""
    try:
        found: dict[str, Any] = read_json(kinds.run_of(checkpoint) / kinds.RUN_FACTS)
    except (OSError, ShadowboxError):
        return {}
    return found


def _number(option: str, text: str, low: float, high: float, spec: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low < value <= high:
        raise UsageError(
            f"agent '{spec}': '{option}' must be a number above {low:g} and at most {high:g}"
        )
    return value


def _device(name: str, spec: str) -> str:
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"agent '{spec}': device '{name}' cannot be used here: {first}") from error
    return name
