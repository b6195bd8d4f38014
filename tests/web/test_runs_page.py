"""Runs pages: the list, one run with its curves, several compared, and no file outside the runs."""

from __future__ import annotations

import json
import os
import time

import pytest
from browser import follow, until
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.web import runlog
from shadowbox.web.app import application
from shadowbox.web.site import Site

HERE = "http://127.0.0.1:8765"
UNKIND = "<img src=x onerror=alert(1)>'\"&#?"
BEGAN = 1_000_000.0  # seconds since the epoch


def train_line(step, **more):
    """Line of training, at one second per step."""
    figures = {
        "loss": 2 / (1 + step / 20),
        "norm": 1.0,
        "lr": 1e-3,
        "time/data": 0.1,
        "time/forward": 0.3,
    }
    return {"kind": "train", "step": step, "epoch": 0, "wall": BEGAN + step, **figures, **more}


def val_line(step, loss=1.0):
    """Line of validation with an interval and a baseline."""
    figures = {"loss": loss, "loss.low": loss - 0.1, "loss.high": loss + 0.1, "loss/copy_last": 1.5}
    return {"kind": "val", "step": step, "epoch": 0, "wall": BEGAN + step, **figures}


def write(path, lines, mode="w"):
    """Write the lines of a log."""
    with path.open(mode) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def make_run(folder, *, status="running", lines=None, events=None, **facts):
    """Write the folder of a run as training leaves it."""
    folder.mkdir(parents=True)
    best = {"step": 40, "score": "loss", "value": 1.0, "baselines": {"copy_last": 1.5}}
    known = {
        "status": status,
        "step": 40,
        "total": 100,
        "best": best,
        "config": {},
        "fingerprint": "f00d",
        "store": "data/x",
        "commit": "c0ffee",
        "versions": {"torch": "2.6"},
        "machine": {"cores": 2},
        "cost": {"wall_s": 75.0},
        "parent": {"spec": "runs/old@best"},
        "facts_hash": "beef",
    }
    (folder / "run.json").write_text(json.dumps(known | facts))
    begin = {"event": "begin", "step": 0, "wall": BEGAN, "text": "4,393 parameters"}
    write(folder / "events.jsonl", events or [begin])
    write(
        folder / "metrics.jsonl",
        lines
        or [*(train_line(step) for step in range(10, 50, 10)), val_line(20, 1.2), val_line(40)],
    )
    return folder


@pytest.fixture
def runs(tmp_path):
    """Folder of runs: one that is running, one that is finished."""
    make_run(tmp_path / "runs" / "first" / "0", config={"lr": 0.001})
    make_run(tmp_path / "runs" / "second" / "0", status="finished", config={"lr": 0.01})
    return tmp_path / "runs"


