"""Policies as agents: equal matches in any batch, and the decisions that training sees."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from shadowbox.core.schema import Flag, Group, Real, Schema
from shadowbox.core.view import from_seat
from shadowbox.errors import SchemaMismatch, UsageError
from shadowbox.games import load
from shadowbox.model import policy
from shadowbox.model.checkpoint import CheckpointConfig, save
from shadowbox.play.agent import Delayed
from shadowbox.play.match import play
from shadowbox.play.policy_agent import DRAW, PolicyAgent, SamplingConfig, as_tensor, policy_agent

BRAWL = load("brawl")
SEES = BRAWL.encodings["default"]


def untrained(preset: str, seed: int = 0, **changes) -> policy.Policy:
    """Random weights press a lot, which is what a match needs here."""
    return policy.build_policy(BRAWL.schema, policy.preset_arguments(preset, SEES, **changes), seed)


def matches(agents, seeds, places, frames=90):
    """Short matches with these seeds, so many side by side."""
    world = partial(BRAWL.world, time_limit=frames)
    return list(play(BRAWL, world(places), agents, ("one", "two"), np.asarray(seeds, np.int64)))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "small", "policy-mlp"])
def test_a_match_is_the_same_bit_for_bit_whatever_is_beside_it(preset):
    """One match at a time, five, or fourteen (two blocks) give the same matches."""
    agents = [PolicyAgent(untrained(preset), block=12), BRAWL.bots["based"]()]
    alone, some, all_ = (matches(agents, range(14), places, 45) for places in (1, 5, 14))
    for one, few, many in zip(alone, some, all_, strict=True):
        for key, values in one.episode.columns.items():
            np.testing.assert_array_equal(values, few.episode.columns[key], err_msg=key)
            np.testing.assert_array_equal(values, many.episode.columns[key], err_msg=key)
    keys = np.stack([alone[0].episode.columns[key][:, 0] for key in BRAWL.schema.control_keys])
    assert 0 < keys.mean() < 1


def test_presets_and_lengths_of_history_meet_in_one_match():
    """A window policy meets a recurrent one, and a fast policy one with a delay of four frames."""
    for pair in (
        (("tiny", {}), ("small", {})),
        (("small", {"delay": 4}), ("transformer", {"frames": 12})),
    ):
        agents = [
            PolicyAgent(untrained(preset, seed=at, **changes))
            for at, (preset, changes) in enumerate(pair)
        ]
        (played,) = matches(agents, [3], 1)
        assert played.episode.frames == 90
        assert not played.outcome.facts.get("forfeit")


def test_one_policy_sits_in_both_seats():
    """One agent in both seats decides what a second copy of it would have decided in each."""
    model = untrained("small")
    shared = PolicyAgent(model)
    both, apart = (
        matches([shared, shared], range(3), 3),
        matches([PolicyAgent(model), PolicyAgent(model)], range(3), 3),
    )
    for one, two in zip(both, apart, strict=True):
        for key, values in one.episode.columns.items():
            np.testing.assert_array_equal(values, two.episode.columns[key])


def test_a_policy_that_knows_its_delay_takes_it_itself():
    """With delays as an input any delay up to the longest is played, and more is refused.

    A policy without the input stands behind a queue.
    """
    agent = PolicyAgent(untrained("small", delays=(0, 6)))
    late = agent.with_delay(4)
    assert (late.agent.delay, agent.delay) == (4, 0)
    assert late.current == dict.fromkeys(BRAWL.schema.control_keys, 1)
    assert isinstance(agent.with_delay(0), PolicyAgent)
    with pytest.raises(UsageError, match="up to 6 frames"):
        agent.with_delay(7)
    plain = PolicyAgent(untrained("small"))
    assert plain.with_delay(7).current == {}
    assert plain.with_delay(0) is plain
    for wrong in ({"delays": (0,)}, {"delays": (0, 3), "delay": 2}, {"delays": (-1, 4)}):
        with pytest.raises(UsageError, match="delays"):
            untrained("small", **wrong)


def test_the_delay_is_an_input():
    """The same view is answered otherwise when it is said to be late."""
    model = untrained("small", delays=(0, 6)).eval()
    view = {key: as_tensor(values) for key, values in BRAWL.schema.neutral(1).items()}
    noise = torch.full((1, model.draws), 0.5)
    said = [
        model.decide({**view, "delay": torch.full((1, 1), late)}, model.initial(1), noise)
        for late in (0.0, 6.0)
    ]
    assert not torch.equal(said[0].log_prob, said[1].log_prob)
    assert torch.equal(said[0].log_prob, model.decide(view, model.initial(1), noise).log_prob)


@pytest.mark.parametrize("seat", [0, 1])
def test_it_decides_as_training_sees_it(seat):
    """Given all frames of its own match at once and the same draws, a policy presses the same."""
    model = untrained("small", delay=2)
    agents = [PolicyAgent(model), BRAWL.bots["based"]()]
    (played,) = matches(agents if seat == 0 else agents[::-1], [11], 1)
    columns = from_seat(BRAWL.schema, played.episode.columns, seat)
    frames = played.episode.frames
    view = {key: as_tensor(columns[key][:-1])[None] for key in model.input_columns}
    for key in BRAWL.schema.control_keys:
        view[key] = torch.cat(
            [torch.zeros(1, 1, 2, dtype=torch.bool), as_tensor(columns[key][: frames - 1])[None]], 1
        )
    own = model.values.of(
        {key: as_tensor(columns[key][:-1])[None] for key in BRAWL.schema.control_keys}
    )
    reset = torch.zeros(1, frames, dtype=torch.bool)
    reset[0, 0] = True
    state = {
        "seeds": np.full(frames, 11),
        "frame": np.arange(frames),
        "players": np.full(frames, seat),
    }
    draws = torch.from_numpy(agents[0]._draws(state, {}))[None]
    with torch.inference_mode():
        seen, _ = model.seq(view, own, reset)
        assert torch.equal(seen.drawn(draws), own)


def test_draws_depend_on_match_frame_and_seat_alone():
    """Equal seeds in equal seats draw equal numbers at equal frames, in any place; others differ."""
    agent = PolicyAgent(untrained("small"))
    first = agent._draws(agent.start(np.array([5, 6, 7]), np.array([0, 0, 1])), {})
    again = agent._draws(agent.start(np.array([7, 5]), np.array([1, 0])), {})
    assert np.array_equal(first[0], again[1])
    assert np.array_equal(first[2], again[0])
    assert not np.array_equal(first[0], first[1])
    assert ((first >= 0) & (first < 1)).all()
    assert DRAW >= 1000


def test_a_threshold_draws_nothing():
    """By a threshold a policy presses the same whatever the seed.

    Drawn at a high temperature it presses other things.
    """
    model = untrained("policy-mlp")
    for sampling, equal in (
        (SamplingConfig(threshold=0.5), True),
        (SamplingConfig(temperature=2.0), False),
    ):
        agent = PolicyAgent(model, sampling)
        view = {key: np.zeros((2, c.slots), c.dtype) for key, c in BRAWL.schema.columns.items()}
        keys, _ = agent.act(view, agent.start(np.array([1, 2]), np.array([0, 0])))
        assert all((values[0] == values[1]).all() for values in keys.values()) == equal


def test_calibrated_thresholds_hold_what_is_held():
    """A button goes down above its own upper threshold and stays down above the lower one.

    Each group has its temperature.
    """
    from shadowbox.play.policy_agent import TUNED

    model = untrained("policy-mlp")
    chance = 0.5  # of an untrained policy, nearly
    tuned = {key: {"on": chance + 0.2, "off": chance - 0.2} for key in BRAWL.schema.control_keys}
    agent = PolicyAgent(
        model,
        SamplingConfig(threshold=TUNED),
        calibration={"thresholds": tuned, "temperature": {"flags": {"temperature": 2.0}}},
    )
    view = {key: np.zeros((1, c.slots), c.dtype) for key, c in BRAWL.schema.columns.items()}
    state = agent.start(np.array([1]), np.array([0]))
    assert not any(values.any() for values in agent.act(view, state)[0].values())
    held = {**view, **{key: np.ones((1, 2), bool) for key in BRAWL.schema.control_keys}}
    assert all(values.all() for values in agent.act(held, state)[0].values())
    assert agent.temperatures == [2.0 if part.name == "flags" else 1.0 for part in model.head.parts]
    with pytest.raises(UsageError, match="keys/w has no tuned threshold: shadowbox eval"):
        PolicyAgent(model, SamplingConfig(threshold=TUNED))
    with pytest.raises(UsageError, match=r"this one \(chain\) draws"):
        PolicyAgent(untrained("small"), SamplingConfig(threshold=0.5))


def other_brawl(**change) -> Schema:
    """Brawl whose player/x is declared otherwise."""
    groups = [
        dataclasses.replace(
            group,
            fields=tuple(
                dataclasses.replace(f, **change) if f.name == "x" and group.name == "player" else f
                for f in group.fields
            ),
        )
        for group in BRAWL.schema.state
    ]
    return Schema(
        "brawl", fps=BRAWL.schema.fps, state=tuple(groups), controls=BRAWL.schema.controls
    )


def test_another_games_fields_are_refused_by_name(tmp_path):
    """Fields that it reads and that are declared otherwise are named.

    A field that it does not read may come in addition.
    """
    model = untrained("tiny")
    folder = save(
        tmp_path,
        1,
        CheckpointConfig("policy", BRAWL.schema, "tiny", policy.preset_arguments("tiny", SEES)),
        model.state_dict(),
        {},
    )
    with pytest.raises(SchemaMismatch, match=r"player/x: scale 0\.1 expected, 0\.5 found"):
        policy_agent(folder, other_brawl(scale=0.5))
    more = Schema(
        "brawl",
        fps=BRAWL.schema.fps,
        state=(*BRAWL.schema.state, Group("weather", (Real("wind"),))),
        controls=BRAWL.schema.controls,
    )
    assert policy_agent(folder, more).policy.input_columns == model.input_columns
    keys = dataclasses.replace(
        BRAWL.schema.controls, fields=(*BRAWL.schema.controls.fields, Flag("q"))
    )
    extended = Schema("brawl", fps=BRAWL.schema.fps, state=BRAWL.schema.state, controls=keys)
    with pytest.raises(SchemaMismatch, match="keys/q: not expected, found"):
        policy_agent(folder, extended)


def test_a_mark_is_carried_into_the_match():
    """What is known against a policy stands in the metadata of its matches, also behind a delay."""
    marked = Delayed(
        PolicyAgent(untrained("tiny"), mark="failed the behavior gate: it never presses"), 2
    )
    (played,) = matches([BRAWL.bots["based"](), marked], [1], 1)
    assert played.episode.meta["marks"] == ["", "failed the behavior gate: it never presses"]
    (clean,) = matches([BRAWL.bots["based"](), BRAWL.bots["based"]()], [1], 1)
    assert "marks" not in clean.episode.meta


@pytest.mark.parametrize("preset", ["policy-mlp", "small"])
def test_a_bias_multiplies_the_odds_of_each_press(preset):
    """`bias=4` gives every combination of buttons exp(4) times its weight for each pressed one.

    Of independent buttons these are exp(4) times the odds of each. The policy itself is unchanged.
    """
    model = untrained(preset)
    biased = PolicyAgent(model, SamplingConfig(bias=4.0)).policy
    seeded = torch.Generator().manual_seed(0)  # probabilities near 1 lose the digits of their odds
    head = torch.randn(9, model.head.width, generator=seeded)
    before = torch.zeros(9, len(model.values.names))
    plain, shifted = (
        policy_.head.mean(head, before).double().clamp(1e-6, 1 - 1e-6)
        for policy_ in (model, biased)
    )
    if preset == "policy-mlp":
        assert torch.allclose(torch.logit(shifted) - torch.logit(plain), torch.tensor(4.0).double())
    else:
        (book,), (tilted,) = model.head.parts, biased.head.parts
        gain = [each.log_probs(head, torch.zeros(9, dtype=torch.int64)) for each in (book, tilted)]
        more = gain[1] - gain[0] - 4 * book.points.sum(-1)
        assert torch.allclose(more, more[:, :1].expand_as(more), atol=1e-4)
        assert (shifted.sum(-1) > plain.sum(-1)).all()
    assert model.head.parts[0].bias is None
    view = {key: np.zeros((2, c.slots), c.dtype) for key, c in BRAWL.schema.columns.items()}
    never = PolicyAgent(model, SamplingConfig(bias=-50.0))
    keys, _ = never.act(view, never.start(np.array([1, 2]), np.array([0, 1])))
    assert not any(values.any() for values in keys.values())


def test_calibrated_offsets_are_each_buttons_own():
    """With calibrated offsets each button is shifted by its own, and a missing one is named."""
    model, keys = untrained("policy-mlp"), BRAWL.schema.control_keys
    offsets = {key: {"offset": float(at)} for at, key in enumerate(keys)}
    agent = PolicyAgent(
        model, SamplingConfig(bias=-1.0, offsets=True), calibration={"offsets": offsets}
    )
    (part,) = agent.policy.head.parts
    assert part.bias.tolist() == [at - 1 for at in range(len(keys))]
    with pytest.raises(UsageError, match="keys/w has no calibrated offset: shadowbox eval"):
        PolicyAgent(model, SamplingConfig(offsets=True))
