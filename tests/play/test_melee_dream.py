"""Dreams of Melee: our world and that of an older system, played by the same code."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import small_melee
import torch
from small_melee import LEARNER, MELEE, OLDER
from small_worlds import copied

from shadowbox.bench import peers
from shadowbox.errors import CheckpointError
from shadowbox.games.melee import slp
from shadowbox.games.melee.encodings import encoding
from shadowbox.games.melee.export import LEAD
from shadowbox.games.melee.replay import read
from shadowbox.model.world.older_heads import predicted
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.testing import check_world

SCHEMA = MELEE.schema
HELD = ("stage/left_height", "item/alive", "item/x", "item/type")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Made-up matches."""
    return small_melee.recorded(tmp_path_factory.mktemp("melee") / "s")


@pytest.fixture(scope="module", params=list(LEARNER))
def run(request, store, tmp_path_factory):
    """A run of a few steps, of each kind of world."""
    return small_melee.trained(store, tmp_path_factory.mktemp("run") / "r", request.param)


@pytest.fixture(scope="module")
def older(store, tmp_path_factory):
    """A run of the older world."""
    return small_melee.trained(store, tmp_path_factory.mktemp("older") / "r", OLDER)


def dream(run, matches, options="@frames=70", game=MELEE):
    """A dream of the run."""
    return specs.world(f"dream:{run}{options}", game, matches)


def dreamt(world, frames, seed=0):
    """Rows of matches with random controls, [frames + 1, N, slots]."""
    rows = [copied(world.reset(np.arange(world.matches) + seed))]
    for frame in range(frames):
        rows.append(copied(world.step(small_melee.pressed(world.matches, frame))[0]))
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def test_it_keeps_the_promises_of_a_world(run):
    """Seeds decide everything, neighbors nothing; snapshots are exact."""
    check_world(lambda matches: dream(run, matches), MELEE, frames=20)


def test_time_goes_on(run):
    """The clock ticks by a frame however long a match is, beyond the precision that it is stored in."""
    world = dream(run, 2)
    row = {key: values[:] for key, values in copied(world.reset(np.arange(2))).items()}
    row["stage/clock"][:] = 300
    world.load({key: row[key] for key in SCHEMA.state_keys})
    for _ in range(3):
        columns, _, _ = world.step(small_melee.pressed(2, 0))
    np.testing.assert_allclose(columns["stage/clock"], 300 + 3 / 60, atol=1e-4)


def test_the_last_stock_ends_a_match(run):
    """A dream is over when a player has no stock left, and it changes no more."""
    world = dream(run, 2)
    row = copied(world.reset(np.arange(2)))
    row["player/stocks"][0, 1] = 0
    world.load({key: row[key] for key in SCHEMA.state_keys})
    columns, events, _ = world.step(small_melee.pressed(2, 0))
    assert not (events["match"] == 0).any()
    assert (columns["player/x"][0] == row["player/x"][0]).all()
    assert (columns["player/stocks"][1] > 0).all()


def test_rules_are_kept(run):
    """No hitstun without its flag; every value is within the range of its field."""
    rows = dreamt(dream(run, 8), 40)
    assert (rows["player/hitstun"][1:][~rows["player/in_hitstun"][1:]] == 0).all()
    for key in SCHEMA.state_keys:
        low, high = SCHEMA.columns[key].field.limits
        assert ((rows[key] >= low) & (rows[key] <= high)).all(), key


def test_a_dreamt_match_is_a_replay(run, tmp_path):
    """It is written as `.slp`, names the dream, and every reader finds its frames and its players."""
    agents = [specs.agent("random", MELEE) for _ in range(2)]
    world = dream(run, 1, "@frames=40")
    played = next(play(MELEE, world, agents, ("random", "random"), np.array([3])))
    path = tmp_path / "match.slp"
    MELEE.writers["slp"](played.episode, path)
    (back,) = read(path.read_bytes(), "match")
    assert back.rows == played.episode.rows
    for key in SCHEMA.columns:
        if key.startswith(("player/", "pad/", "item/")):
            # a stored value is as precise as its column
            np.testing.assert_allclose(
                back.columns[key].astype(float), played.episode.columns[key].astype(float),
                rtol=1e-3, atol=1e-3, err_msg=key,
            )  # fmt: skip
    assert slp.read(path).metadata["consoleNick"] == "a dream of Shadowbox"
    for reader in ("peppi", "pyslippi"):
        if peers.interpreter(reader) is not None:
            assert peers.ask(reader, "dump", str(tmp_path), str(path)) is None
            theirs = np.load(tmp_path / "0.npz")
            assert len(theirs["frames.id"]) == LEAD + back.rows
            x = [name for name in theirs if name.endswith("post.position.x")]
            found = np.stack([theirs[name] for name in sorted(x)], 1)
            np.testing.assert_allclose(found[LEAD:], played.episode.columns["player/x"], atol=1e-4)


