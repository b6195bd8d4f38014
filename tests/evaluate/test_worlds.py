"""Evaluation of worlds: the true simulator passes, and each broken one fails by what it breaks."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache, partial

import broken_worlds as broken
import numpy as np
import pytest

from shadowbox import cli
from shadowbox.collect.matches import Pairing, record
from shadowbox.core.evaluation import EvaluationReport
from shadowbox.core.game import EVENT
from shadowbox.core.metrics import find_info, metrics_in
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.evaluate.worlds import baselines, events, skill
from shadowbox.evaluate.worlds.distributions import calibration
from shadowbox.evaluate.worlds.passes import changes
from shadowbox.evaluate.worlds.starts import CONTEXT, NEAR, SHORT, draw_starts
from shadowbox.evaluate.worlds.suite import evaluate_built

GAME = broken.GAME
CONFIG = EvalConfig(side="all", starts=24, samples=2, frames=SHORT)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store of six matches of 16 seconds."""
    path = tmp_path_factory.mktemp("worlds") / "store"
    quick = dataclasses.replace(GAME, world=partial(GAME.world, time_limit=480))
    record(quick, [Pairing("expert", "based", 6)], path, seed=3)
    return Store(path)


@pytest.fixture(scope="module")
def judged(data):
    """A function that evaluates the simulator with a change."""

    @cache
    def evaluate(change=None, **options):
        def world(matches):
            return broken.Changed(matches, change, **options)

        return evaluate_built(world, "broken", data, GAME, CONFIG)

    return evaluate


def failed(result):
    """Names of the parts of the gate that failed."""
    return {stage.name for stage in result.stages if not stage.passed}


def test_the_true_simulator_passes(judged):
    """Its skill is 1 in every field at every horizon, all events are right, nothing contradicts."""
    result = judged()
    assert failed(result) == set()
    report = result.report()
    assert report.gate.passed
    flat = {name: figure.value.value for name, figure in report.figures.items()}
    skills = [value for name, value in flat.items() if name.startswith("skill/")]
    assert len(skills) > 40
    assert set(skills) == {1.0}
    assert flat["hit_f1_1"] == flat["hit_f1_20"] == 1.0
    assert flat["violations_after"] == flat["phantom_damage_ratio"] == 0.0
    assert flat["control_agreement"] == 1.0
    assert flat["control_effect"] == pytest.approx(1.0)


def test_figures_are_announced(judged):
    """Each figure is one of the list of metrics, with its bounds and baselines, and fits JSON."""
    report = judged().report()
    known = metrics_in(["world"])
    for name, figure in report.figures.items():
        info = find_info(name, known)
        assert info is not None, name
        assert set(figure.baselines) <= set(info.baselines), name
        value = figure.value.value
        assert math.isnan(value) or info.low <= value <= info.high, name
    again = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert EvaluationReport.from_json(again).to_json() == report.to_json()
    assert again["hit_f1_20"] == 1.0
    assert again["skill"]["player/x@20"] == 1.0


def test_announced_events_count_for_nothing(judged):
    """A world that announces no event is judged as one that announces all."""
    silent, usual = judged(events=False).report().to_json(), judged().report().to_json()
    assert silent == usual


