"""Agents that begin in the middle of a match remember it as if they had played it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox import cli
from shadowbox.core.view import from_seat
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.play.agent import Delayed, Replay
from shadowbox.play.match import play
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.specs import recorded_start
from shadowbox.play.turn import MatchBatch
from shadowbox.play.warm_start import context_views, put_part, warm_start

BRAWL = load("brawl")
KEYS = BRAWL.schema.control_keys


def match(p0="based", p1="random", seed=7, time_limit=150, **more):
    """One short match of two bots."""
    world = BRAWL.world(1, time_limit=time_limit)
    agents = [BRAWL.bots[name]() if isinstance(name, str) else name for name in (p0, p1)]
    (played,) = play(BRAWL, world, agents, ("one", "two"), np.array([seed]), **more)
    return played.episode


def stored(path, *episodes):
    """A store of these episodes."""
    with Writer(path, BRAWL.schema, event_kinds=BRAWL.event_kinds) as writer:
        for episode in episodes:
            writer.add(episode)
    return path


def leaves(state):
    """All arrays and tensors of a state, in order."""
    if isinstance(state, dict):
        return [leaf for key, value in state.items() if key != "last" for leaf in leaves(value)]
    if isinstance(state, list | tuple):
        return [leaf for value in state for leaf in leaves(value)]
    return [np.asarray(state)] if isinstance(state, np.ndarray | torch.Tensor) else []


def assert_same_state(one, two):
    """Equal bit for bit."""
    ours, theirs = leaves(one), leaves(two)
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def policies():
    """A policy of each kind of memory: a recurrent one, a window, a transformer, a delayed one."""
    for preset, changes in (
        ("small", {}),
        ("policy-mlp", {"frames": 4}),
        ("transformer", {"frames": 12}),
        ("small", {"delay": 3}),
    ):
        arguments = policy.preset_arguments(preset, BRAWL.encodings["default"], width=16, **changes)
        yield PolicyAgent(policy.build_policy(BRAWL.schema, arguments, 3), block=4)


class Kept:
    """An agent whose states are kept, one for each decision."""

    def __init__(self, agent):
        self.agent, self.states = agent, []

    def start(self, seeds, players, state=None, where=None):
        return self.agent.start(seeds, players, state, where)

    def act(self, view, state):
        self.states.append(state)
        return self.agent.act(view, state)


@settings(max_examples=5)
@given(st.sampled_from(range(4)), st.integers(0, 1), st.integers(0, 99), st.integers(1, 60))
def test_a_policys_memory_is_that_of_having_played(kind, seat, seed, row):
    """Warmed up with the rows before any row, a policy has the memory it had there, bit for bit."""
    agent = Kept(list(policies())[kind])
    agents = [agent, BRAWL.bots["based"]()][:: 1 if seat == 0 else -1]
    episode = match(*agents, seed=seed, time_limit=61)
    past = {key: values[:row, None] for key, values in episode.columns.items()}
    warm = warm_start(agent.agent, BRAWL.schema, past, np.array([seed]), np.array([seat]))
    assert_same_state(warm, agent.states[row])


@pytest.mark.parametrize(("p0", "p1"), [("based", "random"), ("switcher", "expert")])
def test_a_match_from_a_recorded_row_goes_on_as_recorded(p0, p1):
    """The same agents and seed, begun from any row of a match, give its remaining rows and events."""
    whole = match(p0, p1)
    for row in (0, 77, whole.frames - 1):
        past = {key: values[: row + 1] for key, values in whole.columns.items()}
        rest = match(p0, p1, past=past)
        assert rest.rows == whole.rows - row
        for key, values in whole.columns.items():
            np.testing.assert_array_equal(rest.columns[key], values[row:], err_msg=f"{key} {row}")
        later = whole.events[whole.events["frame"] > row].copy()
        later["frame"] -= row
        np.testing.assert_array_equal(rest.events, later)


def test_a_delayed_policy_and_a_replay_go_on_as_recorded():
    """A queue of late views and the position in a recording are warmed up, too."""
    arguments = policy.preset_arguments("small", BRAWL.encodings["default"], width=16)
    model = policy.build_policy(BRAWL.schema, arguments, 3)
    recorded = match(time_limit=61)

    def agents():
        pressed = {key: recorded.columns[key][:-1] for key in KEYS}
        return Delayed(PolicyAgent(model), 5), Replay(pressed)

    whole = match(*agents(), time_limit=61)
    rest = match(*agents(), time_limit=61, past={k: v[:21] for k, v in whole.columns.items()})
    for key, values in whole.columns.items():
        np.testing.assert_array_equal(rest.columns[key], values[20:], err_msg=key)


@pytest.mark.parametrize(
    "make", [lambda: next(policies()), lambda: Delayed(next(policies()), 3), BRAWL.bots["based"]]
)
def test_some_matches_of_many_are_warmed_up(make):
    """The chosen places get the state of having watched, the others keep theirs."""
    episodes = [match(seed=seed, time_limit=30) for seed in range(7)]
    past = {
        key: np.stack([episode.columns[key][:-1] for episode in episodes], 1)
        for key in BRAWL.schema.columns
    }
    seeds, seats = np.arange(7), np.zeros(7, np.int64)
    where = np.array([False, True, False, False, True, True, False])
    agent = make()
    all_warm = warm_start(agent, BRAWL.schema, past, seeds, seats)
    older = agent.start(seeds + 50, seats)
    for view in context_views(BRAWL.schema, past)[:9]:
        _, older = agent.act(from_seat(BRAWL.schema, view, 0), older)
    some = {key: values[:, where] for key, values in past.items()}
    mixed = warm_start(agent, BRAWL.schema, some, seeds, seats, older, where)
    view = {key: values[-1] for key, values in past.items()}
    decided = [agent.act(view, state)[0] for state in (mixed, all_warm, older)]
    for key in KEYS:
        mixed_keys, warm_keys, older_keys = (one[key][:, 0] for one in decided)
        np.testing.assert_array_equal(mixed_keys[where], warm_keys[where])
        np.testing.assert_array_equal(mixed_keys[~where], older_keys[~where])


def test_a_state_that_cannot_be_merged_is_refused():
    """A state of lists or of other lengths is refused: its agent must merge it itself."""
    where = np.array([True, False, True])
    with pytest.raises(UsageError, match="give the agent a method put"):
        put_part({"memory": [1, 2, 3]}, {"memory": [1, 2]}, where)
    with pytest.raises(UsageError, match="warm start of 2 of 3 matches"):
        put_part(np.zeros(4), np.zeros(4), where)
    assert put_part((5, None, "x"), (2, None, "y"), where) == (5, None, "x")


class Dreamlike:
    """A world that begins each match in the middle of a recorded one, and says how it came there."""

    def __init__(self, matches, rows=12):
        self.world, self.rows = BRAWL.world(matches, time_limit=90), rows
        self.schema, self.matches, self.name = BRAWL.schema, matches, "dreamlike"
        self.step, self.snapshot, self.restore = (
            self.world.step,
            self.world.snapshot,
            self.world.restore,
        )
        self._past = {}

    def reset(self, seeds, where=None):
        chosen = np.ones(self.matches, bool) if where is None else where
        whole = [match(seed=int(seed), time_limit=90) for seed in seeds[chosen]]
        self._past = {
            key: np.stack([one.columns[key][: self.rows + 1] for one in whole], 1)
            for key in BRAWL.schema.columns
        }
        self.world.reset(seeds, where)
        return self.world.load({key: rows[-1] for key, rows in self._past.items()}, chosen)

    def context(self, where=None):
        return {key: rows[:-1] for key, rows in self._past.items()}


def test_a_world_that_offers_a_context_warms_its_agents_up():
    """Agents of a world with a context are warmed up, also where single matches begin anew."""
    batch = MatchBatch(BRAWL, Dreamlike(3), [BRAWL.bots["based"](), next(policies())])
    seeds = np.array([1, 2, 3])
    batch.begin(seeds)
    assert [batch.pressed[key][1].tolist() for key in KEYS] == [
        match(seed=2, time_limit=90).columns[key][11].tolist() for key in KEYS
    ]
    memory = batch.referees[1]._state
    assert (memory["frame"] == 12).all()
    assert batch.context["player/x"].shape == (12, 3, 2)
    for _ in range(4):
        batch.turn()
    batch.begin(seeds, np.array([False, True, False]))
    assert batch.referees[1]._state["frame"].tolist() == [16, 12, 16]
    assert batch.rows.tolist() == [4, 0, 4]
    assert batch.context["player/x"].shape == (12, 1, 2)


def test_a_world_that_cannot_load_is_refused():
    """A recorded row needs a world with `load`."""
    world = Dreamlike(1)
    batch = MatchBatch(BRAWL, world, [BRAWL.bots["based"]()] * 2)
    with pytest.raises(UsageError, match=r"dreamlike cannot begin from a recorded row"):
        batch.begin(np.array([1]), past={k: v[:3, None] for k, v in match().columns.items()})


# ---- on the command line -------------------------------------------------------------------------


def run(capsys, *arguments):
    """Status, the object of --json, the error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return stop.value.code, json.loads(out) if out else None, err


