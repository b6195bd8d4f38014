"""The probabilities that a policy shows beside a match, and the temperature that can be set."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.model.strategy.read_out import read_out
from shadowbox.play.agent import Delayed
from shadowbox.play.match import play
from shadowbox.play.match_facts import fingerprint
from shadowbox.play.policy_agent import TUNED, PolicyAgent, SamplingConfig, as_tensor
from shadowbox.testing import check_agent

BRAWL = load("brawl")
KEYS = BRAWL.schema.control_keys


def untrained(preset="small", **changes):
    """A policy with random weights."""
    arguments = policy.preset_arguments(preset, BRAWL.encodings["default"], **changes)
    return policy.build_policy(BRAWL.schema, arguments, 5)


def match(agent, seat=0, **more):
    """One short match of an agent against a bot."""
    agents = [agent, BRAWL.bots["based"]()][:: 1 if seat == 0 else -1]
    world = BRAWL.world(1, time_limit=40)
    (played,) = play(BRAWL, world, agents, ("one", "two"), np.array([9]), **more)
    return played.episode


@pytest.mark.parametrize(
    ("preset", "changes", "seat"),
    [("small", {"width": 16}, 0), ("small", {"width": 16, "delay": 2}, 1), ("policy-mlp", {}, 0)],
)
def test_tracks_are_the_probabilities_that_were_played(preset, changes, seat):
    """A track holds the probability of each press, given the controls that were pressed before."""
    model = untrained(preset, **changes)
    agent = PolicyAgent(model, SamplingConfig(1.5))
    episode = match(agent, seat, tracks=True)
    assert list(episode.tracks) == [f"{seat}/press/{key}" for key in KEYS]
    columns, frames = from_seat(BRAWL.schema, episode.columns, seat), episode.frames
    view = {key: as_tensor(columns[key][:-1])[None] for key in model.input_columns}
    for key in KEYS:
        before = np.concatenate([np.zeros((1, 2), bool), columns[key][: frames - 1]])
        view[key] = as_tensor(before)[None]
    own = model.values.of({key: as_tensor(columns[key][:-1])[None] for key in KEYS})
    reset = torch.zeros(1, frames, dtype=torch.bool)
    reset[0, 0] = True
    with torch.inference_mode():
        expected = model.seq(view, own, reset)[0].mean(agent.temperatures)[0].numpy()
    for at, key in enumerate(KEYS):
        shown = episode.tracks[f"{seat}/press/{key}"]
        np.testing.assert_allclose(shown[:-1], expected[:, at], atol=1e-5, err_msg=key)
        assert np.isnan(shown[-1])


def test_a_match_is_the_same_with_tracks():
    """Asking for tracks changes nothing that is played; without asking there are none."""
    model = untrained(width=16)
    plain, shown = match(PolicyAgent(model)), match(PolicyAgent(model), tracks=True)
    assert plain.tracks == {}
    assert fingerprint(BRAWL, plain) == fingerprint(BRAWL, shown)
    late = match(Delayed(PolicyAgent(model), 4), tracks=True)
    assert list(late.tracks) == list(shown.tracks)


def test_a_temperature_can_be_set():
    """The next decisions are drawn at the new temperature; thresholds have none."""
    model = untrained(width=16)
    agent = PolicyAgent(model)
    assert agent.settings["temperature"][0] == 1.0
    agent.set("temperature", 2.0)
    assert agent.settings["temperature"][0] == 2.0
    hot = PolicyAgent(model, SamplingConfig(2.0))
    assert fingerprint(BRAWL, match(agent)) == fingerprint(BRAWL, match(hot))
    assert fingerprint(BRAWL, match(agent)) != fingerprint(BRAWL, match(PolicyAgent(model)))
    assert Delayed(agent, 2).settings == agent.settings
    by_threshold = PolicyAgent(untrained("policy-mlp"), SamplingConfig(threshold=0.5))
    assert by_threshold.settings == {}
    with pytest.raises(UsageError, match="no setting 'temperature'"):
        by_threshold.set("temperature", 1.0)
    assert TUNED < 0


@pytest.mark.parametrize("delay", [0, 3])
def test_a_policy_is_an_agent(delay):
    """A policy keeps every promise of an Agent from both seats, tracks included."""
    agent = PolicyAgent(untrained(width=16), block=4)
    agent = Delayed(agent, delay) if delay else agent
    check_agent(agent, BRAWL, factory=partial(BRAWL.world, time_limit=40), frames=8)


def test_the_read_out_goes_along():
    """Value, attention and guess of every decision are those of a read-out of the whole match."""
    changes = {"width": 16, "repeat": 4, "value": True, "strategy": "banded"}
    model = untrained("small", **changes, opponents=("based", "some one"))
    episode = match(PolicyAgent(model, SamplingConfig()), tracks=True)
    columns, frames = from_seat(BRAWL.schema, episode.columns, 0), episode.frames
    keys = (*model.input_columns, *KEYS)
    before = {key: np.concatenate([np.zeros((1, 2), bool), columns[key]]) for key in KEYS}
    view = {
        key: as_tensor(before.get(key, columns[key])[:frames:4])[None]
        for key in dict.fromkeys(keys)
    }
    expected = read_out(model.eval(), view)
    tracks = episode.tracks
    for key, values in (
        ("0/value", expected.value),
        ("0/attention", expected.attention),
        ("0/guess/based", expected.guess[..., 0]),
        ("0/guess/some-one", expected.guess[..., 1]),
    ):
        for first in range(4):  # a decision is held for four frames
            shown = tracks[key][:frames][first::4].astype(np.float32)
            wanted = values[0, : len(shown)].numpy()
            np.testing.assert_allclose(shown, wanted, atol=2e-3, err_msg=key)
    assert np.isnan(tracks["0/value"][-1])
