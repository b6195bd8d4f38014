"""Front door of the package: the functions that `import shadowbox as sb` offers.

store = sb.record("brawl", "aggressive", "based", out="data/first", matches=100)
run = sb.train(store, out="runs/first", preset="tiny", steps=300)
policy = sb.load_policy("runs/first")
match = sb.play("brawl", policy, "based", seed=7)
sb.save_page(match, "match.html")

Everything else is in the rooms below: `shadowbox.data`, `shadowbox.play`, `shadowbox.evaluate`, ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowbox.core.game import Agent, Game
from shadowbox.data.store import Store
from shadowbox.games import load

if TYPE_CHECKING:  # torch is loaded when one of these is made
    from shadowbox.evaluate.policy import Evaluation
    from shadowbox.play.match import PlayedMatch
    from shadowbox.train.protocols import TrainResult

__all__ = ["evaluate", "load_game", "load_policy", "play", "record", "save_page", "train"]


def load_game(name: str) -> Game:
    """Load a game by name ("brawl"), or one of your own as "module:GAME"."""
    return load(name)


def record(
    game: str | Game,
    p0: str,
    p1: str,
    *,
    out: str | Path,
    matches: int = 100,
    seed: int = 0,
    world: str = "",
    **options: Any,
) -> Store:
    """Play matches between two agents and append them to a store.

    `p0`, `p1`: specs of agents such as "based" or "policy:runs/first". `world`: the spec of another
    world than the game's own simulator. `options`: of the world, such as `stage="mirror"`.
    """
    from shadowbox.collect.matches import Pairing
    from shadowbox.collect.matches import record as record_matches

    found = _game(game)
    pairings = [Pairing(p0, p1, matches)]
    record_matches(found, pairings, Path(out), seed=seed, world=world, options=options)
    return Store(out, found.schema)


def train(
    store: str | Path | Store,
    *,
    out: str | Path,
    game: str | Game | None = None,
    learner: str = "imitation",
    preset: str = "default",
    model: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
    **config: Any,
) -> TrainResult:
    """Train a model on a store and keep it, with its log, in the run folder `out`.

    `game`: of the store, if it is not built in or installed. `preset`: of the model; `model`:
    changes of the preset, such as `{"width": 64}`; `settings`: of the learner, such as
    `{"mirror": True}`; `config`: of the training loop (`TrainConfig`), such as `steps=300,
    batch=16, lr=1e-3`; the default is ten epochs. `resume` goes on with the run in `out`. Progress
    is printed to standard error unless `quiet`.
    """
    from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
    from shadowbox.train.config import TrainConfig
    from shadowbox.train.console import Console
    from shadowbox.train.log import read_facts
    from shadowbox.train.loop import train as run_loop

    opened = store if isinstance(store, Store) else Store(store)
    if resume:  # of a store that has grown, the run knows the first episodes
        opened = opened.as_of(read_facts(Path(out)).get("fingerprint"))
    length = {} if {"steps", "epochs"} & config.keys() else {"epochs": 10}
    loop = TrainConfig.of({**length, **config})
    spec = RunSpec(
        _game(game or opened.schema.name), preset, dict(model or {}), dict(settings or {})
    )
    task = learner_spec(learner).prepare(Inputs(spec=spec, config=loop, store=opened))
    console = None if quiet else Console(sys.stderr)
    return run_loop(task, Path(out), loop, resume=resume, console=console)


def load_policy(
    run: str | Path, *, game: str | Game | None = None, temperature: float = 1.0
) -> Agent:
    """Load a trained policy as an agent.

    `run`: a run, a checkpoint's folder, or a spec with options ("runs/first@latest"). The game is
    the one that the policy was trained on; name it if it is not built in. A `temperature` below 1
    makes decisions more regular.
    """
    from shadowbox.model import checkpoint
    from shadowbox.play import specs
    from shadowbox.play.checkpoints import checkpoint_folder

    where, _, options = str(run).partition("@")
    if game is None:
        game = checkpoint.load(checkpoint_folder(where)).about.schema.name
    chosen = "".join(f"@{option}" for option in (options, f"{temperature:g}") if option)
    return specs.agent(f"policy:{where}{chosen}", _game(game))


def play(
    game: str | Game, p0: str | Agent, p1: str | Agent, *, seed: int = 0, world: str = ""
) -> PlayedMatch:
    """Play one match; the same call gives the same match.

    `p0`, `p1`: agents, or specs such as "based". `world`: the spec of another world than the game's
    own simulator.
    """
    import numpy as np

    from shadowbox.play import specs
    from shadowbox.play.match import play as play_matches

    found = _game(game)
    agents = [specs.agent(each, found) if isinstance(each, str) else each for each in (p0, p1)]
    names = [each if isinstance(each, str) else type(each).__name__ for each in (p0, p1)]
    where, seeds = specs.world(world, found, 1), np.array([seed], np.int64)
    (match,) = play_matches(found, where, agents, names, seeds, tracks=True)
    return match


def save_page(match: PlayedMatch, path: str | Path, *, game: str | Game | None = None) -> Path:
    """Write a match as one HTML page with the viewer in it, which works offline."""
    from shadowbox.core.files import write_whole
    from shadowbox.report.match import match_document

    found = _game(game or str(match.episode.meta["world"]).partition("@")[0])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, match_document(found, match.episode).encode())
    return path


def evaluate(
    run: str | Path,
    store: str | Path | Store,
    *,
    game: str | Game | None = None,
    **config: Any,
) -> Evaluation:
    """Evaluate a trained policy on a store: offline, in play, and by the behavior gate.

    `config`: of the evaluation (`EvalConfig`), such as `matches=100, against="based"`. Every figure
    of the result has its interval and its baselines.
    """
    from shadowbox.evaluate.policy import evaluate as evaluate_policy
    from shadowbox.evaluate.setup import EvalConfig

    opened = store if isinstance(store, Store) else Store(store)
    found = _game(game or opened.schema.name)
    return evaluate_policy(run, opened.path, EvalConfig(**config), game=found)


def _game(game: str | Game) -> Game:
    return load(game) if isinstance(game, str) else game
