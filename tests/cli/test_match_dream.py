"""`shadowbox match` in a learned world: from a recorded moment, cut off, with its frames as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_worlds

from shadowbox import cli
from shadowbox.cli.text.what_if import what_if_text
from shadowbox.data.frames_json import read_frames
from shadowbox.data.store import Store
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds.unseen import unseen_share
from shadowbox.evaluate.worlds.what_if import what_if
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import checkpoints, specs
from shadowbox.play.turn import MatchBatch
from shadowbox.train.loop import train

BRAWL = small_worlds.BRAWL
SCHEMA = BRAWL.schema


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a store, a world and a policy that were trained on it for a few steps."""
    folder = tmp_path_factory.mktemp("match")
    store = small_worlds.recorded(folder / "store")
    run = small_worlds.trained(store, folder / "world")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"store": str(folder / "store")}))
    given = Inputs(
        spec=RunSpec(BRAWL, "policy-mlp", {}, {}),
        config=small_worlds.config(steps=2),
        store=store,
        split=small_worlds.HALF,
    )
    train(learner_spec("imitation").prepare(given), folder / "policy", given.config)
    return folder


def call(capsys, *arguments):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def matched(capsys, place, *arguments, agents=("based", "based"), options=""):
    """The facts of a match in the world of `place`."""
    players = ("--p0", agents[0], "--p1", agents[1])
    world = f"dream:{place / 'world'}{options}"
    code, out, err = call(
        capsys, "match", "brawl", "--world", world, *players, *arguments, "--json"
    )
    assert code == 0, err
    return json.loads(out)


def test_a_match_from_a_recorded_moment(capsys, place, tmp_path):
    """It begins with the recorded row, ends after --max-frames, and its JSON holds its columns."""
    start, frames = f"{place / 'store'}#2:40", tmp_path / "deep" / "frames.jsonl"
    facts = matched(
        capsys, place, "--context", start, "--max-frames", 30, "--frames-json", frames,
        "--store", tmp_path / "s",
    )  # fmt: skip
    assert (facts["frames"], facts["reason"], facts["winner"]) == (30, "the limit of frames", None)
    assert set(facts["stocks"]) <= {0, 1, 2, 3, 4}
    episode = Store(tmp_path / "s").episode(0)
    recorded = Store(place / "store").episode(2)
    for key in SCHEMA.state_keys:
        np.testing.assert_array_equal(episode.columns[key][0], recorded.columns[key][40], key)
    again = read_frames(SCHEMA, frames.read_text().splitlines(), BRAWL.event_kinds)
    for key, values in episode.columns.items():
        np.testing.assert_array_equal(again.columns[key], values, key)
    for name in ("frame", "kind", "player", "other", "what", "value"):
        np.testing.assert_array_equal(again.events[name], episode.events[name], name)


def test_a_learned_world_watches_the_rows_before(place):
    """A dream that begins from a recorded row remembers as many of the rows before as it can."""
    world = specs.world(f"dream:{place / 'world'}", BRAWL, 1)
    columns = Store(place / "store").episode(0).columns
    past = {key: columns[key][:21, None] for key in SCHEMA.columns}
    batch = MatchBatch(BRAWL, world, [specs.agent("based", BRAWL)] * 2)
    batch.begin(np.array([3]), past=past)
    context = world.context()
    rows = len(context["match/frame"])
    assert rows == small_worlds.LEARNER["past_rows"]
    for key in SCHEMA.columns:
        np.testing.assert_array_equal(context[key][:, 0], columns[key][20 - rows : 20], key)