@pytest.fixture
def client(runs):
    """Test client that calls the application as a browser on this machine does."""
    site = Site(game=GAME, known=lambda name: None, out=runs / "none", runs=runs)
    with TestClient(application(site), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def news(client, name="first/0", query=""):
    """Data that the page of a run receives."""
    answer = client.get(f"/runs/{name}/metrics.json{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_runs_are_listed(client, runs):
    """The newest run comes first, with its state, step, best figure, wall time and data.

    An unreadable run hides no other run.
    """
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_text("[" * 100_000)
    os.utime(runs / "broken" / "run.json", (1, 1))
    later = time.time() + 60
    os.utime(runs / "second" / "0" / "metrics.jsonl", (later, later))
    text = client.get("/runs").text
    assert text.index("second/0") < text.index("first/0") < text.index("unreadable")
    for part in ("running", "finished", "1 <", "data/x", "1 min 15 s", 'href="/runs/first/0"'):
        assert part in text, part


def test_few_logs_stay_in_memory(tmp_path):
    """The log of a run is kept while it is followed; of a hundred runs the older ones are dropped."""
    cache = runlog.log_cache()
    logs = [cache(tmp_path / str(at)) for at in range(100)]
    assert cache(tmp_path / "99") is logs[99]
    assert cache(tmp_path / "90") is logs[90]
    assert cache(tmp_path / "0") is not logs[0]
    assert cache(tmp_path / "50") is not logs[50]


def test_a_run_has_its_facts(client):
    """The page of a run shows its best score beside the baselines, and its facts."""
    text = client.get("/runs/first/0").text
    for part in (
        "loss 1 at step 40; baselines without learning: copy last 1.5",
        "c0ffee",
        "f00d",
        "beef",
        "2.6",
        "runs/old@best",
        "1 min 15 s",
    ):
        assert part in text, part


def test_curves_come_in_pieces(client, runs):
    """A page gets all points once, then only later ones, and events only if there are more."""
    first = news(client)
    assert first["curves"]["train"]["step"] == [10, 20, 30, 40]
    assert first["curves"]["train"]["seconds"] == [10, 20, 30, 40]
    assert first["curves"]["val"]["figures"]["loss/copy_last"] == [1.5, 1.5]
    assert first["time"] == pytest.approx({"data": 0.4, "forward": 1.2})
    assert first["events"][0]["text"] == "4,393 parameters"
    write(runs / "first" / "0" / "metrics.jsonl", [train_line(50)], "a")
    then = news(client, query="?after=40&events=1")
    assert then["curves"]["train"]["step"] == [50]
    assert then["curves"]["val"]["step"] == []
    assert "events" not in then


def test_long_runs_are_thinned(client, runs, monkeypatch):
    """The page of a long run gets a bounded number of points, among them the newest."""
    monkeypatch.setattr(runlog, "READ_S", 600)
    make_run(runs / "long", lines=[train_line(step) for step in range(1, 20_001)])
    curve = news(client, "long")["curves"]["train"]
    assert runlog.POINTS <= len(curve["step"]) <= 2 * runlog.POINTS + 1
    assert curve["step"][-1] == 20_000
    assert curve["step"] == sorted(set(curve["step"]))


def test_a_long_log_is_read_in_parts(client, runs, monkeypatch):
    """Each answer reads on for a limited time and says how much is read; the last is the whole log."""
    lines = [train_line(step, norm=float("nan")) for step in range(1, 301)]
    make_run(runs / "long", lines=lines)
    make_run(runs / "same", lines=lines)
    whole = news(client, "same")
    monkeypatch.setattr(runlog, "READ_S", -1)  # one line in each answer
    shares = [news(client, "long")["read"] for _ in lines]
    assert shares == sorted(set(shares))
    assert 0 < shares[0] < 0.01
    assert shares[-1] == whole["read"] == 1
    assert news(client, "long") | {"part": ""} == whole | {"part": ""}


def test_an_incomplete_line_waits(client, runs):
    """An incomplete last line is skipped silently, and read once it is complete."""
    log = runs / "first" / "0" / "metrics.jsonl"
    line = json.dumps(train_line(50)) + "\n"
    with log.open("a") as file:
        file.write(line[:30])
    assert news(client) | {"state": ""} == news(client) | {"state": ""}
    assert news(client)["damaged"] == []
    assert news(client)["step"] == 40
    with log.open("a") as file:
        file.write(line[30:])
    assert news(client)["step"] == 50


@pytest.mark.parametrize(
    "bad",
    ["nonsense", "[1]", "{}", '{"kind": "train", "step": "1", "wall": 1}', '{"kind": "\\ud800"}'],
)
def test_damage_is_reported(client, runs, bad):
    """An invalid line is reported by its number, and the lines around it are drawn."""
    with (runs / "first" / "0" / "metrics.jsonl").open("a") as file:
        file.write(bad + "\n" + json.dumps(train_line(50)) + "\n")
    found = news(client)
    assert "metrics.jsonl is damaged: line 7" in found["damaged"][0]
    assert found["step"] == 50


def test_values_that_are_not_finite_are_gaps(client, runs):
    """Values that are not finite are sent as null."""
    with (runs / "first" / "0" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(train_line(50, loss=float("nan"), norm=10**400)) + "\n")
    with (runs / "first" / "0" / "events.jsonl").open("a") as file:
        file.write('{"event": "skip", "step": NaN, "text": 1e999}\n')
    figures = news(client)["curves"]["train"]["figures"]
    assert figures["loss"][-1] is None
    assert figures["norm"][-1] is None


def test_the_log_of_a_resumed_run_is_read_anew(client, runs):
    """A log that was cut and replaced is read anew, and the pause does not count as training."""
    folder = runs / "first" / "0"
    before = news(client)
    write(folder / "cut", [train_line(10), train_line(20)])
    os.replace(folder / "cut", folder / "metrics.jsonl")
    write(
        folder / "events.jsonl",
        [{"event": "resume", "step": 20, "wall": BEGAN + 5000, "text": "resumed"}],
        "a",
    )
    write(folder / "metrics.jsonl", [train_line(30, wall=BEGAN + 5010)], "a")
    found = news(client)
    assert found["part"] != before["part"]
    assert found["curves"]["train"]["step"] == [10, 20, 30]
    assert found["elapsed"] == 30


@pytest.mark.parametrize(
    ("status", "events", "age", "state"),
    [
        ("running", ["begin"], 0, "running"),
        ("running", ["begin"], 999, "silent"),
        ("stopped", ["begin", "stop"], 999, "stopped"),
        ("stopped", ["begin", "stop", "resume"], 0, "running"),
        ("early stop", ["begin"], 999, "early stop"),
        ("called off", ["begin", "stop"], 999, "called off"),
        ("finished", ["begin", "stop", "resume"], 0, "finished"),
    ],
)
def test_states(client, runs, status, events, age, state):
    """The state of a run follows from its last event, or is silent after minutes without a line."""
    lines = [{"event": event, "step": 0, "wall": BEGAN, "text": ""} for event in events]
    folder = make_run(runs / "some", status=status, events=lines)
    for name in ("run.json", "metrics.jsonl", "events.jsonl"):
        os.utime(folder / name, (time.time() - age,) * 2)
    assert news(client, "some")["state"] == state


def test_runs_are_compared(client, runs):
    """A comparison lists the settings that differ, and warns of different data."""
    text = client.get("/runs/compare?run=first/0&run=second/0").text
    assert "lr 0.001" in text
    assert "lr 0.01" in text
    assert "different data" not in text
    make_run(runs / "third", fingerprint="other")
    assert "different data" in client.get("/runs/compare?run=first/0&run=third").text
    many = "&".join(f"run={n}" for n in range(7))
    for query, status in (
        ("", 400),
        (many, 400),
        ("run=first/0&run=none", 404),
        ("run=../runs/first/0", 404),
    ):
        assert client.get(f"/runs/compare?{query}").status_code == status, query


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "first%2f..%2f..%2fsecret",
        "/etc",
        "%2fetc",
        "first",
        "%00",
        "%ff",
        "first%2f.",
    ],
)
def test_other_folders_are_no_runs(client, runs, name):
    """Only a listed run has a page: no path leads out of the folder of runs."""
    make_run(runs.parent / "secret", commit="hidden")
    for more in ("", "/metrics.json"):
        answer = client.get(f"/runs/{name}{more}")
        assert answer.status_code == 404, name
        assert "hidden" not in answer.text


