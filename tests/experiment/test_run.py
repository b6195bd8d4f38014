"""Running cards: rules act on time, verdicts are recorded, and killed runs can be resumed."""

import json
import os
import re
import time

import pytest
from apprentice import figures, make_store, same, stop_at, weights
from promises import GAME, HEAD, games, ran, write
from ranks import together

from shadowbox import cli
from shadowbox.cards.file import CardFile
from shadowbox.core.evaluation import EvaluationReport, Figure, GateReport
from shadowbox.core.stats import Interval
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import estimate, evaluation, results
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.train import loop, runs

STOP = stop_at(7)  # by SIGTERM
ALWAYS = "train/loss > 0.0001"  # holds at every line of the log: steps 5, 10, ... 30


def trained(**changes):
    """HEAD's settings of the loop, changed."""
    return {**HEAD["set"], "train": {**HEAD["set"]["train"], **changes}}


def test_passed(project):
    """A finished run reports each target with its interval and baselines, in the card and beside it."""
    path = write(
        targets=[
            *HEAD["targets"],
            {"metric": "val/onset_f1_greedy", "op": ">", "value": 0.9999, "at": "last"},
        ]
    )
    found, _ = ran(path)
    answer = json.loads(json.dumps(found.to_json()))
    assert (answer["verdict"], answer["run"], found.exit_code) == ("passed", "runs/toy", 0)
    first, second = answer["targets"]
    assert first["passed"]
    assert first["low"] <= first["value"] <= first["high"]
    assert first["baselines"].keys() == {"copy_last", "rate"}
    assert (second["passed"], second["verdict"]) == (False, "missed")
    text = path.read_text()
    assert "| **val/loss** | &lt; 50 |" in text
    assert results.stored_results(CardFile.read(path))["verdict"] == "passed"
    assert (
        json.loads((project / "runs/toy/verdict.json").read_text())["targets"] == answer["targets"]
    )
    facts = json.loads((project / "runs/toy/0/run.json").read_text())
    assert facts["settings"]["train.lr"] == {"value": 0.003, "from": "card"}
    assert facts["settings"]["model.depth"]["from"] == "preset"
    assert facts["settings"]["train.max_grad_norm"]["from"] == "default"
    assert facts["card_hash"] == CardFile.read(path).hash


def test_missed_exits_0(project):
    """A run that reached nothing still ran as promised.

    Without a primary target every one decides.
    """
    path = write(
        targets=[
            {"metric": "val/loss", "op": "<", "value": 0.001},
            {"metric": "val/loss", "op": "<", "value": 50},
        ]
    )
    found, _ = ran(path)
    assert (found.verdict, found.exit_code) == ("missed", 0)


def test_for_free(project):
    """A target that a baseline meets, too, is said to be so."""
    found, _ = ran(write(targets=[{"metric": "val/press_f1_greedy", "op": ">", "value": 0.05}]))
    assert "copy_last" in found.outcomes[0].for_free
    assert "but so do copy_last" in (project / "cards/toy.md").read_text()


def test_replaced(project):
    """Running again replaces the results, and its runs."""
    path = write()
    ran(path)
    first = json.loads((project / "runs/toy/verdict.json").read_text())
    ran(path, changes={"train.steps": 20})
    again = json.loads((project / "runs/toy/verdict.json").read_text())
    assert (first["stamps"], again["stamps"]) == ([], ["--set train.steps=20"])
    assert path.read_text().count("card:results") == 1


RULES = [
    ({"when": "train/loss > 0.0001"}, 5),
    ({"when": "train/loss > 0.0001", "after": "12 steps"}, 15),
    ({"when": "train/loss > 0.0001", "after": "50%"}, 15),
    ({"when": "train/loss > 0.0001", "for": "10 steps"}, 15),
    ({"when": "val/loss > 0.0001"}, 10),
    # the rate is highest at the end of the warm-up, in step 5
    ({"when": "no_increase(train/lr)", "for": "10 steps"}, 15),
    ({"when": "ratio(train/loss, train/norm) > 0.0001", "after": "7 steps"}, 10),
    ({"when": "rolling_mean(train/loss, 3) > 0.0001"}, 15),
    ({"when": "train/loss > 1000 or val/loss > 0.0001"}, 10),
    ({"when": "val/loss > val/loss.low", "after": "1 epoch"}, None),
]