def test_data_and_sizes_are_compared(capsys, place):
    """One policy plays in both slots; its data is that of the world, the champion's is not known."""
    policy = f"policy:{place / 'policy'}"
    facts = matched(capsys, place, "--max-frames", 20, agents=(policy, policy))
    learned, fingerprint = facts["learned"], Store(place / "store").fingerprint
    assert [each["spec"] for each in learned["players"]] == [policy, policy]
    for each in (learned["world"], *learned["players"]):
        assert each["fingerprint"] == fingerprint
        run = checkpoints.folder_of_spec(each["spec"], BRAWL).parent.parent
        assert each["parameters"] == json.loads((run / "run.json").read_text())["parameters"]
    assert learned["differences"] == []
    facts = matched(capsys, place, "--max-frames", 5, agents=("policy:champion@delay=6", "based"))
    assert facts["learned"]["players"][0]["parameters"] > 10_000
    assert not facts["learned"]["players"][1]["learned"]
    assert facts["learned"]["differences"] == [
        "no recordings are known that policy:champion@delay=6 was trained on"
    ]


def test_frames_outside_of_the_training_data(capsys, place):
    """Training rows are inside; a value or a state that they never had is outside, by its name."""
    spec = f"dream:{place / 'world'}"
    world, folder = specs.world(spec, BRAWL, 1), checkpoints.folder_of_spec(spec, BRAWL)
    store = Store(place / "store")
    trained = small_worlds.HALF.episodes(store, "train")
    rows = store.schema.unpack(store.rows_of(int(trained[0])), SCHEMA.state_keys)
    inside = unseen_share(BRAWL, world, folder, rows)
    assert (inside.share, inside.frames) == (0.0, len(rows["player/x"]))
    assert 0 < inside.held_out < 1
    assert inside.reference == f"rows of {len(trained)} matches that it was trained on"
    fast = rows | {"player/vx": rows["player/vx"] + np.float32(60)}
    assert unseen_share(BRAWL, world, folder, fast).by == {"player/vx": 1.0}
    state = rows["player/state"].copy()
    state[5] = 1 - (rows["player/move"][5] > 0)  # an attack without a move, or a move without one
    half = rows | {"player/state": state}
    assert unseen_share(BRAWL, world, folder, half).share == 1 / len(state)
    facts = matched(capsys, place, "--max-frames", 40)
    assert 0 <= facts["unseen"]["share"] <= 1
    run = place / "world" / "run.json"
    known = run.read_text()
    run.write_text(json.dumps(json.loads(known) | {"store": "elsewhere"}))
    carried = unseen_share(BRAWL, world, folder, rows)
    run.write_text(known)
    assert carried.reference == "the 7 recorded moments that it carries"


def test_frames_on_standard_output(capsys, place):
    """With `-` standard output has the frames alone, and the result goes to standard error."""
    arguments = ("match", "brawl", "--p0", "based", "--p1", "based", "--max-frames", 3)
    code, out, err = call(capsys, *arguments, "--frames-json", "-")
    assert code == 0
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [0, 1, 2, 3]
    assert "after 3 frames" in err
    code, out, err = call(capsys, *arguments, "--frames-json", "-", "--json")
    assert code == 2
    assert "name a file" in json.loads(out)["error"]
    code, out, err = call(capsys, *arguments[:-1], 20_001)
    assert "20001 is not in the range 1<=x<=20000" in err


def test_what_if_in_a_dream(place):
    """A dream answers beside the simulator, after a warning; its samples differ by its draws."""
    world, where = f"dream:{place / 'world'}", f"{place / 'store'}#0:60"
    found = what_if(world, where, config=EvalConfig(samples=3))
    assert what_if_text(found).startswith(f"WARNING: {world} was never evaluated on brawl")
    ways = [(branch.world, branch.by) for branch in found.branches]
    assert ways == [(w, by) for w in (world, "brawl") for by in ("recorded", "neutral")]
    recorded = Store(place / "store").episode(0).columns["player/x"]
    for branch in found.branches:
        np.testing.assert_array_equal(branch.rows["player/x"][0], recorded[60])
    dream, simulator = found.recorded_in(world).rows, found.recorded_in("brawl").rows
    rows = min(len(simulator["player/x"]), 30)
    np.testing.assert_array_equal(simulator["player/x"][:rows], recorded[60 : 60 + rows])
    assert (dream["player/x"][:rows] != simulator["player/x"][:rows]).any()
