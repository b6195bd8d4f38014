"""`shadowbox report`: one page about a run, and nothing outside it is needed."""

from __future__ import annotations

import json

import pytest
from browser import until
from kept_promises import TARGETS, UNKIND, write_card, write_run
from quick_brawl import GAME

from shadowbox.collect.matches import Pairing, record
from shadowbox.errors import TrainingError, UsageError
from shadowbox.play import specs
from shadowbox.report import curves, levels, run, source
from shadowbox.train import runs


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a card that has two runs."""
    monkeypatch.chdir(tmp_path)
    write_card(tmp_path / "cards")
    for seed, value in (("0", 0.35), ("1", 0.45)):
        write_run(tmp_path / "runs" / "toy" / seed, onset_f1=value)
    return tmp_path


def made(what="toy", **options):
    """The page of a run."""
    return run.report(source.find_source(what), lambda name: GAME, **options)


def test_the_page_says_what_came_of_it(here):
    """A report has verdict, targets with intervals and baselines, cost, events, settings and origins."""
    text = made(match=False)
    for part in (
        ">passed<",
        "val/onset_f1_greedy &gt; 0.3: 0.4",
        "2 seeds",
        "Do 40 steps suffice?",
        "0.4 was reached",
        "copy_last",
        "0.1",
        "It took 80.0 s",
        "1.25 times the estimate",
        "step 20: warn: kill[1]: norm",
        "train.lr",
        "default",
        "<b>nobody</b>",
    ):
        assert part in text, part


def test_the_verdict_is_that_of_the_disk(here):
    """A report shows a missed target, a killed seed, and a missing seed."""
    path = here / "runs" / "toy" / "1" / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(
        json.dumps(facts | {"status": "called off", "reason": "kill[0]: val/loss > 400"})
    )
    assert "Why it ended: kill[0]: val/loss &gt; 400" in made(match=False)
    assert source.find_source("toy").finished.verdict == "killed"
    path.unlink()
    assert source.find_source("toy").finished.verdict == "unfinished"
    assert source.find_source("runs/toy/0").finished.verdict == "not shown"  # its interval is wide
    write_run(here / "runs" / "high" / "0", onset_f1=0.5, card="high")
    assert source.find_source("high").finished.verdict == "passed"
    write_run(here / "runs" / "low" / "0", onset_f1=0.25, card="low")
    assert source.find_source("low").finished.verdict == "missed"


def test_a_run_is_named_from_its_card_on(here, tmp_path_factory):
    """The heading of a run that is elsewhere begins with its card, not with the number of its seed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "toy" / "plain" / "0"
    write_run(elsewhere, onset_f1=0.5)
    for place, name in (("runs/toy/0", "toy/0"), (str(elsewhere), "toy/plain/0")):
        assert source.find_source(place).name == name
        assert f"<h1>{name}</h1>" in made(place, match=False)


def test_a_run_without_a_card_has_a_report(here):
    """What `shadowbox train` made is shown with its score beside what needs no learning."""
    write_run(
        here / "runs" / "bare", card=None, targets=None, kill=None, estimate=None, settings=None
    )
    text = made("bare", match=False)
    assert "The best checkpoint has loss 1, at step 40." in text
    assert "There was no estimate" in text


def test_the_first_of_several_runs(here, monkeypatch):
    """Of several seeds the first gives targets, best checkpoint, settings, curves and sample."""
    sampled = []
    monkeypatch.setattr(
        run.sample_match,
        "sample",
        lambda seed, *_: (sampled.append(seed.path.name), (None, "x"))[1],
    )
    for seed, loss in (("0", 0.5), ("1", 0.7)):
        write_run(
            here / "runs" / "two" / seed,
            card="two",
            kind="policy" if seed == "0" else "thing",
            targets=[{**TARGETS[seed == "0"], "value": loss + 1}],
            card_hash=f"sha256:{seed}",
            best={"step": 20, "score": "loss", "value": loss, "baselines": {}},
            settings={"train.lr": {"value": loss, "from": "card"}},
        )
    subject = source.find_source("two")
    assert [each.path.name for each in subject.runs] == ["0", "1"]
    assert runs.find_run("runs/two").path.name == "0"
    text = made("two")
    assert sampled == ["0"]
    drawn = {each["name"]: each for each in curves.of_runs(subject.runs)}
    assert 1.5 in [level["value"] for level in drawn["loss"]["levels"]]
    assert [drawn[name]["folded"] for name in ("loss", "onset_f1_greedy")] == [False, True]
    for first, last in (
        ("val/loss &lt; 1.5: 1", "1.7"),
        ("Sample of the policy", "Sample of the thing"),
        (">0.5<", ">0.7<"),
    ):
        assert (first in text, last in text) == (True, False), (first, last)
    for seed in ("0", "1"):
        path = here / "runs" / "two" / seed / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"targets": None}))
    text = made("two")
    assert "The best checkpoint has loss 0.5, at step 20." in text
    assert "0.7" not in text.split("<h2>Events")[0].split("</h1>")[1]