@pytest.mark.parametrize(
    ("rule", "step"), RULES, ids=[rule["when"] + str(step) for rule, step in RULES]
)
@pytest.mark.parametrize("action", ["stop", "pause", "warn"])
def test_rules(project, rule, step, action):
    """Each kind of rule stops, pauses or warns a real run at its step.

    A stop and a pause exit 75 with a checkpoint.
    """
    if step is None:
        step = -(-prior_epoch() // 10) * 10
    path = write(kill=[{**rule, "action": action}])
    found, _said = ran(path)
    facts = runs.find_run("runs/toy").facts
    (fired, *_) = results.firings(runs.find_run("runs/toy"))
    assert (fired["step"], fired["action"]) == (step, action)
    if action == "warn":
        assert (found.verdict, found.exit_code, facts["step"]) == ("passed", 0, 30)
        return
    assert (found.verdict, found.exit_code) == ({"stop": "killed", "pause": "paused"}[action], 75)
    assert facts["step"] == step
    assert rule["when"].split(" ")[0].split("(")[-1].rstrip(",") in found.reason
    assert (project / "runs/toy/0/latest").read_text().strip() == f"{step:08d}"
    assert not any(outcome.verdict == "passed" for outcome in found.outcomes)


def prior_epoch():
    """Steps of an epoch of the toy card."""
    from promises import checked

    return checked(write()).facts["batches_per_epoch"]


@pytest.mark.parametrize("action", ["stop", "pause"])
def test_resumes(project, action):
    """What its card ended goes on with --resume, bit for bit as if it had not been.

    Running it anew by accident is refused.
    """
    path = write(kill=[{"when": ALWAYS, "after": "12 steps", "action": action}])
    ran(path)
    with pytest.raises(
        UsageError, match=r"runs/toy/0 is (killed|paused) at step 15: continue with --resume"
    ):
        ran(path)
    found, _ = ran(path, resume=True)
    assert (found.verdict, found.exit_code) == ("passed", 0)
    ran(write("straight", kill=[]))
    assert same(weights("runs/toy/0"), weights("runs/straight/0"))
    assert figures(project / "runs/toy/0") == figures(project / "runs/straight/0")


def test_nonfinite(project, monkeypatch):
    """Steps whose gradient is no number are told to the rule that watches for them."""
    from apprentice import Poisoned

    from shadowbox.learners.imitation_spec import _ImitationSpec

    class Bad(Poisoned):
        bad = (7,)

    prepare = _ImitationSpec.prepare

    def poisoned(self, *arguments, **options):
        import dataclasses

        task = prepare(self, *arguments, **options)
        return dataclasses.replace(task, learner=Bad(task.learner))

    monkeypatch.setattr(_ImitationSpec, "prepare", poisoned)
    found, _ = ran(write(kill=[{"when": "nonfinite(train/loss)"}]))
    assert (found.verdict, runs.find_run("runs/toy").facts["step"]) == ("killed", 10)


def test_proposal(project):
    """A warning may propose settings.

    A follow-up card takes them, and the old run as its baseline.
    """
    from shadowbox.experiment import templates

    ran(
        write(
            kill=[
                {
                    "when": ALWAYS,
                    "action": "warn",
                    "set": {"train.lr": 0.001, "model": {"width": 16}},
                }
            ]
        )
    )
    head = templates.follow_up("again", "runs/toy")
    # more than was reached
    assert head["targets"][0]["value"] == pytest.approx(
        runs.find_run("runs/toy").figures()["val/loss"]
    )
    assert (head["id"], head["baseline"]) == ("again", {"run": "runs/toy/0"})
    assert {name: head["set"][name] for name in ("train.lr", "model.width", "train.steps")} == {
        "train.lr": 0.001,
        "model.width": 16,
        "train.steps": 30,
    }
    templates.write(head)
    _found, _ = ran(project / "cards" / "again.md")
    assert runs.find_run("runs/again").facts["settings"]["model.width"] == {
        "value": 16,
        "from": "card",
    }


@pytest.fixture
def judged(project, monkeypatch):
    """A card whose evaluation plays three matches, and takes 30 seconds for each."""
    clock = [0.0]
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + clock[0])

    def evaluate(run, store, game, card, seed, progress=None):
        for done in (1, 2, 3):
            clock[0] += 30.0
            progress("playing", done, 3)
        figures = {"win_rate": Figure(Interval(0.5, 0.5, 0.5))}
        return EvaluationReport("policy", "policy:x", "data/toy", GateReport(True), figures)

    monkeypatch.setattr(evaluation, "evaluate_run", evaluate)
    return lambda **changes: write(eval={"episodes": 2}, **changes)


