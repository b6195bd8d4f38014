"""Pipelines: from recordings to a page in one call, killed anywhere and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_melee import MELEE, fight

from shadowbox import cli
from shadowbox.cli import shadowbox
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.pipeline.config import _PipelineConfig
from shadowbox.pipeline.plan import STAGES

HERE = Path(__file__).parent
SMALL = [
    "policy_preset=tiny", "policy_steps=4", "world_steps=4", "batch=2", "length=16",
    "judged_episodes=4", "starts=4", "frames=20", "matches=2", "match_frames=30", "workers=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def replays(tmp_path_factory):
    """A folder of eight made-up replays."""
    folder = tmp_path_factory.mktemp("replays")
    for seed in range(8):
        MELEE.writers["slp"](fight(seed, 120), folder / f"{seed}.slp")
    (folder / "broken.slp").write_bytes(b"nothing")
    return folder


def call(*words):
    """Result of a command in this process."""
    return CliRunner().invoke(shadowbox, ["pipeline", *map(str, words)], catch_exceptions=False)


def changes(*settings):
    """Options that change settings."""
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.slow
def test_a_pipeline_killed_in_every_stage_ends_like_one_left_alone(replays, tmp_path, chromium):
    """Killed in each of its stages and resumed, it has the stores, figures and matches of another."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killed.py"), str(replays), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    codes = json.loads(done.stdout)["codes"]
    killed = [stage for stage in STAGES if codes[stage] == -signal.SIGKILL]
    assert codes["end"] == codes["alone"] == 0, done.stderr[-3000:]
    assert set(codes.values()) <= {0, -signal.SIGKILL}
    assert len(killed) >= len(STAGES) - 2, codes  # the shortest ones may end first
    one, other = tmp_path / "killed", tmp_path / "run"
    for store in ("store", "matches"):
        assert Store(one / store).fingerprint == Store(other / store).fingerprint
    for stage in ("audit", "policy-report", "world-report", "matches"):
        first, second = (
            json.loads((p / f"{stage}.json").read_text())["facts"] for p in (one, other)
        )
        assert first == second, stage
    page, problems = chromium.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((one / "report.html").as_uri())
    page.wait_for_selector("match-viewer canvas")
    assert not problems
    text = page.inner_text("main")
    page.close()
    for words in ("The policy against random, in a dream", "What it took", "8 of 9 recordings"):
        assert words in text


def test_the_plan_comes_first(replays, tmp_path):
    """--dry prints every stage with seconds and the steps that fill the minutes, and writes nothing."""
    out = tmp_path / "out"
    settings = ("policy_preset=tiny", "starts=4", "frames=20", "matches=4", "match_frames=60")
    words = ("melee", replays, "--out", out, "--dry", "--json", "--minutes", "60")
    done = call(*words, *changes(*settings))
    plan = json.loads(done.stdout)
    assert list(plan["seconds"]) == list(STAGES)
    assert plan["known"]["files"] == 9
    assert 500 < plan["known"]["frames"] < 1500  # eight of 120 frames
    assert 3000 < sum(plan["seconds"].values()) < 4000  # about an hour, however busy the machine is
    assert min(plan["config"]["policy_steps"], plan["config"]["world_steps"]) > 100
    assert not out.exists()


@pytest.mark.slow
def test_a_game_records_by_itself(tmp_path):
    """Brawl needs no recordings: its bots play, and the policy meets them in the simulator."""
    done = call("brawl", "--out", tmp_path / "b", "--json", *changes(*SMALL, "record_matches=12"))
    facts = json.loads(done.stdout)
    assert Path(facts["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert facts["recordings"]["episodes"] == 12
    assert [each["matches"] for each in facts["matches"]] == [2] * len(facts["matches"])
    store = Store(tmp_path / "b" / "matches")
    assert store.meta_of(0)["world"] == "brawl"
    held_out = load("brawl").held_out
    assert not held_out & {each["opponent"] for each in facts["matches"]}
    again = call("brawl", "--out", tmp_path / "b", "--json", "--resume")
    assert json.loads(again.stdout) == facts  # nothing is done twice


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["melee"], "name files, folders or archives"),
        (["brawl", "replays"], "has no reader of recordings"),
        (["gesture"], "no learner 'dynamics'"),
        (["melee", "nowhere", "--set", "step=3"], "unknown setting 'step'"),
        (["melee", "nowhere", "--set", "matches=3"], "an even number is needed"),
        (["melee", "nowhere"], "does not exist"),
        (["melee", "nowhere", "--minutes", "0.1"], "0.5 to 10000 is needed"),
    ],
)
def test_wrong_calls_are_refused(words, message, tmp_path, monkeypatch, capsys):
    """A call that cannot work is refused in words, before anything is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["pipeline", *words, "--out", "out"])
    assert stop.value.code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_are_typed():
    """Settings of another type are refused with the one that is needed."""
    with pytest.raises(UsageError, match="policy_steps is 'many', a int is needed"):
        _PipelineConfig.of({"policy_steps": "many"})
    with pytest.raises(UsageError, match="minutes is inf"):
        _PipelineConfig.of({"minutes": float("inf")})
