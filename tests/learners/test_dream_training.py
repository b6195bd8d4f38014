"""Self-play in a dream: truncated matches go on by their value, and only derived events pay."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_worlds
import torch
from small_selfplay import SPEC, inputs
from small_worlds import BRAWL, copied, from_anywhere

from shadowbox.cards.card import Card
from shadowbox.errors import UsageError
from shadowbox.evaluate import dispatch
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.experiment.checks.inputs import input_problems
from shadowbox.experiment.evaluation import evaluate_run
from shadowbox.model import checkpoint
from shadowbox.play import specs
from shadowbox.play.rewards import resolve_reward
from shadowbox.play.turn import MatchBatch
from shadowbox.report.selfplay import learner_blocks
from shadowbox.testing.random_play import random_controls
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.runs import Run
from shadowbox.train.tables import BENCHMARK, read_table


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Spec of a world that has learned next to nothing."""
    folder = tmp_path_factory.mktemp("world")
    return f"dream:{small_worlds.trained(small_worlds.recorded(folder / 's'), folder / 'run')}"


def rollout(spec, **settings):
    """The first rollout in a world."""
    given = inputs(opponents={"constant": 1.0}, matches=4, **settings)
    task = SPEC.prepare(replace(given, worlds=specs.world_factory(spec, BRAWL)))
    return task.source(4, 0, 1).collect()


def wild(spec, matches):
    """A dream whose heads draw anything, hits from anywhere among it."""
    world = specs.world(spec, BRAWL, matches)
    torch.manual_seed(0)
    for part in world.model.heads.parts.values():
        torch.nn.init.normal_(part.out.weight, std=0.3)
    from_anywhere(world.model)
    return world


def test_a_truncated_dream_goes_on_by_its_value(world):
    """After the last frame follows the value of the state that a longer match is in then."""
    settings = {"n_steps": 7, "gamma": 0.5, "gae_lambda": 0.0, "normalize_returns": False}
    cut = rollout(f"{world}@start=any@frames=6", **settings)  # three decisions of two frames
    whole = rollout(f"{world}@start=any@frames=60", **settings)
    assert (cut.reset[:, [0, 3, 6]]).all()
    assert not whole.reset[:, 1:].any()
    for key, values in cut.columns.items():
        np.testing.assert_array_equal(values[:, :3], whole.columns[key][:, :3], key)
    follows = (cut.returns - cut.rewards)[:, 2]
    np.testing.assert_allclose(follows, 0.5 * whole.value[:, 3], atol=1e-6)
    assert (np.abs(follows) > 1e-4).all()
    assert (cut.value[:, 3] != whole.value[:, 3]).any()  # another match has begun


def test_damage_without_a_hit_pays_nothing(world):
    """The reward is that of the events which the game derives from the dreamt rows."""
    reward = resolve_reward({"damage": 140.0}, BRAWL)
    batch = MatchBatch(BRAWL, wild(f"{world}@start=any", 8), [None, None], reward=reward)
    batch.begin(np.arange(8))
    rows, paid = [copied(batch.columns)], np.zeros((8, 2))
    keys = []
    for frame in range(60):
        pressed = random_controls(BRAWL.schema, 8, frame)
        keys.append(pressed)
        sides = {seat: {k: v[:, [seat]] for k, v in pressed.items()} for seat in (0, 1)}
        turn = batch.turn(sides)
        paid += np.where(batch.over[:, None], 0, turn.rewards)
        rows.append(copied(turn.columns))
    earned, risen = np.zeros((8, 2)), 0.0
    for match in range(8):
        columns = {key: np.stack([row[key][match] for row in rows]) for key in rows[0]}
        columns |= {
            key: np.stack([*(each[key][match] for each in keys), keys[0][key][match]])
            for key in keys[0]
        }
        found = BRAWL.events(columns)
        for hit in found[found["kind"] == BRAWL.event_kinds.index("hit")]:
            earned[match, hit["player"]] += hit["value"]
            earned[match, 1 - hit["player"]] -= hit["value"]
        risen += np.maximum(np.diff(columns["player/damage"], axis=0), 0).sum()
    assert not batch.over.any()
    np.testing.assert_allclose(paid, earned, atol=1e-3)
    assert risen > np.maximum(earned, 0).sum() + 50  # most of the damage had no cause


