"""Names that complete an argument: a function of the text before the cursor and the arguments so far.

Each function returns possible values in the order in which they are shown. All of them read names
and small files only; none imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox import games as rooms
from shadowbox.core.game import Game

MOST_EPISODES = 200  # of a store that are offered
STORE_DEPTH = 2  # folders below this one, and below data/, in which stores are looked for
Given = Mapping[str, Any]  # the arguments before the cursor, by name


def games(text: str, given: Given) -> list[str]:
    """Games by name."""
    return rooms.names()


def agents(text: str, given: Given) -> list[str]:
    """Bots of the game, policies that come with it, and runs of it."""
    from shadowbox.play.checkpoints import agents_of_runs, shipped_agents
    from shadowbox.play.specs import LIMITS, bot_names
    from shadowbox.train.runs import RUNS

    if "@" in text:
        return [f"{text.rpartition('@')[0]}@{name}=" for name in LIMITS]
    game = _game(given)
    rivals = [spec for spec, _, _ in game.rivals if "@" in spec]
    known = [*bot_names(game), *shipped_agents(game), *agents_of_runs(RUNS, game.name)]
    return [*dict.fromkeys([*known, *rivals]), "hold:", "replay:", "py:"]


def live_seats(text: str, given: Given) -> list[str]:
    """Players of a live game of Melee: agents, a person, a CPU of the game."""
    return ["human", "cpu", "cpu@level=9", *agents(text, {**given, "game": "melee"})]


def live_stages(text: str, given: Given) -> list[str]:
    """Stages that a live game of Melee can be led to."""
    from shadowbox.games.melee.live.menus import STAGES

    return list(STAGES)


def worlds(text: str, given: Given) -> list[str]:
    """The game's simulator with its options, and learned worlds that come with it."""
    game = _game(given)
    own = [game.name] if game.world else []
    if own and text.startswith(f"{game.name}@"):
        before = text.rpartition("@")[0]
        return [
            f"{before}@{name}={v}" for name, values in game.world_choices.items() for v in values
        ]
    return [*own, *(f"dream:{name}" for name in sorted(game.worlds)), "dream:", "py:"]


def stages(text: str, given: Given) -> list[str]:
    """Stages of the game's simulator."""
    return list(_game(given).world_choices.get("stage", ()))


def presets(text: str, given: Given) -> list[str]:
    """Presets of policies that learn from a store."""
    from shadowbox.model.design import PRESETS

    return list(PRESETS)


def runs(text: str, given: Given) -> list[str]:
    """Folders of runs; after @ the checkpoint of one."""
    from shadowbox.train.runs import runs_in

    run, mark, _ = text.partition("@")
    if mark:
        return [f"{run}@best", f"{run}@latest", f"{run}@step="]
    return [str(each.path) for each in runs_in()]


def policies(text: str, given: Given) -> list[str]:
    """Runs, as agents."""
    return [f"policy:{run}" for run in runs(text.partition(":")[2], given)]


def cards(text: str, given: Given) -> list[str]:
    """Run cards of the current folder."""
    return sorted(path.stem for path in Path("cards").glob("*.md") if path.stem != "README")


def runs_and_cards(text: str, given: Given) -> list[str]:
    """Folders of runs, and cards."""
    return [*runs(text, given), *cards(text, given)]


def stores(text: str, given: Given) -> list[str]:
    """Stores in the current folder and in data/."""
    return [str(path) for path in _stores(Path())]


def episodes(text: str, given: Given) -> list[str]:
    """Stores; after # the episodes of one."""
    from shadowbox.data.store import Store

    path, mark, _ = text.partition("#")
    if not mark:
        return [f"{store}#" for store in stores(text, given)]
    return [f"{path}#{number}" for number in range(min(len(Store(path)), MOST_EPISODES))]


def _game(given: Given) -> Game:
    name = next((given[key] for key in ("game", "named", "name") if given.get(key)), "brawl")
    return rooms.load(str(name))


def _stores(folder: Path, depth: int = STORE_DEPTH) -> Iterator[Path]:
    """Folders with a manifest, hidden ones left out."""
    for entry in sorted(folder.iterdir()) if depth else ():
        if entry.name.startswith(".") or entry.is_symlink() or not entry.is_dir():
            continue
        if (entry / "manifest.json").is_file():
            yield entry
        else:
            yield from _stores(entry, depth - 1)


# By what a help text calls an argument (its metavar), else by its name in the code.
BY_METAVAR: dict[str, Callable[[str, Given], list[str]]] = {
    "CARD": cards,
    "CARD...": cards,
    "[CARD...]": cards,
    "CARD CARD": cards,
    "RUN": runs,
    "RUN...": runs,
    "policy:RUN": policies,
    "STORE": stores,
    "STORE...": stores,
    "[STORE]...": stores,
    "STORE#EPISODE": episodes,
    "STORE#EPISODE...": episodes,
    "STORE[#EPISODE]": episodes,
    "STORE#EPISODE:FRAME": episodes,
    "STORE#EPISODE:ROW": episodes,
}
BY_NAME: dict[str, Callable[[str, Given], list[str]]] = {
    "game": games,
    "named": games,
    "p0": agents,
    "p1": agents,
    "agents": agents,
    "against": agents,
    "opponent": agents,
    "opponents": agents,
    "world": worlds,
    "worlds": worlds,
    "stage": stages,
    "preset": presets,
    "checkpoint": runs,
    "parent": runs,
    "run": runs,
    "store": stores,
}
BY_COMMAND: dict[tuple[str, str], Callable[[str, Given], list[str]]] = {
    ("games", "name"): games,
    ("eval", "by"): agents,  # elsewhere a key of metadata
    ("melee", "p0"): live_seats,
    ("melee", "p1"): live_seats,
    ("melee", "stage"): live_stages,
    ("report", "what"): runs_and_cards,
}
