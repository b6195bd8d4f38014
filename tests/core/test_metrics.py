"""The one list of metrics, and evaluations as plain data.

A name means one thing, and a wrong file is named.
"""

from __future__ import annotations

import json
import math

import pytest

from shadowbox.core.evaluation import (
    FILE,
    EvaluationReport,
    Figure,
    GateReport,
    read_evaluation,
)
from shadowbox.core.metrics import (
    BASELINES,
    METRIC_BY_NAME,
    METRICS,
    SKILL,
    MetricInfo,
    find_info,
    metric_of,
    metrics_in,
    skill_name,
)
from shadowbox.core.stats import Interval
from shadowbox.errors import CheckpointError

FIGURE = Figure(Interval(0.5, 0.4, 0.6), {"copy_last": Interval(0.0, math.nan, math.nan)})
REPORT = EvaluationReport(
    "policy",
    "policy:runs/x@step=12",
    "data/x",
    GateReport(False, ("keys/j begins too often",), {"controls": {}}),
    {"onset_f1": FIGURE, "nll": Figure(Interval(math.nan, math.nan, math.nan))},
    {"game": "brawl", "step": 12},
)


def test_a_name_is_listed_once():
    """No two metrics share a name, wherever they are computed, and every baseline is described."""
    assert len(METRIC_BY_NAME) == len(METRICS)
    assert {name for metric in METRICS for name in metric.baselines} == set(BASELINES)
    for metric in METRICS:
        assert metric.where in (
            "validation",
            "offline",
            "closed_loop",
            "likeness",
            "matches",
            "gate",
            "world",
            "sessions",
        )
        assert metric.info.low <= metric.info.high


def test_validations_and_evaluations_share_no_name():
    """No figure of a validation has the name of one of an evaluation, nor has their look-up table."""
    validated, evaluated = (
        metrics_in(places) for places in (["validation"], ["offline", "closed_loop", "gate"])
    )
    assert not validated.keys() & evaluated.keys()
    assert not any("look_up" in info.baselines for info in validated.values())
    assert not any("markov" in info.baselines for info in evaluated.values())


def test_imitation_logs_what_the_list_says():
    """The scores of imitation are those of the list, with its bounds, directions and baselines."""
    from pads import PAD

    from shadowbox.learners.imitation import declare_metrics
    from shadowbox.model.policy import build_policy, preset_arguments

    model = build_policy(PAD, preset_arguments("tiny", PAD.state_keys))
    scores = declare_metrics(model.head, model.values).scores
    assert scores == metrics_in(["validation"])


@pytest.mark.parametrize(
    ("figure", "name"),
    [
        ("onset_f1", "onset_f1"),
        ("onset_f1.low", "onset_f1"),
        ("onset_f1.keys/j/look_up", "onset_f1"),
        ("onset_f1_sampled/rate", "onset_f1_sampled"),
        ("press_ratio_min", "press_ratio_min"),
        ("onset_f2", None),
        ("onset", None),
    ],
)
def test_figures_have_the_facts_of_their_metric(figure, name):
    """Intervals, controls and baselines follow the metric's name; another name is unknown."""
    known = metrics_in(["offline", "gate"])
    assert find_info(figure, known) == (known[name] if name else None)


def test_skill_is_reserved():
    """skill/FIELD@FRAMES is one figure of a field at a horizon; other forms are refused."""
    name = skill_name("player/x", 20)
    assert name == "skill/player/x@20"
    assert SKILL.fullmatch(name).groupdict() == {"field": "player/x", "horizon": "20"}
    for field, horizon in (("player/x", 0), ("", 5), ("a b", 5), ("x@5", 5)):
        with pytest.raises(ValueError, match=r"skill/FIELD@FRAMES"):
            skill_name(field, horizon)


def test_skill_fits_cards():
    """A target and a kill rule may name a skill."""
    from shadowbox.cards.card import parse_value
    from shadowbox.cards.rules import grammar

    name = "eval/skill/player/x@20"
    target = {"metric": name, "op": ">", "value": f"{name}/copy_last"}
    assert parse_value({"targets": [target]}).targets[0].metric == "eval/skill/player/x@20"
    assert grammar.parse_rule("play/skill/player/x@20 < 0").metrics == ("play/skill/player/x@20",)


def test_metric_of_a_figure():
    """A figure of a control belongs to the metric before the dot."""
    assert metric_of("press_ratio.keys/a").name == "press_ratio"
    assert MetricInfo().low == -math.inf


def test_an_evaluation_reads_back_as_it_was():
    """The five keys come first, context follows, and NaN is null."""
    data = json.loads(json.dumps(REPORT.to_json(), allow_nan=False))
    assert list(data) == ["kind", "spec", "store", "gate", "figures", "game", "step"]
    assert data["gate"] == {"passed": False, "why": ["keys/j begins too often"], "controls": {}}
    assert data["figures"]["nll"] == {"value": None, "low": None, "high": None, "baselines": {}}
    again = EvaluationReport.from_json(data)
    assert again.to_json() == data
    assert again.context == {"game": "brawl", "step": 12}


def test_flat_metrics_leave_out_what_is_not_finite():
    """Targets read eval/NAME with its ends and baselines; a figure without a value is missing."""
    assert REPORT.metrics() == {
        "eval/gate": 0.0,
        "eval/onset_f1": 0.5,
        "eval/onset_f1.low": 0.4,
        "eval/onset_f1.high": 0.6,
        "eval/onset_f1/copy_last": 0.0,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": None}, "kind is None, expected a text"),
        ({"figures": []}, r"figures is \[\], expected an object"),
        ({"gate": {"passed": 1, "why": []}}, "gate.passed is 1, expected true or false"),
        ({"gate": {"passed": True, "why": "no"}}, "gate.why is 'no', expected a list of sentences"),
        ({"figures": {"x": 3}}, "figures.x is 3, expected an object"),
        ({"figures": {"x": {"value": "a"}}}, "figures.x.value is 'a', expected a number or null"),
        ({"figures": {"x": {"value": True, "low": 0, "high": 0}}}, "figures.x.value is True"),
        (
            {"figures": {"x": {"value": 1, "low": 0, "high": 2, "baselines": {"b": {}}}}},
            "figures.x.baselines.b.value is 'nothing'",
        ),
    ],
)
def test_wrong_evaluations_name_the_key(change, message):
    """A key of another type or without a value is named, with what was expected and what to do."""
    with pytest.raises(CheckpointError, match=message):
        EvaluationReport.from_json({**REPORT.to_json(), **change})


def test_the_file_beside_a_checkpoint(tmp_path):
    """No file means never evaluated; a damaged one is refused with its path."""
    assert read_evaluation(tmp_path) is None
    (tmp_path / FILE).write_text(json.dumps(REPORT.to_json()))
    assert read_evaluation(tmp_path).to_json() == REPORT.to_json()
    (tmp_path / FILE).write_text("{")
    with pytest.raises(CheckpointError, match=f"{FILE} is damaged.*shadowbox eval"):
        read_evaluation(tmp_path)
