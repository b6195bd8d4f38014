"""ONNX: an exported step is the step of PyTorch, and the file says what goes in and comes out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowbox.errors import UsageError
from shadowbox.export.check_world import encoder_parity
from shadowbox.export.onnx import session, to_onnx
from shadowbox.export.report import export_onnx
from shadowbox.export.steps import encoder_step
from shadowbox.games import load
from shadowbox.model.strategy.encoder import build_encoder
from shadowbox.play import specs
from shadowbox.play.match import play


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The champion in both precisions, with its checks."""
    out = tmp_path_factory.mktemp("exported")
    return out, export_onnx("policy:champion", out, int8=True, rows=800, matches=8)


@pytest.mark.slow
def test_full_precision_is_equal_on_recorded_rows(exported):
    """On 800 recorded rows every decision is equal, and no number differs by more than 1e-5."""
    _, facts = exported
    whole, small = facts["files"]
    assert whole["precision"] == "fp32"
    assert whole["equal"] == whole["rows"] == 200  # one in four frames is decided
    assert whole["largest"] <= 1e-5
    assert small["precision"] == "int8"
    assert small["bytes"] < 0.6 * whole["bytes"]
    assert small["equal"] >= 0.9 * small["rows"]


@pytest.mark.slow
def test_the_matches_of_the_file_are_those_of_the_policy(exported):
    """In play the file in full precision wins the same matches as the policy in PyTorch."""
    _, facts = exported
    play = facts["files"][0]["play"]
    assert play["matches"] == 8
    assert play["difference"]["value"] == 0
    assert play["wins"] == play["pytorch"]


@pytest.mark.slow
def test_the_file_runs_by_what_is_written_beside_it(exported):
    """`export.json` lists names, shapes and types with which onnxruntime alone runs the file."""
    import onnxruntime

    out, facts = exported
    about = json.loads((out / "export.json").read_text(encoding="utf-8"))
    assert about == facts
    signature = about["steps"]["policy"]
    session = onnxruntime.InferenceSession(out / "policy.onnx")
    known = {each.name for each in session.get_inputs()}
    feed = {
        each["name"]: np.zeros(each["shape"], each["type"].replace("bool", "?"))
        for each in signature["inputs"]
        if each["name"] in known
    }
    results = dict(zip(signature["outputs"], session.run(None, feed), strict=True))
    assert results["press/keys/j"].shape == (1, 1)
    assert results["log_prob"] < 0


def test_one_file_has_one_precision(tmp_path):
    """--int8 with the name of a file is refused before anything is converted."""
    with pytest.raises(UsageError, match="so name a folder"):
        export_onnx("policy:champion", tmp_path / "x.onnx", int8=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "banded@9"])
def test_an_encoder_is_equal_on_recorded_rows(name):
    """Every latent of an exported encoder is that of PyTorch, with its memory, from both seats."""
    game = load("brawl")
    keys = [*game.schema.state_keys, *game.schema.control_keys]
    arguments = {"encoder": name, "keys": keys, "opponents": ["based", "expert"]}
    step = encoder_step(build_encoder(game.schema, arguments).eval(), game.schema)
    agents, names = [specs.agent(each, game) for each in ("based", "expert")], ["a", "b"]
    (played,) = play(game, specs.world("", game, 1), agents, names, np.array([1]), most=30)
    found = encoder_parity(step, session(to_onnx(step)), game, [played.episode.columns])
    assert found.rows == 2 * len(played.episode.columns["player/x"])
    assert found.largest <= 1e-5
    assert "guess" in step.outputs