def test_judging_is_on_the_bill(judged):
    """Seconds of an evaluation are part of the cost of its run, of the card, and of what they cost."""
    found, _ = ran(judged(seeds=[0, 1], budget={"machine": "T4", "wall": 1000}))
    assert found.verdict == "passed"
    assert 180 < found.cost["wall_s"] < 400
    assert found.cost["judging_s"] == pytest.approx(180, abs=5)
    assert found.cost["usd"] == pytest.approx(found.cost["wall_s"] / 3600 * 0.59, abs=1e-3)
    cost = runs.find_run("runs/toy/1").facts["cost"]
    assert cost["judging_s"] == pytest.approx(90, abs=3)
    assert cost["wall_s"] > cost["judging_s"]


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"wall": 40}, r"budget: \d+ s of 40 s are spent, while it is judged"),
        (
            {"usd": 0.0066, "machine": "T4"},
            r"budget: 0.01 of 0.01 US dollars are spent \(T4\), while",
        ),
    ],
)
def test_a_budget_ends_judging(judged, budget, reason):
    """An evaluation ends where the budget does, with its card killed; with a larger one it goes on."""
    path = judged(budget=budget)
    found, _ = ran(path)
    assert (found.verdict, found.exit_code) == ("killed", 75)
    assert re.match(reason, found.reason), found.reason
    facts = runs.find_run("runs/toy").facts
    assert (facts["step"], "eval" in facts) == (30, False)
    path.write_text(path.read_text().replace("0.0066", "5").replace("wall: 40", "wall: 4000"))
    found, _ = ran(path, resume=True)
    assert (found.verdict, runs.find_run("runs/toy").facts["step"]) == ("passed", 30)
    assert runs.find_run("runs/toy").facts["cost"]["judging_s"] > 110


def test_a_timeout_goes_on_by_itself(project):
    """With `resumes` a run that its timeout paused goes on, so often, each time with a new timeout."""
    path = write(timeout=1e-6, resumes=3)
    found, said = ran(path)
    # lines at steps 5, 10 (and its validation), 15, ... each pause once
    assert (found.verdict, found.exit_code) == ("paused", 75)
    assert sum("it goes on by itself" in line for line in said) == 3
    assert runs.find_run("runs/toy").facts["step"] == 20
    found, said = ran(path, resume=True)
    assert (found.verdict, found.exit_code) == ("passed", 0)


def test_a_signal_ends_all_cards(project, monkeypatch, capsys):
    """A signal in training saves, exits with 130 before the next card, and says how to go on."""
    usual = loop.train
    monkeypatch.setattr(loop, "train", lambda task, *rest, **more: usual(STOP(task), *rest, **more))
    monkeypatch.setattr("shadowbox.cli.run.load", games)
    write("first")
    write("second")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "first", "second", "--runs", "elsewhere", "--keep-card"])
    assert stopped.value.code == 130
    assert [run.facts["step"] for run in runs.runs_in(project / "elsewhere")] == [7]
    said = capsys.readouterr().err
    words = said.partition("go on with: shadowbox ")[2].splitlines()[0].split()
    monkeypatch.setattr(loop, "train", usual)
    with pytest.raises(SystemExit) as finished:
        cli.main(words)
    assert finished.value.code == 0
    assert runs.find_run("elsewhere/first").facts["step"] == 30


def test_run_makes_an_estimate(project, monkeypatch):
    """A run without an estimate times some steps first, keeps it, and refuses what takes too long."""
    monkeypatch.undo()
    monkeypatch.chdir(project)
    seconds = {"prepare_s": 10.0, "step_s": 1.0, "steps": 30}
    seconds |= dict.fromkeys(("validate_s", "validations", "save_s", "saves"), 0)
    monkeypatch.setattr(estimate, "probe", lambda *_: dict(seconds))
    path = write(timeout=30)
    with pytest.raises(CardError, match="timeout: 30 s are less than the expected 40 s"):
        ran(path)
    assert not (project / "runs").exists()
    path = write(timeout=50, resumes=0)
    found, said = ran(path)
    assert found.verdict == "passed"
    assert any(line.startswith("timeout: 50 s are less than the pessimistic 60 s") for line in said)
    assert estimate.stored_estimate(CardFile.read(path))["per_run_s"] == 40
    assert (found.cost["estimated_s"], "actual_over_estimate" in found.cost) == (40, True)
    monkeypatch.setattr(estimate, "probe", None)  # the second time nothing is timed
    assert ran(path)[0].verdict == "passed"


