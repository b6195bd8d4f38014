"""Shared by the tests: small schemas, episodes that fit any schema, and strategies for both."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# before NumPy and torch load: their threads fight on two cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # of pytest-xdist's workers: tables would be wrapped to it

import numpy as np
import pytest
from browser import chromium, visit  # noqa: F401  fixtures of every test that looks at a page
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from serving import browse, server  # noqa: F401  a server of its own, and a browser that looks at it
from walkthrough import write_files

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Choice, Columns, Field, Flag, Group, Real, Schema

pytest_plugins = ["promises"]  # the fixtures of tests about cards

settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def paddles(tmp_path_factory):
    """The game of docs/add-a-game.md, importable; its name on the command line."""
    folder = tmp_path_factory.mktemp("paddles")
    write_files(folder)
    sys.path.insert(0, str(folder))
    yield "paddles:GAME"
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def replays():
    """The folder of real replays, in none of which anything may fail.

    They are not part of the project.
    """
    root = Path(__file__).parents[1]
    folder = root / os.environ.get("SHADOWBOX_REPLAYS", "../shared/replays")
    if not (folder / "replays.csv").exists():
        pytest.skip(f"no real replays at {folder}; SHADOWBOX_REPLAYS names another folder")
    return folder


TOY = Schema(
    "toy",
    fps=60,
    state=(
        Group(
            "stage", (Choice("id", 4, predict="no"), Real("wind", low=-2, high=2, mirror="negate"))
        ),
        Group(
            "player",
            (
                Real("x", scale=0.05, unit="m", low=-100, high=100, mirror="negate"),
                Real("percent", scale=0.01, unit="%", low=0, high=999, store="f2"),
                Flag("on_ground"),
                Flag("facing_right", mirror="invert"),
                Choice("action", 300),
                Choice("hit_by", 3, seat=True),
            ),
            slots=2,
            per="player",
        ),
        Group(
            "item",
            (Flag("alive"), Real("x", low=1, high=9), Choice("kind", 5)),
            slots=3,
            mask="alive",
        ),
    ),
    controls=Group(
        "pad",
        (Flag("left", mirror="right"), Flag("right", mirror="left"), Flag("a")),
        slots=2,
        per="player",
    ),
)


@pytest.fixture
def toy() -> Schema:
    """A schema with every kind, per-player and masked groups, seats and partners."""
    return TOY


def random_columns(schema: Schema, rows: int, seed: int) -> Columns:
    """Values that the schema allows, [rows, slots]; what a slot's mask hides is zero."""
    draws = np.random.default_rng(seed)
    columns: Columns = {}
    for key, column in schema.columns.items():
        field, shape = column.field, (rows, column.slots)
        low, high = field.limits
        if isinstance(field, Real):
            # survives its storage
            values = draws.uniform(max(low, -1000), min(high, 1000), shape).astype(field.store)
            columns[key] = np.clip(values.astype(np.float32), low, high)
        elif isinstance(field, Flag):
            columns[key] = draws.random(shape) < 0.4
        else:
            columns[key] = draws.integers(0, field.n, shape).astype(column.dtype)
    for key, column in schema.columns.items():
        if column.group.mask and column.field.name != column.group.mask:
            columns[key] = columns[key] * columns[f"{column.group.name}/{column.group.mask}"]
    return columns


def random_episode(schema: Schema, frames: int, seed: int = 0, **meta: object) -> Episode:
    """An episode of `frames` decisions with a few events."""
    draws = np.random.default_rng(seed + 1)
    events = np.zeros(min(frames, 5), EVENT)
    events["frame"] = np.sort(draws.integers(0, frames + 1, len(events)))
    events["value"] = draws.integers(1, 20, len(events))
    events["other"] = schema.players - 1
    return Episode(random_columns(schema, frames + 1, seed), {"seed": seed, **meta}, events)


names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)


@st.composite
def fields(draw: st.DrawFn, name: str) -> Field:
    """Any field of any kind."""
    kind = draw(st.sampled_from(["real", "flag", "choice"]))
    if kind == "real":
        bound = draw(st.sampled_from([None, 0.5, 100.0]))
        low = None if bound is None else -bound
        mirror = draw(st.sampled_from(["keep", "negate"]))
        return Real(
            name, low=low, high=bound, store=draw(st.sampled_from(["f2", "f4"])), mirror=mirror
        )
    if kind == "flag":
        return Flag(name, mirror=draw(st.sampled_from(["keep", "invert"])))
    return Choice(name, draw(st.sampled_from([1, 2, 255, 256, 257, 65536, 65537])))


@st.composite
def groups(draw: st.DrawFn, name: str, players: int, *, controls: bool = False) -> Group:
    """Any group; a control group has slots per player."""
    per = "player" if controls or draw(st.booleans()) else None
    slots = players * draw(st.integers(1, 2)) if per else draw(st.integers(1, 4))
    members = [draw(fields(n)) for n in draw(st.lists(names, min_size=1, max_size=6, unique=True))]
    mask = next((f.name for f in members if isinstance(f, Flag) and f.mirror == "keep"), None)
    return Group(
        name,
        tuple(members),
        slots=slots,
        per=per,
        mask=mask if draw(st.booleans()) and not controls else None,
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Any schema of one to three players."""
    players = draw(st.integers(1, 3))
    *state, controls = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return Schema(
        "any",
        fps=30,
        state=tuple(draw(groups(name, players)) for name in state),
        controls=draw(groups(controls, players, controls=True)),
        players=players,
    )