def test_events_decide_in_our_world_alone(store, tmp_path):
    """In a chain percent falls at a rebirth alone, and stocks one at a time; the older world draws both."""
    run = small_melee.trained(store, tmp_path / "r", "tiny")
    world = dream(run, 24)
    with torch.no_grad():  # every joint event is equally likely
        world.model.heads.parts["events"].out.bias.zero_()
    rows = dreamt(world, 60)
    before, after = ({k: v[cut] for k, v in rows.items()} for cut in (slice(-1), slice(1, None)))
    rebirth = SCHEMA.columns["player/action"].field.names.index("rebirth")
    back = (after["player/action"] == rebirth) & (before["player/action"] != rebirth)
    falls = after["player/percent"] < before["player/percent"]
    assert falls.any()
    assert not (falls & ~back).any()
    lost = before["player/stocks"].astype(int) - after["player/stocks"]
    assert set(np.unique(lost)) <= {0, 1}


def test_an_older_world_holds_what_it_does_not_predict(older):
    """Items and moving platforms stay as they were; the age counts the frames in an action."""
    world = dream(older, 8, "@start=any@frames=70")
    rows = dreamt(world, 30)
    for key in HELD:
        assert (rows[key] == rows[key][:1]).all(), key
    kept = rows["player/action"][1:] == rows["player/action"][:-1]
    expected = np.where(kept, rows["player/age"][:-1] + 1, 0)
    np.testing.assert_array_equal(rows["player/age"][1:], expected)
    assert kept.any()
    assert not kept.all()
    assert sum(world.projected.values()) > 0  # squared errors know no bounds


def test_every_field_that_an_older_world_predicts_changes_the_state(older):
    """A field that the heads give and the dream does not apply would stay as it was."""
    world = dream(older, 16)
    with torch.no_grad():  # every flag and category is equally likely
        for name, head in world.model.heads.items():
            if name not in ("continuous", "velocity", "dynamics"):
                head.weight.zero_()
                head.bias.zero_()
        world.model.heads["dynamics"].weight.mul_(3)
    rows = dreamt(world, 20)
    for key in predicted(world.model.encoding):
        assert (rows[key][1:] != rows[key][:-1]).any(), f"{key} is never changed"


def test_an_older_world_draws_by_seed(older):
    """Flags and categories are drawn: another seed, another match; the likeliest ones are the same."""
    moved = []
    for draw in ("sample", "likely"):
        world = dream(older, 2, f"@draw={draw}")
        with torch.no_grad():  # all actions are equally likely
            for player in range(2):
                world.model.heads[f"action_{player}"].weight.zero_()
                world.model.heads[f"action_{player}"].bias.zero_()
        row = {k: v[:1].repeat(2, 0) for k, v in copied(world.reset(np.arange(2))).items()}
        world.load({key: row[key] for key in SCHEMA.state_keys})
        for frame in range(5):
            controls = small_melee.pressed(1, frame)
            controls = {key: values.repeat(2, 0) for key, values in controls.items()}
            action = copied(world.step(controls)[0])["player/action"]
        moved.append((action[0] != action[1]).any())
    assert moved == [True, False]


def test_it_reads_the_controls_of_both_frames(older):
    """An older world reads the controls pressed now, and those of the frame before, which it remembers."""
    model = dream(older, 1).model
    columns = {key: torch.zeros(1, SCHEMA.columns[key].slots) for key in SCHEMA.state_keys}
    columns = {
        key: values.to(torch.bool if SCHEMA.columns[key].dtype == bool else torch.float32)
        for key, values in columns.items()
    }
    never, level = torch.zeros(1, dtype=torch.bool), torch.zeros(1)
    with torch.no_grad():
        features = []
        for first in (0, 1):
            memory = model.initial(1, never.device)
            for seed in (first, 2):
                keys = {k: torch.from_numpy(v) for k, v in small_melee.pressed(1, seed).items()}
                h, memory = model.step({**columns, **keys}, memory, never, level)
            features.append((h, memory))
    assert (features[0][0] != features[1][0]).any()
    for key in SCHEMA.control_keys:
        torch.testing.assert_close(features[0][1][key], features[1][1][key])


def test_another_encoding_is_refused(older):
    """A checkpoint of an older world needs the encoding that it was trained on."""
    others = dict(MELEE.encodings) | {"v3-projectiles": encoding("v3")}
    game = dataclasses.replace(MELEE, encoding=None, encodings=others)
    with pytest.raises(CheckpointError, match="expects the encoding"):
        dream(older, 1, game=game)