def test_the_latest_proposal_counts(tmp_path, monkeypatch):
    """Of proposals for one setting the latest in the log counts, and it overrides the card's own."""
    from kept_promises import write_card, write_run

    from shadowbox.experiment import templates

    monkeypatch.chdir(tmp_path)
    write_card(tmp_path / "cards")
    folder = write_run(tmp_path / "runs" / "toy" / "0")
    fired = [{"train.batch": 4, "train.ema": 0.9}, {}, {"train.batch": 2}]
    lines = [
        {"event": "rule", "step": 10 * at, "rule": at, "action": "warn", "text": "", "set": each}
        for at, each in enumerate(fired, 1)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    head = templates.follow_up("again", "runs/toy")
    assert head["set"] == {"train.steps": 40, "train.batch": 2, "train.ema": 0.9}
    assert "train.batch: 2, train.ema: 0.9" in head["goal"]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["stop", "pause", "warn"])
def test_two_processes(project, action):
    """Two processes obey a rule at the same step, leave one set of results, and go on together."""
    path = write(kill=[{"when": ALWAYS, "after": "12 steps", "action": action}])
    expected = 0 if action == "warn" else 75

    def work(rank, resume=False):
        code = run_card(path, games, RunOptions(resume=resume)).exit_code
        os._exit(code)

    assert together(work) == [expected, expected]
    facts = runs.find_run("runs/toy").facts
    assert facts["step"] == (30 if action == "warn" else 15)
    assert facts["machine"]["ranks"] == 2
    assert (
        results.stored_results(CardFile.read(path))["verdict"]
        == {"stop": "killed", "pause": "paused", "warn": "passed"}[action]
    )
    if action != "warn":
        assert together(lambda rank: work(rank, resume=True)) == [0, 0]
        assert runs.find_run("runs/toy").facts["step"] == 30


def test_seeds(project):
    """Over seeds the value is the mean with Student's interval; finished seeds are not trained again."""
    path = write(seeds=[3, 5, 7])
    found, said = ran(path)
    (outcome,) = found.outcomes
    assert len(set(outcome.seeds)) == 3
    assert outcome.value == pytest.approx(sum(outcome.seeds) / 3)
    assert outcome.low < min(outcome.seeds) or outcome.high > max(outcome.seeds)
    assert said == [f"seed {seed} ({at} of 3)" for at, seed in enumerate((3, 5, 7), 1)]
    before = [(project / f"runs/toy/{seed}/run.json").stat().st_mtime_ns for seed in (3, 5, 7)]
    ran(path, resume=True)
    assert before == [
        (project / f"runs/toy/{seed}/run.json").stat().st_mtime_ns for seed in (3, 5, 7)
    ]


def test_finished_runs_are_the_cards_own(project):
    """A finished run does not count for a card that was changed since.

    One that must be played otherwise is judged again.
    """
    path = write()
    ran(path)
    path.write_text(path.read_text().replace("lr: 0.003", "lr: 0.002"))
    with pytest.raises(
        UsageError, match=r"was trained with other settings \(train.lr 0.003 -> 0.002\)"
    ):
        ran(path, resume=True)


@pytest.mark.slow
def test_judged_by_playing(project):
    """Targets named eval/ come from matches after training, replayed only if the card asks for others."""
    call = {"p0": "based", "p1": "random", "matches": 20, "seed": 3, "options": {"time_limit": 120}}
    data = {"store": "data/made", "split": "70/30/0", "make": {"record": call}}
    model = {"width": 16, "head_width": 16, "hidden_width": 16}
    settings = {**trained(steps=4, validate_every=0, log_every=2), "model": model}
    more = {"game": "brawl", "preset": "default", "data": data, "set": settings,
            "targets": [{"metric": "eval/win_rate.random", "op": ">=", "value": 0.0}]}  # fmt: skip
    found, said = ran(write(**more, eval={"against": "random", "matches": 4, "episodes": 4}))
    assert (found.verdict, said[-1]) == ("passed", "runs/toy/0: judged by playing")
    assert 0 <= found.outcomes[0].value <= 1
    path = write(**more, eval={"against": "random", "matches": 6, "episodes": 4, "calibrate": True})
    assert ran(path, resume=True)[1] == ["runs/toy/0: judged by playing"]
    (judged,) = (project / "runs/toy/0").glob("checkpoints/*/evaluation.json")
    chosen = json.loads((judged.parent / "config.json").read_bytes())["calibration"]
    temperatures = chosen["temperature"]["flags"]["temperature"] * chosen["play"]["temperature"]
    assert json.loads(judged.read_bytes())["temperatures"]["flags"] == pytest.approx(temperatures)
    assert ran(path, resume=True)[1] == []