@pytest.mark.parametrize("query", ["?after=x", "?after=-2", "?events=1e3", "?after=" + "9" * 30])
def test_invalid_queries_are_refused(client, query):
    """A step or count that is not a whole number is refused with a message."""
    answer = client.get(f"/runs/first/0/metrics.json{query}")
    assert answer.status_code == 400
    assert "must be a whole number" in answer.json()["error"]


def test_no_runs_say_what_to_do(tmp_path):
    """Without runs the page shows the command that trains one."""
    site = Site(game=GAME, known=lambda name: None, out=tmp_path / "none", runs=tmp_path / "none")
    with TestClient(application(site), base_url=HERE) as client:
        assert "shadowbox train STORE --out runs/NAME" in client.get("/runs").text


# ---- in a browser ----


def test_a_curve_grows(server, browse):
    """The page of a run follows its training, by steps or by wall time, until it is finished."""
    site = server()
    folder = make_run(site.folder / "runs" / "live")
    page = browse(site.url + "runs/live")
    until(page, "() => document.querySelector('.chart svg')?.ariaLabel.includes('copy last 1.5')")
    assert page.evaluate("document.querySelectorAll('.chart .curve.baseline').length") == 1
    assert (
        page.evaluate("document.querySelector('.band.p2').getAttribute('points').split(' ').length")
        == 4
    )
    corners = "document.querySelector('.curve.p1').getAttribute('d').split('L').length"
    before = page.evaluate(corners)
    write(folder / "metrics.jsonl", [train_line(50)], "a")
    until(
        page,
        f"() => {corners} === {before + 1}"
        " && document.getElementById('state').textContent.includes('step 50 of 100')",
    )
    page.hover(".chart svg")
    assert "training" in page.inner_text(".figure .readout")
    name = page.locator("dfn", has_text="norm")
    name.evaluate("element => { element.closest('details').open = true; element.focus(); }")
    assert "before it is clipped" in page.get_by_role("tooltip").inner_text()
    assert name.get_attribute("aria-describedby") == page.get_by_role("tooltip").get_attribute("id")
    page.keyboard.press("Escape")
    until(page, "document.getElementById('hint').hidden")
    page.locator(".figure dfn").first.hover()
    assert "negative log-likelihood" in page.get_by_role("tooltip").inner_text()
    page.get_by_text("Wall time").click()
    until(page, "() => document.querySelector('.chart svg').textContent.includes('50 s')")
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"status": "finished"}))
    until(page, "() => document.getElementById('state').textContent.includes('finished')")


