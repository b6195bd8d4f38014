"""The doctor finds each known problem, and says nothing about healthy runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shadowbox.cli import shadowbox
from shadowbox.errors import UsageError
from shadowbox.evaluate.doctor import CHECKS, diagnose
from shadowbox.testing.sick_runs import SICKNESSES, confusion, healthy_run, sick_run, write_run

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [check.name for check in CHECKS]


@pytest.mark.parametrize("seed", range(5))
def test_healthy_runs(tmp_path, seed):
    """Every check has enough data in a healthy run, and finds nothing."""
    write_run(tmp_path, healthy_run(seed))
    found = diagnose(tmp_path)
    assert [each.check.name for each in found.checks if each.status != "ok"] == []
    assert found.healthy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_sick_runs(tmp_path, name, seed):
    """A run that was made sick on purpose is diagnosed, with its figure and what to change."""
    write_run(tmp_path, sick_run(name, seed))
    found = {each.check.name: each for each in diagnose(tmp_path).sick}
    assert list(found) == [name]
    assert found[name].finding.words
    assert found[name].check.change


def test_every_check_has_a_sick_run():
    """No check is without a run that it must find sick."""
    assert list(SICKNESSES) == NAMES


def test_runs_that_have_just_begun(tmp_path):
    """With too little data a check says so, and a run without tables is not sick."""
    run = healthy_run()
    short = run._replace(tables={name: rows[:1] for name, rows in run.tables.items()})
    write_run(tmp_path / "short", short)
    write_run(tmp_path / "empty", run._replace(tables={}, lines=[]))
    for folder in ("short", "empty"):
        found = diagnose(tmp_path / folder)
        assert found.healthy
        assert "not enough data" in {each.status for each in found.checks}
    with pytest.raises(UsageError, match="no run at"):
        diagnose(tmp_path / "nothing")


def test_damaged_tables(tmp_path):
    """Cells that are no numbers, and rows that were cut off, are left out."""
    write_run(tmp_path, healthy_run())
    for path in tmp_path.glob("*.csv"):
        head, *rows = path.read_text().splitlines()
        wrong = ",".join("?" for _ in head.split(","))
        path.write_text("\n".join([head, wrong, *rows, "1,2"]))
    assert "flat_reward" not in [each.check.name for each in diagnose(tmp_path).sick]


@pytest.mark.parametrize(("band", "missed"), [([0.5, None], True), ([None, 0.5], False)])
def test_milestones(tmp_path, band, missed):
    """The first milestone that was passed outside of its band is named; later ones are not."""
    run = healthy_run()
    run.lines.append({"kind": "play", "step": 10, "epoch": 0, "wall": 1.0, "return": 0.25})
    run.facts["milestones"] = [
        {"step": 10_000, "metric": "play/return", "band": [9, None]},  # not there yet
        {"step": 8, "metric": "play/return", "band": band},
    ]
    write_run(tmp_path, run)
    found = diagnose(tmp_path)
    assert bool(found.missed) is missed
    if missed:
        assert found.missed == "play/return at step 8 was 0.25; the band is 0.5 to any"
        assert not found.healthy


def test_the_command(tmp_path):
    """`shadowbox doctor RUN` exits 1 when something is sick, and prints figures and advice."""
    write_run(tmp_path / "well", healthy_run())
    write_run(tmp_path / "ill", sick_run("slow"))
    call = CliRunner().invoke
    well = call(shadowbox, ["doctor", str(tmp_path / "well")])
    assert well.exit_code == 0, well.output
    assert "healthy" in well.output
    ill = call(shadowbox, ["doctor", str(tmp_path / "ill"), "--json"])
    assert ill.exit_code == 1
    found = json.loads(ill.stdout)
    assert [each["check"] for each in found["checks"] if each["status"] == "sick"] == ["slow"]
    assert "train.save_every" in next(e for e in found["checks"] if e["check"] == "slow")["words"]


def test_the_documented_tables(tmp_path):
    """The tables of checks and of confusions in the documentation are those of the code."""
    page = (DOCS / "monitoring.md").read_text()
    assert doctor_tables(confusion(tmp_path)) in page


def doctor_tables(found):
    """Both tables, as `python docs/doctor.py` writes them."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("doctor_docs", DOCS / "doctor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.text(found)