def test_a_card_may_be_judged_on_other_recordings(project):
    """With `eval.data` a side of another store is evaluated on; a store that is nowhere is named at once."""
    other = project / "data/others"
    make_store(other, episodes=9, frames=48)
    targets = [{"metric": "eval/onset_f1", "op": ">=", "value": 0.0}]
    wish = {"set": {**HEAD["set"], "train.steps": 2}, "targets": targets}
    there = {"store": "data/others", "split": "40/0/60"}
    ran(write(eval={"episodes": 50, "side": "test", "data": there}, **wish))
    [judged] = (project / "runs/toy/0").glob("**/evaluation.json")
    report = json.loads(judged.read_bytes())
    assert (report["store"], report["split"]) == ("data/others", "40/0/60")
    assert report["episodes"] == len(Split(0.4, 0, 0.6).episodes(Store(other), "test"))
    with pytest.raises(CardError, match="store data/nowhere not found"):
        ran(write("lost", eval={"data": {"store": "data/nowhere"}}, **wish))


def test_every_seed_may_draw_its_own_split(project):
    """With `resplit` each seed holds other episodes back, and the interval is one over all of it."""
    targets = [*HEAD["targets"], {"metric": "eval/onset_f1", "op": ">=", "value": 0.0}]
    wish = {
        "seeds": [0, 1],
        "eval": {"episodes": 5},
        "set": {**HEAD["set"], "train.steps": 2},
        "targets": targets,
    }
    ran(write("same", **wish))
    found, _ = ran(write("anew", data={**HEAD["data"], "resplit": True}, **wish))
    splits = {name: [runs.find_run(project / f"runs/{name}/{seed}").facts["split"]["seed"] for seed in (0, 1)]
              for name in ("same", "anew")}  # fmt: skip
    assert splits == {"same": [0, 0], "anew": [0, 1]}
    judged = [
        json.loads(next((project / f"runs/anew/{seed}").glob("**/evaluation.json")).read_bytes())
        for seed in (0, 1)
    ]
    assert [each["split"].partition(", ")[2] for each in judged] == ["", "seed 1"]
    loss, onsets = found.outcomes
    assert loss.low < loss.value < loss.high
    assert 0 <= onsets.low <= onsets.value <= onsets.high <= 1, (
        "no interval leaves what a figure can be"
    )


def test_budget(project):
    """A card's seeds share its budget.

    When it is spent the run is killed, and a timeout pauses one run.
    """
    path = write(budget={"wall": 0.001}, seeds=[1, 2])
    found, _ = ran(path)
    assert (found.verdict, found.exit_code) == ("killed", 75)
    assert re.match(r"budget: .* of 0 s are spent", found.reason)
    assert not (project / "runs/toy/2").exists()
    found, _ = ran(write("slow", timeout=0.001))
    assert (found.verdict, found.reason.split(":")[0]) == ("paused", "timeout")
    (project / "prices.yaml").write_text("date: 2026-01-01\nusd_per_hour: {abacus: 3600}\n")
    found, _ = ran(write("dear", budget={"usd": 0.001, "machine": "abacus"}))
    assert (found.verdict, "US dollars are spent (abacus)" in found.reason) == ("killed", True)


def test_sweep(project):
    """Every setting of a grid runs.

    The table has them all, and the best by the primary target stands for the card.
    """
    path = write(sweep={"grid": {"train.lr": [0.00001, 0.003], "model.width": [16]}})
    found, _ = ran(path)
    assert [dict(each.changes) for each in found.settings] == [
        {"train.lr": 0.00001, "model.width": 16},
        {"train.lr": 0.003, "model.width": 16},
    ]
    values = [each.outcomes[0].value for each in found.settings]
    assert found.outcomes[0].value == min(values)
    assert (project / "runs/toy/lr=0.003_width=16/0/run.json").exists()
    assert path.read_text().count("model.width=16") == 2