def test_match_from_a_row(capsys, tmp_path):
    """`match --from STORE#0:100` goes on in the recorded world with the recorded seed, and says so."""
    whole = match("aggressive", "defensive", seed=11)
    store = stored(tmp_path / "s", whole)
    arguments = ("match", "brawl", "--p0", "aggressive", "--p1", "defensive")
    code, facts, _ = run(capsys, *arguments, "--from", f"{store}#0:100", "--store", tmp_path / "t")
    assert code == 0
    assert (facts["seed"], facts["frames"]) == (11, whole.frames - 100)
    assert facts["world"] == "brawl@time_limit=150"
    rest = Store(tmp_path / "t").episode(0)
    assert rest.meta["from"] == f"{store}#0:100"
    for key, values in whole.columns.items():
        np.testing.assert_array_equal(rest.columns[key], values[100:])
    code, other, _ = run(capsys, *arguments, "--from", f"{store}#0:100", "--seed", "5")
    assert (code, other["seed"]) == (0, 5)
    assert other["fingerprint"] != facts["fingerprint"]


@pytest.fixture(scope="module")
def one_match(tmp_path_factory):
    """A store of one match."""
    return stored(tmp_path_factory.mktemp("one") / "s", match())


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "expected STORE#EPISODE:ROW"),
        ("{}#0", "expected STORE#EPISODE:ROW"),
        ("{}#5:0", "has no episode 5"),
        ("{}#0:150", "has 150 decisions, in the rows 0 to 149"),
        ("nowhere#0:1", "nowhere"),
    ],
)
def test_rows_that_are_not_there(one_match, where, message):
    """A start that names no row of a stored match is refused in one line."""
    with pytest.raises(ShadowboxError, match=message):
        recorded_start(where.format(one_match), BRAWL)