def test_a_sweep_is_one_table(here):
    """Every setting has a row with its results; the best by the deciding target gives the verdict."""
    for value, lr in ((0.35, 0.1), (0.6, 0.2), (0.2, 0.3)):
        settings = {
            "train.lr": {"value": lr, "from": "card"},
            "train.batch": {"value": 8, "from": "card"},
        }
        write_run(
            here / "runs" / "swept" / f"lr={lr}" / "0",
            onset_f1=value,
            card="swept",
            settings=settings,
        )
    subject = source.find_source("swept")
    assert [each.changes for each in subject.finished.settings] == [
        {"train.lr": lr} for lr in (0.1, 0.2, 0.3)
    ]
    text = made("swept", match=False)
    assert "the best of 3 settings" in text
    assert "<b>0.6</b>" in text
    assert "train.lr=0.3" in text


def test_named_settings_keep_their_names(here):
    """Where a sweep names its cases, they are called so, however much they differ."""
    for name, lr, batch in (("older", 0.1, 8), ("newer", 0.2, 16)):
        settings = {
            "train.lr": {"value": lr, "from": "card"},
            "train.batch": {"value": batch, "from": "card"},
        }
        write_run(
            here / "runs" / "cases" / name / "0", onset_f1=lr, card="cases", settings=settings
        )
    assert [each.changes for each in source.find_source("cases").finished.settings] == [
        {"name": "newer"},
        {"name": "older"},
    ]


def test_what_is_no_run_is_refused(here):
    """An empty place, several cards at once and a damaged log are named."""
    with pytest.raises(UsageError, match="no run found in none"):
        source.find_source("none")
    write_run(here / "runs" / "other" / "0", card="other")
    with pytest.raises(UsageError, match="several cards"):
        source.find_source("runs")
    for name in ("metrics.jsonl", "events.jsonl"):
        path = here / "runs" / "toy" / "0" / name
        text = path.read_text()
        path.write_text("nonsense\n")
        with pytest.raises(TrainingError, match=f"toy/0/{name}, line 1 is damaged"):
            source.find_source("toy")
        path.write_text(text)


def test_lines_of_a_card():
    """Each comparison of a metric with a number is a line; what cannot be read is none."""
    kills = [
        {"when": "0.5 < train/norm and no_decrease(val/loss)", "action": "warn"},
        {"when": "rolling_mean(val/loss, 3) >= 7", "action": "pause"},
        {"when": "val/loss >", "action": "stop"},
        {"when": 5, "action": "stop"},
        "x",
        {"when": "val/loss > 1", "action": "x"},
    ]
    found = levels.of_run(
        {
            "targets": [
                *TARGETS,
                {"metric": "val/loss", "op": "<", "value": "val/loss/copy_last"},
                5,
            ],
            "kill": kills,
        }
    )
    assert {
        name: [(each["name"], each["value"]) for each in lines] for name, lines in found.items()
    } == {
        "onset_f1_greedy": [("target > 0.3", 0.3)],
        "loss": [("target < 1.1", 1.1), ("pause >= 7", 7.0)],
        "norm": [("warn > 0.5", 0.5)],
    }
    for odd in (None, 5, {"a": 1}, [None, {"metric": 5}]):
        assert levels.of_run({"targets": odd, "kill": odd}) == {}


def with_lines_of_its_own(folder):
    """A run whose learner wrote two lines of kind `play`, with a target on one of their figures."""
    figures = {"win_rate": 0.5, "win_rate.low": 0.4, "win_rate.high": 0.6, "win_rate/random": 0.3}
    with (folder / "metrics.jsonl").open("a") as file:
        for step in (25, 45):
            line = {"kind": "play", "step": step, "epoch": 0, "wall": 1_000_000.0 + step, **figures}
            file.write(json.dumps(line) + "\n")
    facts = json.loads((folder / "run.json").read_text())
    facts["targets"] = [{"metric": "play/win_rate", "op": ">", "value": 0.35, "primary": True}]
    facts["kill"] = [{"when": "play/win_rate < 0.2", "action": "stop"}]
    (folder / "run.json").write_text(json.dumps(facts))


def test_lines_of_a_learner_have_curves(here):
    """A kind of line that a learner declares has charts of its own, with baselines, targets and rules."""
    from shadowbox.report import curves, training

    folder = here / "runs" / "own" / "0"
    write_run(folder, card="own")
    with_lines_of_its_own(folder)
    subject = source.find_source("own")
    assert subject.finished.verdict == "passed"
    assert subject.finished.outcomes[0].baselines == {"random": 0.3}
    found = {figure["name"]: figure for figure in curves.of_runs(subject.runs)}
    own = found["play/win_rate"]
    assert [(curve["name"], curve["y"]) for curve in own["curves"]] == [
        ("random", [0.3, 0.3]),
        ("play", [0.5, 0.5]),
    ]
    assert own["curves"][1]["low"] == [0.4, 0.4]
    assert {(line["name"], line["value"]) for line in own["levels"]} == {
        ("target > 0.35", 0.35),
        ("stop < 0.2", 0.2),
    }
    assert not own["folded"], "it is what the card promises"
    assert found["onset_f1_greedy"]["folded"]
    text = training.as_page("own", subject.runs[0].lines)
    assert "play/win_rate" in text