def test_the_best_of_a_sweep():
    """The target that decides ranks settings, of equals what met most stands first.

    What never finished comes last.
    """

    def setting(gate, error, verdict="passed"):
        wanted = [("gate", ">=", gate, gate == 1, True), ("error", "<", error, error < 2, False)]
        parts = ("metric", "op", "value", "passed", "primary")
        return {
            "verdict": verdict,
            "targets": [dict(zip(parts, each, strict=True)) for each in wanted],
        }

    assert results.best_setting([setting(0, 1), setting(1, 3)]) == 1
    assert results.best_setting([setting(1, 3), setting(1, 1)]) == 1
    assert results.best_setting([setting(1, 1), setting(1, 1)]) == 0
    assert results.best_setting([setting(1, 1, "unfinished"), setting(0, 3, "missed")]) == 1
    assert results.best_setting([setting(None, 1, "killed"), setting(0, 3, "missed")]) == 1
    assert results.best_setting([{"verdict": "passed", "targets": []}]) == 0


def test_random_sweep(project):
    """Drawn settings depend on the sweep's seed alone and stay within their bounds.

    Time that is over ends the sweep.
    """
    from shadowbox.cards import card as cards
    from shadowbox.experiment import sweep

    wish = {
        "random": {"train.lr": {"low": 0.0001, "high": 0.01, "log": True}, "model.width": [16, 32]},
        "tries": 3,
    }
    path = write(sweep={**wish, "wall": 1e-9})
    card = cards.require_card(path)[1]
    assert sweep.sweep_settings(card) == sweep.sweep_settings(card)
    assert all(0.0001 <= each["train.lr"] <= 0.01 for each in sweep.sweep_settings(card))
    found, said = ran(path)
    assert len(found.settings) == 1
    assert "the sweep's 0 s are over after 1 of 3 settings" in said


def test_parent(project):
    """A card may begin with another run's weights; its run keeps the lineage."""
    ran(write("base"))
    _found, _ = ran(write(parent="runs/base/0@best"))
    assert runs.find_run("runs/toy").facts["lineage"][0]["run"].endswith("runs/base/0")


def test_on_oom(project):
    """on_oom says how small the parts of a batch may become."""
    from promises import checked

    for wish, halvings in ({"retries": 1}, 1), ({"batch": 2}, 2), ({"batch": 8}, 0):
        assert checked(write(on_oom=wish)).settled.config.halvings == halvings


def test_data_is_made(project, monkeypatch):
    """A missing store is made by the card's call, whole or not at all, and identified by that call."""
    data = {
        "store": "data/made",
        "split": "40/40/20",
        "make": {"record": {"p0": "based", "p1": "random", "matches": 10, "seed": 3}},
    }
    model = {"input_columns" if False else "width": 16, "head_width": 16}
    path = write(
        game="brawl",
        data=data,
        set={**trained(steps=4, validate_every=0, log_every=2), "model": model},
        targets=[{"metric": "val/loss", "op": ">", "value": 0}],
    )
    _found, said = ran(path)
    assert said[0] == "data/made is not here: it is made as the card says"
    facts = runs.find_run("runs/toy").facts
    assert facts["data"]["fingerprint"].startswith("made:")
    assert [entry.name for entry in (project / "data").iterdir() if "making" in entry.name] == []
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))
    with pytest.raises(CardError, match="was made by another call"):
        ran(path)


def test_external(project):
    """Data that lies elsewhere is not made up: the card is right, and running it says where the data is."""
    path = write(
        data={"store": "data/far", "external": "a disk in the attic"}, facts={"frames": 206754081}
    )
    from promises import checked

    assert checked(path).good
    with pytest.raises(
        CardError, match=r"is elsewhere \(a disk in the attic\): copy it to data/far"
    ):
        ran(path)


def test_games_are_asked_for(project):
    """The toy game's record is what the tests hand in.

    A card about a game that is not there is refused.
    """
    with pytest.raises(CardError, match="unknown game 'chess'"):
        ran(write(game="chess"))
    assert GAME.name == "toy"
