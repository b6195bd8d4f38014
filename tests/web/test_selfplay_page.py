"""Page of a run of self-play: it grows with the run, and plays matches of the newest checkpoint."""

from __future__ import annotations

import json
import shutil

import pytest
from browser import until
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import specs
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train
from shadowbox.web.app import application
from shadowbox.web.site import Site

HERE = "http://127.0.0.1:8765"
UNKIND = "<img src=x onerror=alert(1)>'\"&"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of self-play of two steps, with a league."""
    folder = tmp_path_factory.mktemp("runs") / "tiny" / "1"
    config = TrainConfig(steps=2, batch=4, precision="fp32", threads=1, log_every=1, warmup=0)
    model = {"width": 16, "hidden_width": 8, "head_width": 8, "strategy": "gru"}
    shares = {"league": 0.5, "constant": 0.5}
    given = Inputs(
        spec=RunSpec(GAME, "small", model, {"n_steps": 4, "snapshot_every": 1}),
        config=config,
        worlds=specs.world_factory("", GAME, time_limit=6),
        agents=lambda spec: specs.agent(spec, GAME),
        opponents=shares,
        run=folder,
        facts={"learner": "selfplay", "opponents": shares},
    )
    train(learner_spec("selfplay").prepare(given), folder, config)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run in a folder of runs."""
    return shutil.copytree(trained, tmp_path / "runs" / "tiny" / "1")


def play_line(step, rate, name="based"):
    """Line about finished matches."""
    figures = {f"recent.{name}": rate, f"recent.{name}.low": rate / 2}
    figures[f"recent.{name}.high"] = (1 + rate) / 2
    return {"kind": "play", "step": step, "epoch": 0, "wall": 1e6 + step, **figures}


def append(run, *lines):
    """Write further lines into the log of a run."""
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_files_of_a_run_are_text(run):
    """Names in the league, the log, the stages and the facts of a run never become markup."""
    league = json.loads((run / "league.json").read_text())
    league["snapshots"][0] |= {"name": UNKIND, "met": [3, 4]}
    (run / "league.json").write_text(json.dumps(league | {"champion": UNKIND}))
    facts = json.loads((run / "run.json").read_text())
    facts["opponents"] = {UNKIND: 1.0}
    facts["stages"] = [{"name": UNKIND, "opponents": {UNKIND: 0.5}, "gate": UNKIND}, {"name": "b"}]
    (run / "run.json").write_text(json.dumps(facts))
    append(run, play_line(3, 0.25, UNKIND))
    site = Site(game=GAME, known=lambda name: None, runs=run.parents[1], out=run / "none")
    with TestClient(application(site), base_url=HERE) as client:
        own = client.get("/runs/tiny/1/own.html").text
        playing = client.get("/runs/tiny/1/metrics.json").json()["playing"]
    assert "<img" not in own
    for words in ("&lt;img src=x", "Stage 1 of 2", "75", "of 4", "25.0%"):
        assert words in own, words
    assert playing["step"] == 2
    groups = {group: dict(names) for group, names in playing["opponents"]}
    assert UNKIND not in str(groups)  # it is no agent of this game
    assert "based (held out)" not in groups["Bots"].values()
    assert "charger (held out)" in groups["Bots"].values()
    assert f"{playing['agent'].removesuffix('@latest')}@snapshot=1" in groups["Itself"]


@pytest.mark.parametrize("met", [[5, 4], ["x", 4], [1e999, 4]])
def test_a_league_that_is_wrong_is_named(run, met):
    """A league with impossible results is named on the page, and the rest is shown."""
    append(run, play_line(3, 0.25))
    league = {"champion": "a", "snapshots": [{"name": "a", "step": 1, "met": met}]}
    (run / "league.json").write_text(json.dumps(league))
    site = Site(game=GAME, known=lambda name: None, runs=run.parents[1], out=run / "none")
    with TestClient(application(site), base_url=HERE) as client:
        own = client.get("/runs/tiny/1/own.html").text
    assert "league.json cannot be read" in own
    assert "Results by opponent" in own


def test_the_page_grows_and_plays(run, server, browse):
    """Tables follow the log without a reload, and the newest checkpoint plays a snapshot of itself."""
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"status": "running"}))
    site = server("--runs", run.parents[1])
    page = browse(f"{site.url}runs/tiny/1", width=390, height=800)
    until(page, "document.getElementById('own').textContent.includes('Cross-table')")
    append(run, play_line(4, 0.75))
    until(page, "document.getElementById('own').textContent.includes('75.0%')")
    choice = page.locator("#watch select")
    choice.select_option(label="its snapshot of step 1")
    page.click("#watch .go")
    until(page, "window.__viewer?.state?.length > 20")
    assert page.inner_text("#playing .p1 .name") == "step 2"
    assert page.inner_text("#playing .p2 .name") == "snapshot of step 1"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