# ---- in a browser --------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_the_curves_of_a_report(here, visit, width, scheme):
    """Seeds have colors of their own in one chart, with targets, far lines, and fired rules."""
    (here / "page.html").write_text(made(match=False))
    page = visit(here / "page.html", width=width, color_scheme=scheme)
    until(page, "document.querySelectorAll('.chart svg').length >= 2")
    loss, onset = page.locator(".figure").nth(0), page.locator(".figure").nth(1)
    assert loss.locator("h2").inner_text() == "loss: nats per decision"
    assert loss.locator(".curve.run1, .curve.run2").count() == 2
    assert loss.locator(".level.target").count() == 1
    assert loss.locator(".level.kill").count() == 0
    assert "↑ stop > 400" in loss.locator("svg").text_content()
    assert (
        onset.locator(".level.target title").text_content() == "target: val/onset_f1_greedy > 0.3"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#curves summary").click()
    norm = page.locator(".figure", has=page.get_by_role("heading", name="norm"))
    until(
        page,
        "[...document.querySelectorAll('.chart svg')].some((each) => each.querySelector('.event'))",
    )
    assert norm.locator(".event").count() == 2
    assert norm.locator(".level.kill").count() == 1
    page.get_by_text("Wall time").click()
    assert "41 s" in loss.locator("svg").text_content()


def test_unkind_runs_are_text(here, visit):
    """Whatever a run and its card hold is shown as text."""
    card = here / "cards" / "toy.md"
    card.write_text(
        card.read_text().replace("They do.", json.dumps(UNKIND)).replace("Because", UNKIND)
    )
    event = {"event": UNKIND, "step": 5, "wall": 1.0, "text": UNKIND}
    rule = {
        "event": "rule",
        "step": 20,
        "wall": 1.0,
        "text": UNKIND,
        "action": UNKIND,
        "figures": {"val/loss": 1},
    }
    for seed in ("0", "1"):
        folder = here / "runs" / "toy" / seed
        facts = json.loads((folder / "run.json").read_text())
        more = {
            "reason": UNKIND,
            "stamps": [UNKIND],
            "commit": UNKIND,
            "settings": {UNKIND: {"value": UNKIND, "from": UNKIND}},
            "versions": {UNKIND: UNKIND},
            "data": {"store": UNKIND},
            "card_hash": UNKIND,
        }
        (folder / "run.json").write_text(json.dumps(facts | more))
        (folder / "events.jsonl").write_text(json.dumps(event) + "\n" + json.dumps(rule) + "\n")
        lines = (
            (folder / "metrics.jsonl")
            .read_text()
            .replace('"loss/copy_last"', json.dumps(f"loss/{UNKIND}"))
        )
        (folder / "metrics.jsonl").write_text(lines)
    (here / "page.html").write_text(made(match=False))
    page = visit(here / "page.html", width=400)
    until(page, "document.querySelectorAll('.chart svg').length >= 2")
    assert page.evaluate("document.querySelectorAll('main img').length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert "<img src=x onerror=alert(1)>" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_match_of_the_policy_is_shown(here, visit, monkeypatch):
    """Where the policy can play, one match lies in the page, with its presses beside those of the data."""
    agent = specs.agent
    monkeypatch.setattr(
        specs,
        "agent",
        lambda spec, game: agent("based" if spec.startswith("policy:") else spec, game),
    )
    record(GAME, [Pairing("based", "random", 2)], here / "data" / "seen")
    path = here / "runs" / "toy" / "0" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": {"store": "data/seen"}}))
    text = made()
    (here / "page.html").write_text(text)
    assert "policy:runs/toy/0 against policy:runs/toy/0 with seed 1" in text
    assert "in data/seen, 2 of 2 episodes" in text
    page = visit(here / "page.html")
    viewer = "document.querySelector('match-viewer')"
    until(page, f"{viewer}?.rows?.length === 241 && {viewer}.drawn?.length > 0")
    until(page, "document.querySelectorAll('.chart svg').length >= 2")


def test_a_policy_that_cannot_play_is_said(here, monkeypatch):
    """Without a match the page says why, and all else stands."""

    def refuse(spec, game):
        raise UsageError("it cannot play")

    monkeypatch.setattr(specs, "agent", refuse)
    text = made()
    assert "No match to show: it cannot play." in text
    assert (
        "match-viewer>"
        not in text.replace("match-viewer {", "").split("<main>")[1].split("<script")[0]
    )