@pytest.mark.parametrize(
    ("change", "part", "reason"),
    [
        (broken.creep, "couplings", "damage without hit"),
        (broken.harmless, "couplings", "hit without damage"),
        (broken.teleport, "couplings", "leap"),
        (broken.noisy, "skill", "player/x at 1"),
        (broken.frozen, "guards", "player/vx"),
        (broken.far_hits, "couplings", "damage without hit"),
        (broken.outside, "violations", "player/vx"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_world_fails_by_what_it_breaks(judged, change, part, reason):
    """Each broken world fails, and the part of the gate that names the fault is among the reasons."""
    result = judged(change)
    assert part in failed(result)
    assert any(part in why and reason in why for why in result.report().gate.why)


def test_a_world_that_ignores_its_controls_fails(judged):
    """Held keys have no effect, and the controls of another match predict it equally well."""
    found = judged(controls=broken.neutral)
    assert "controls" in failed(found)
    assert found.found.effects.size.value == 0.0
    assert found.found.shuffled.low <= 0


def test_hold_has_no_skill(judged):
    """A world in which nothing changes has a skill of exactly 0 where hold is the best baseline."""
    result = judged(broken.held)
    skills = [each for each in result.found.skills if not each.exact]
    assert {each.skill.value for each in skills if each.best == "hold"} == {0.0}
    assert all(each.skill.value < 0 for each in skills if each.best != "hold")
    assert {"skill", "events", "guards"} <= failed(result)


def test_the_same_seed_gives_the_same_report(data):
    """An evaluation is a function of the store, the world and the seed, whatever the block."""
    config = dataclasses.replace(CONFIG, starts=6, samples=1)
    first, second = (
        evaluate_built(GAME.world, "brawl", data, GAME, config).to_json() for _ in range(2)
    )
    other = evaluate_built(
        GAME.world, "brawl", data, GAME, dataclasses.replace(config, seed=1)
    ).to_json()
    assert first == second != other


def test_starts_are_near_events_and_inside(data):
    """Every start has its context and SHORT frames to come, and half of them an event soon."""
    starts = draw_starts(data, range(len(data)), GAME, 60, 100, seed=5)
    assert (starts.frames >= CONTEXT).all()
    assert (starts.frames + SHORT <= data.lengths[starts.episodes] - 1).all()
    assert np.bincount(starts.episodes).tolist() == [10] * 6
    rare = ("hit", "knockout", "respawn", "pickup")
    kinds = [GAME.event_kinds.index(kind) for kind in rare]
    near = 0
    for episode, frame in zip(starts.episodes, starts.frames, strict=True):
        found = data.events_of(int(episode))
        at = found["frame"][np.isin(found["kind"], kinds)]
        near += bool(((at > frame) & (at <= frame + NEAR)).any())
        row = int(frame)
        columns = data.episode(int(episode)).columns
        place = np.flatnonzero((starts.episodes == episode) & (starts.frames == frame))[0]
        np.testing.assert_array_equal(
            starts.rows["player/x"][place, CONTEXT], columns["player/x"][row]
        )
        last = min(row + 100, len(columns["player/x"]) - 1)
        np.testing.assert_array_equal(
            starts.rows["player/x"][place, CONTEXT + 100], columns["player/x"][last]
        )
    assert near >= 20


def test_a_world_without_load_is_refused(data):
    """A world that cannot start from recorded rows is refused with the missing member."""

    class Unable:
        name, matches, schema = "unable", 1, GAME.schema

    with pytest.raises(UsageError, match=r"load\(columns\)"):
        evaluate_built(lambda matches: Unable(), "unable", data, GAME, CONFIG)


# ---- numbers by hand -----------------------------------------------------------------------------


def event(match, frame, kind=0, player=0, other=1):
    """One event."""
    return (match, frame, 1.0, 0, kind, player, other)


def test_event_scores_by_hand():
    """Pairs are one to one, of one kind and player, inside one stretch and within the tolerance."""
    truth = np.array([event(0, 5), event(0, 10), event(1, 5)], EVENT)
    said = np.array([event(0, 7), event(0, 8), event(1, 5, player=1, other=0), event(1, 6)], EVENT)
    found = events.score_events(truth, said, np.array([3, 4]), ("hit",))
    counts = {w: found["hit", w].counts.sum(0).tolist() for w in events.TOLERANCES}
    assert counts == {0: [0, 3, 4], 2: [3, 3, 4], 5: [3, 3, 4]}
    assert found["hit", 2].f1.value == pytest.approx(6 / 7)
    assert found["hit", 2].precision == pytest.approx(3 / 4)
    assert found["hit", 2].ratio == pytest.approx(4 / 3)
    twice = events.score_events(truth, said[:0], np.array([3, 4]), ("hit",), samples=2)
    assert twice["hit", 0].counts.sum(0).tolist() == [0, 6, 0]


def test_changes_by_hand():
    """Changing always has full recall of the changes it hits, and a precision that shows it."""
    was, now = np.array([[0], [0], [0], [0]]), np.array([[1], [0], [0], [0]])
    always = np.ones((4, 1, 1), int)
    valid = np.ones(4, bool)
    precision, recall, f1, rate = changes((was, now), (was[:, None], always), valid)
    assert (precision, recall, f1, rate) == (0.25, 1.0, 0.4, 0.25)
    never = changes((was, now), (was[:, None], was[:, None]), valid)
    assert never[1:3] == (0.0, 0.0)


def test_ranked_scores_by_hand():
    """The score of samples is their distance to the truth minus half of that between them."""
    column = GAME.schema.columns["player/x"]
    samples = np.array([[[0.0], [2.0]]])
    score = skill.ranked_score(column, samples, np.array([[1.0]]))
    assert score.tolist() == [[1.0 - 0.5 * 2.0]]
    choice = GAME.schema.columns["player/state"]
    votes = np.array([[[3], [4], [4]]])
    assert skill.point(choice, votes).tolist() == [[4]]
    assert skill.point(column, np.array([[[1.0], [9.0], [2.0]]])).tolist() == [[2.0]]


def test_baselines_by_hand(data):
    """Constant velocity repeats the last change; the table of a rule-like field knows the rule."""
    schema = GAME.schema
    rows = draw_starts(data, range(len(data)), GAME, 30, SHORT, seed=1).rows
    past = {key: values[:, : CONTEXT + 1] for key, values in rows.items()}
    now, before = rows["player/x"][:, CONTEXT], rows["player/x"][:, CONTEXT - 1]
    found = baselines.constant_velocity(past, schema.columns["player/x"], 3)
    np.testing.assert_allclose(found, np.clip(now + 3 * (now.astype(float) - before), -18, 18))
    assert baselines.constant_velocity(past, schema.columns["player/state"], 3) is None
    table = baselines._LookUp(schema, (1,), ("player/shield",)).fit(data, range(len(data)))
    true = rows["player/shield"][:, CONTEXT + 1]
    assert (table.predict(past, "player/shield", 1) == true).mean() > 0.95


def test_calibration_by_hand():
    """A sampled coin is calibrated; a world that is always sure of one side is not."""
    draws = np.random.default_rng(0)
    truth = {"player/grounded": draws.random((4000, 2)) < 0.3}
    fair = {"player/grounded": draws.random((4000, 8, 2)) < 0.3}
    sure = {"player/grounded": np.zeros((4000, 8, 2), bool)}
    valid = np.ones(4000, bool)
    assert abs(calibration(GAME.schema, truth, fair, valid)["player/grounded"]) < 0.02
    assert calibration(GAME.schema, truth, sure, valid)["player/grounded"] > 0.25
    real = {"player/x": draws.normal(size=(4000, 2))}
    same = {"player/x": draws.normal(size=(4000, 8, 2))}
    narrow = {"player/x": 0.1 * draws.normal(size=(4000, 8, 2))}
    assert calibration(GAME.schema, real, same, valid)["player/x"] < 0.02
    assert calibration(GAME.schema, real, narrow, valid)["player/x"] > 0.2


# ---- the command ---------------------------------------------------------------------------------


def run(words):
    """Exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code


def test_the_command_evaluates_the_simulator(data, capsys):
    """`eval brawl STORE` prints the gate and the skill by field; --json is one object."""
    words = ["eval", "brawl", str(data.path), "--side", "all", "--starts", "12"]
    words += ["--samples", "1", "--frames", "20"]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "brawl: the gate is passed" in text
    assert "player/damage" in text
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gate"]["passed"] is True
    assert found["kind"] == "world"


def test_the_page_shows_the_gate_and_both_matches(judged):
    """The page names the gate and the fault, and has recorded and predicted clips with errors."""
    from shadowbox.report.world import world_page

    page = world_page(judged(broken.creep))
    assert "gate failed" in page
    assert "damage without hit" in page
    assert page.count('<figure class="clip">') == 6
    assert page.count("clips lockstep") == 3
    assert "error/damage" in page
    assert "gate passed" in world_page(judged())


@pytest.mark.slow
def test_a_dream_is_evaluated(tmp_path):
    """A hardly trained dream: its samples differ, forbidden values are none, and its gate fails."""
    import small_worlds

    from shadowbox.core.evaluation import read_evaluation
    from shadowbox.evaluate.worlds.suite import evaluate_world
    from shadowbox.model.checkpoint import find_checkpoint

    store = small_worlds.recorded(tmp_path / "s")
    trained = small_worlds.trained(store, tmp_path / "run")
    config = dataclasses.replace(CONFIG, starts=8, samples=3)
    found = evaluate_world(trained, store.path, config)
    report = found.report()
    assert not report.gate.passed
    assert report.figures["violations_after"].value.value == 0
    assert report.context["projected"] is not None
    skills = {each.key: each for each in found.found.skills if each.horizon == SHORT}
    x = skills["player/x"]
    assert x.score_skill.value != x.skill.value  # samples are not all the same
    assert read_evaluation(find_checkpoint(trained)).to_json() == report.to_json()