def test_a_long_log_is_drawn_part_by_part(server, browse, monkeypatch):
    """A page shows the first part of a long log at once, and in the end the points of one reading."""
    monkeypatch.setattr(runlog, "READ_S", 0.01)
    site = server()
    lines = [train_line(step) for step in range(1, 20_001)]
    make_run(site.folder / "runs" / "long", lines=lines, status="finished")
    page = browse(site.url + "runs/long")
    state = "document.getElementById('state').textContent"
    until(page, f"() => {state}.includes('% of the log read')")
    until(page, f"() => {state}.includes('step 20,000') && !{state}.includes('read')")
    corners = "document.querySelector('.curve.p1').getAttribute('d').split('L').length"
    once = page.request.get(site.url + "runs/long/metrics.json").json()
    assert page.evaluate(corners) == len(once["curves"]["train"]["step"])


def test_curves_are_smoothed_grouped_and_saved(server, browse):
    """Curves are smoothed, drawn on a logarithmic axis, joined over seeds, and saved as CSV and PNG."""
    site = server()
    for seed in range(3):
        lines = [train_line(step, loss=2.0 + seed + step % 20 / 10) for step in range(10, 50, 10)]
        make_run(site.folder / "runs" / "toy" / str(seed), lines=lines)
    page = browse(site.url + "runs/compare?" + "&".join(f"run=toy/{seed}" for seed in range(3)))
    curves = "[...(document.querySelector('.chart')?.querySelectorAll('.curve') ?? [])]"
    until(page, f"{curves}.length === 3")
    path = page.evaluate(f"{curves}[0].getAttribute('d')")
    page.fill(".curve-tools [type=range]", "0.9")
    until(page, f"{curves}[0].getAttribute('d') !== {path!r}")
    assert "smoothed by 0.9" in page.inner_text(".figure .readout")
    page.fill(".curve-tools [type=range]", "0")
    page.check("[name=group]")
    until(page, f"{curves}.length === 1")
    assert page.locator(".chart").first.locator(".band").get_attribute("points").count(",") == 8
    page.check("[name=log]")
    until(
        page,
        "![...document.querySelectorAll('.chart .label')].some((one) => one.textContent === '0')",
    )
    with page.expect_download() as download:
        page.locator(".saving button", has_text="CSV").first.click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "curve,x,value,low,high"
    assert [row.split(",")[1:] for row in rows[1:3]] == [
        ["10", "4", "3", "5"],
        ["20", "3", "2", "4"],
    ]
    with page.expect_download() as download:
        page.locator(".saving button", has_text="PNG").first.click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_list_is_sorted_filtered_and_saved(server, browse):
    """A click on a heading sorts, words filter, any metric is a column, and the rows are saved as CSV."""
    site = server()
    for number in range(9):
        lines = [train_line(10 * (number + 1), reward=float(number % 3))]
        make_run(site.folder / "runs" / f"run-{number}", lines=lines)
    page = browse(site.url + "runs?metric=train/reward")
    cells = "document.querySelectorAll('tbody tr:not([hidden]) td:nth-child({})')"
    shown = f"[...{cells}].map((one) => one.innerText)"
    page.get_by_role("button", name="sort by step").click()
    assert page.evaluate(shown.format(6)) == [str(10 * number) for number in range(1, 10)]
    page.get_by_role("button", name="sort by step").click()
    assert page.evaluate(shown.format(6))[0] == "90"
    page.get_by_role("button", name="sort by train/reward").click()
    assert page.evaluate(shown.format(8)) == [*"000", *"111", *"222"]
    page.fill(".table-tools input", "run-4")
    assert page.evaluate(shown.format(2)) == ["run-4"]
    assert "1 of 9" in page.inner_text(".table-tools")
    with page.expect_download() as download:
        page.locator(".table-tools button", has_text="CSV").click()
    head, row = download.value.path().read_text().splitlines()
    assert head.endswith("wall time,train/reward")
    assert row.split(",")[1] == "run-4"


