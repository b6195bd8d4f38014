"""Super Smash Bros. Melee: reads Slippi replays, derives events, encodes and draws frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowbox.core.episode import Episode
from shadowbox.core.game import Game
from shadowbox.core.schema import Columns
from shadowbox.games.melee.accept import DEFAULTS, FILTERS
from shadowbox.games.melee.couplings import couplings, hits, impossible
from shadowbox.games.melee.dynamics import DYNAMICS
from shadowbox.games.melee.encodings import PRESETS, encoding
from shadowbox.games.melee.events import WHATS, attacks, events, outcome
from shadowbox.games.melee.schema import EVENTS, LEARNED, SCHEMA

# compressed by other tools, with what undoes it
MISSING = {
    ".zlp": ".zlp is not read: unpack it with `slippc -x FILE`, or pack replays as .slp.xz",
}
# fields in which a learned world must beat every baseline
JUDGED = ("x", "y", "percent", "air_vx", "vy", "knock_vx", "action", "hitstun")


def places(columns: Columns) -> tuple[str, ...]:
    """Side of the stage on which each fighter began, for each player: left or right."""
    return tuple("left" if x < 0 else "right" for x in columns["player/x"][0])


def scene() -> Mapping[str, Any]:
    """Scene that the viewer draws, imported on demand."""
    from shadowbox.games.melee.scene import SCENE

    return SCENE


def _write_slp(episode: Episode, path: Path) -> None:
    from shadowbox.games.melee.export import write_slp

    write_slp(episode, path)


GAME = Game(
    name="melee",
    title="Super Smash Bros. Melee, two players, out of Slippi replays",
    schema=SCHEMA,
    event_kinds=EVENTS,
    event_whats=WHATS,
    reader="shadowbox.games.melee.replay:read",
    reader_endings=(".slp", ".slpz", ".pt"),
    reader_missing=MISSING,
    reader_options=DEFAULTS,
    reader_filters=FILTERS,
    events=events,
    outcome=outcome,
    attacks=attacks,
    places=places,
    hits=hits,
    couplings=couplings,
    impossible=impossible,
    world_fields=tuple(f"player/{name}" for name in JUDGED),
    dynamics=DYNAMICS,
    writers={"slp": _write_slp},
    encodings={"default": LEARNED, **{name: encoding(name) for name in PRESETS}},
    encoding=encoding,
    scene=scene,
    learns_by=("imitation", "encoder", "dynamics"),
)
