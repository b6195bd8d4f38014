"""Launch specs: the two older cards as they were launched, refusals, and what the launchers are given."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from jobs import call, write_card

from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import estimate
from shadowbox.games import load
from shadowbox.launch.session import parse_command
from shadowbox.launch.spec import TARGETS, described, make_spec, read_spec

CARDS = Path(__file__).parents[2] / "cards"
GOLDEN = Path(__file__).parents[1] / "golden" / "launch"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the cards, and none of their data."""
    shutil.copytree(CARDS, tmp_path / "cards")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["policy-22k", "mamba2-v3"])
def test_older_cards_are_launched_as_they_were(folder, name):
    """GPU, time-out, workers, volume, tags, price and resume command are those of the older cards."""
    spec = make_spec(Path("cards") / f"{name}.md", "modal", load)
    assert spec.to_json() == json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert read_spec(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_golden_specs_say_what_their_authors_wrote():
    """T4 for 43,200 s, resumed once; A100-40GB for 14,400 s with 4 workers, detached."""
    policy, world = (
        json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
        for name in ("policy-22k", "mamba2-v3")
    )
    assert (policy["accelerator"], policy["timeout_s"], policy["resumes"]) == ("T4", 43200, 1)
    assert (policy["tags"], policy["detach"]) == (["policy", "imitation"], True)
    assert policy["estimate"]["expected_s"] < 43200 < policy["estimate"]["pessimistic_s"]
    assert policy["estimate"]["pessimistic_usd"] == pytest.approx(7.5, rel=0.05)
    assert (world["accelerator"], world["timeout_s"]) == ("A100-40GB", 14400)
    assert (world["workers"], world["resumes"], world["detach"]) == (4, 0, True)
    for spec in (policy, world):
        assert spec["volume"] == "melee-training-data"
        assert spec["tracking"] == {"entity": "shinewave", "project": "melee-worldmodel"}
        assert spec["resume"] == [*spec["command"], "--resume"]


def test_a_time_out_below_the_expected_time_is_refused(folder):
    """The pessimistic time alone beyond it is resumed as often as it takes; the expected one is an error."""
    path = Path("cards/policy-22k.md")
    text = path.read_text("utf-8").replace("resumes: 1  # the", "# the")
    path.write_text(text.replace("timeout: 12h", "timeout: 8h"), "utf-8")
    assert make_spec(path, "slurm", load).resumes == 1
    path.write_text(text.replace("timeout: 12h", "timeout: 7h"), "utf-8")
    with pytest.raises(CardError, match=r"timeout: 25,200 s are less than the expected 27,360 s"):
        make_spec(path, "slurm", load)


def test_a_budget_below_the_pessimistic_price_is_refused(folder, capsys):
    """The message names the budget and the price; nothing is written."""
    path = Path("cards/mamba2-v3.md")
    path.write_text(path.read_text("utf-8").replace("usd: 2.50", "usd: 2.00"), "utf-8")
    answer = call(capsys, "modal", "mamba2-v3", "--dry", status=1)
    assert "budget.usd: 2 are less than the pessimistic price of 2.20" in answer["error"]
    assert not Path("runs").exists()


def test_another_machine_is_priced_anew(folder):
    """--set budget.machine needs a speed of that machine, and says where to give it."""
    from shadowbox.experiment.run import RunOptions

    wish = RunOptions(changes={"budget.machine": "H100"})
    with pytest.raises(UsageError, match=r"no throughput of preset 'policy-mlp' on H100"):
        make_spec(Path("cards/policy-22k.md"), "modal", load, wish)


def test_an_unsigned_card_is_not_launched(folder):
    """Signatures that the card asks for are needed before anything starts."""
    path = Path("cards/policy-22k.md")
    path.write_text(path.read_text("utf-8").replace("{min: 0}", "{min: 2}"), "utf-8")
    with pytest.raises(CardError, match="is not signed: 2 must sign, 0 did"):
        make_spec(path, "modal", load)


@pytest.mark.parametrize("target", TARGETS)
def test_a_spec_is_plain_data(project, target, monkeypatch):
    """Each launcher's spec goes through JSON and back; the command's options are those of the call."""
    from shadowbox.experiment.run import RunOptions

    monkeypatch.setattr(estimate, "probe", lambda *given: {"step_s": 1.0, "steps": 60, "prepare_s": 0,
                        "validate_s": 0, "validations": 0, "save_s": 0, "saves": 0})  # fmt: skip
    path = write_card(launch={"workers": 2, "environment": {"A_B": "c d"}, "secrets": ["token"]})
    wish = RunOptions(changes={"train.lr": 0.01, "train.sinks": []}, unsigned=True, keep_card=True)
    spec = make_spec(path, target, load, wish, processes=2)
    assert read_spec(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.environment == {"OMP_NUM_THREADS": "2", "A_B": "c d"}
    assert parse_command(spec.command) == (path, wish)
    assert parse_command(spec.resume) == (path, dataclasses.replace(wish, resume=True))
    assert (spec.command[0] == "torchrun") == (target == "torchrun")
    assert spec.estimate["expected_s"] == 60
    assert dict(described(spec))["launched by"] == target


def test_unknown_names_are_refused():
    """A spec with another name, or without one, is refused with the name."""
    good = json.loads((GOLDEN / "policy-22k.json").read_text("utf-8"))
    with pytest.raises(UsageError, match="unknown name 'gpu'"):
        read_spec({**good, "gpu": "T4"})
    with pytest.raises(UsageError, match="timeout_s"):
        read_spec({**good, "timeout_s": "12h"})
    with pytest.raises(UsageError, match="command is missing"):
        read_spec({key: value for key, value in good.items() if key != "command"})


def test_a_card_without_data_of_this_machine_is_estimated_by_its_run(folder, monkeypatch):
    """What cannot be timed before the data is made is launched, and refused by the run if too long."""
    monkeypatch.setattr(estimate, "machine", lambda: "a machine without records")
    spec = make_spec(Path("cards/brawl-clone.md"), "local", load)
    assert spec.estimate == {}
    assert dict(described(spec))["expected"].startswith("not known yet")