def test_promises_cross_the_curves(server, browse):
    """Targets and kill rules are lines in the curves, and rules that fired are marked.

    A line far from the curves is named at the edge.
    """
    site = server()
    targets = [{"metric": "val/loss", "op": "<", "value": 1.5, "at": "best", "primary": True}]
    kill = [
        {"when": "val/loss > 400 or rolling_mean(train/loss, 3) >= 2", "action": "stop"},
        {"when": "val/", "action": "stop"},
    ]
    warned = {
        "event": "rule",
        "step": 20,
        "wall": BEGAN + 20,
        "text": "kill[7]",
        "action": "warn",
        "figures": {"val/loss": 1},
    }
    lines = [
        train_line(10),
        train_line(20),
        val_line(20, 1.2),
        train_line(30),
        train_line(40),
        val_line(40),
    ]
    kept = {"targets": targets, "kill": kill, "lines": lines}
    make_run(
        site.folder / "runs" / "toy" / "0",
        events=[{"event": "begin", "step": 0, "wall": BEGAN}, warned],
        **kept,
    )
    make_run(site.folder / "runs" / "toy" / "1", **kept)
    page = browse(site.url + "runs/toy/0", width=1280)
    until(page, "() => document.querySelector('.chart svg .level')")
    loss = page.locator(".chart svg").first
    assert loss.locator(".level.target title").text_content() == "target: val/loss < 1.5"
    assert loss.locator(".level.kill").count() == 1, (
        "400 is far from the curves and does not stretch their axis"
    )
    assert "↑ stop > 400" in loss.text_content()
    assert "stop >= 2" in loss.text_content()
    heights = {
        name: float(loss.locator(f".level.{name}").get_attribute("y1"))
        for name in ("target", "kill")
    }
    assert heights["kill"] < heights["target"]
    floor = loss.locator(".curve.baseline").get_attribute("d")
    assert f" {heights['target']:.1f}" in floor, "the baseline is 1.5, too"
    assert loss.locator(".event title").text_content() == "kill[7]"
    at = float(loss.locator(".event").get_attribute("x1"))
    page.get_by_text("Wall time").click()
    assert float(page.locator(".chart .event").first.get_attribute("x1")) == pytest.approx(
        at, abs=1
    ), "a step took a second"
    page.goto(site.url + "runs/compare?run=toy/0&run=toy/1")
    until(page, "() => document.querySelector('.chart svg .level')")
    assert page.locator(".chart svg").first.locator(".level.target").count() == 1, (
        "both promise the same"
    )


def test_lines_of_a_learner_are_drawn(server, browse):
    """A kind of line that a learner declares has a chart of its own, alone and compared."""
    site = server()
    play = {"kind": "play", "epoch": 0, "win_rate": 0.5, "win_rate/random": 0.3}
    lines = [train_line(10), train_line(20)]
    lines += [{**play, "step": step, "wall": BEGAN + step} for step in (15, 20)]
    targets = [{"metric": "play/win_rate", "op": ">", "value": 0.4, "at": "best", "primary": True}]
    for seed in ("0", "1"):
        make_run(site.folder / "runs" / "own" / seed, lines=lines, targets=targets)
    page = browse(site.url + "runs/own/0")
    until(page, "() => document.querySelectorAll('.figure').length > 1")
    chart = page.locator(".figure", has_text="play/win rate")
    assert chart.locator(".curve.p1").count() == 1
    assert chart.locator(".curve.baseline").count() == 1
    assert chart.locator(".level.target title").text_content() == "target: play/win_rate > 0.4"
    page.goto(site.url + "runs/compare?run=own/0&run=own/1")
    until(page, "() => document.querySelectorAll('.figure').length > 1")
    chart = page.locator(".figure", has_text="play/win rate")
    assert chart.locator(".curve.run1, .curve.run2").count() == 2


def test_unkind_names_are_text(server, browse):
    """Markup in the name, facts, figures and events of a run is shown as text, on a phone, too."""
    site = server()
    lines = [train_line(step, **{UNKIND: 1.0}) for step in (1, 2)]
    events = [{"event": UNKIND, "step": 1, "wall": BEGAN, "text": UNKIND}]
    name = UNKIND.replace("/", "")
    make_run(site.folder / "runs" / name, lines=lines, events=events, commit=UNKIND, store=UNKIND)
    make_run(site.folder / "runs" / "other")
    page = browse(site.url + "runs", width=390, height=844)
    follow(page, page.get_by_role("link", name=name))
    until(page, "() => document.querySelectorAll('.chart svg').length > 0")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    page.goto(site.url + "runs")
    for box in page.get_by_role("checkbox").all():
        box.check()
    follow(page, page.get_by_role("button", name="Compare"))
    until(page, "() => document.querySelectorAll('.chart .run1, .chart .run2').length > 1")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