def test_a_match_stops_at_a_violation(world):
    """With `stop=violation`, a frame that had to be projected is the last one, and truncated."""
    stops, goes_on = (wild(f"{world}@start=any{each}", 1) for each in ("@stop=violation", ""))
    for each in (stops, goes_on):
        each.reset(np.array([3]))
    for frame in range(60):
        pressed = random_controls(BRAWL.schema, 1, frame)
        columns, _, done = stops.step(pressed)
        _, _, others = goes_on.step(pressed)
        if stops.projected:
            break
        assert not done.any()
    assert stops.projected
    assert done.all()
    assert stops.truncated.all()
    assert not others.any()
    last, taken = copied(columns), stops.snapshot()
    columns, events, done = stops.step(pressed)
    assert done.all()
    assert stops.truncated.all()
    assert len(events) == 0
    for key, values in last.items():
        np.testing.assert_array_equal(columns[key], values, key)
    stops.reset(np.array([4]))
    assert not stops.truncated.any()
    stops.restore(taken)
    assert stops.truncated.all()


def test_shuffled_controls_are_those_of_another_match(world):
    """A dream with `controls=shuffled` is one in which the controls have moved by a match."""
    plain, shuffled = (
        specs.world(f"{world}{each}", BRAWL, 3) for each in ("", "@controls=shuffled")
    )
    for each in (plain, shuffled):
        each.reset(np.arange(3))
    for frame in range(30):
        pressed = random_controls(BRAWL.schema, 3, frame)
        moved = {key: np.roll(values, 1, axis=0) for key, values in pressed.items()}
        one, other = copied(plain.step(moved)[0]), shuffled.step(pressed)[0]
        for key, values in one.items():
            np.testing.assert_array_equal(other[key], values, key)
    with pytest.raises(UsageError, match="matches must be at least 2"):
        specs.world(f"{world}@controls=shuffled", BRAWL, 1)


def trained(folder, worlds, **learner):
    """Run with benchmarks: its last weights and the lines of the benchmarks."""
    learner = {"benchmark_every": 2, "benchmark_opponents": ("based",), **learner}
    given = inputs(folder, 2, opponents={"constant": 1.0}, benchmark_matches=4, **learner)
    given = replace(given, worlds=worlds)
    train(SPEC.prepare(given), folder, given.config)
    lines = [line for line in read_lines(folder / "metrics.jsonl") if line["kind"] == "bench"]
    return checkpoint.load(checkpoint.find_checkpoint(f"{folder}@latest")).weights, lines


def test_a_benchmark_is_also_played_in_the_true_world(world, tmp_path):
    """Lines, table, curves and page have both worlds, and training goes on as without it."""
    dreams = specs.world_factory(f"{world}@frames=12", BRAWL)
    true = "brawl@time_limit=30"
    weights, (line,) = trained(tmp_path / "one", dreams, true_world=true)
    plain, (other,) = trained(tmp_path / "two", dreams)
    assert all(torch.equal(plain[name], weights[name]) for name in weights)
    assert {name for name in line if name not in other} == {
        f"{name}{of}{end}"
        for name in ("true_win_rate", "return_gap")
        for of in ("", ".based")
        for end in ("", ".low", ".high")
    } | {"true_return", "true_return.based", "true_win_rate/even"}
    (row,) = read_table(tmp_path / "one" / BENCHMARK)
    assert float(row["gap"]) == pytest.approx(line["return_gap.based"], abs=1e-5)
    assert float(row["gap_low"]) <= float(row["gap"]) <= float(row["gap_high"])
    assert "gap" not in read_table(tmp_path / "two" / BENCHMARK)[0]
    page = "".join(learner_blocks(Run(tmp_path / "one", {})))
    assert "In the learned world and in the true one" in page
    curves = (tmp_path / "one" / "training_curves.html").read_text()
    assert "beyond that in the true world" in curves


def test_a_true_world_has_no_gap(tmp_path):
    """Where the world of the run is the true one, returns from the same starts are equal."""
    _, (line,) = trained(
        tmp_path, partial(BRAWL.world, time_limit=60), true_world="brawl@time_limit=60"
    )
    assert line["return_gap"] == line["return_gap.based.high"] == 0.0


def test_a_card_may_be_evaluated_in_another_world(monkeypatch):
    """`eval: {world: ...}` is where it is judged; an option that the world lacks is a mistake."""
    asked = []
    monkeypatch.setattr(dispatch, "evaluate_checkpoint", lambda *a, **_: asked.append(a[2]) or a[2])
    monkeypatch.setattr(EvalConfig, "report", lambda self: self, raising=False)
    card = {"game": "brawl", "learner": "selfplay", "preset": "small", "opponents": ["based"]}
    for more, world in (({}, "dream:x"), ({"world": "brawl"}, "brawl")):
        given = Card(**card, world="dream:x", eval={"matches": 2, **more})
        evaluate_run(Path("run"), None, BRAWL, given, 1)
        assert asked.pop().world == world
    wrong = Card(**card, world="brawl", eval={"world": "brawl@speed=3"})
    assert [place for place, _ in input_problems(wrong, BRAWL)] == [("eval", "world")]
