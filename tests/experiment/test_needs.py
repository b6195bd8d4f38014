"""Cards of a third party's learner that needs a world, a reward and opponents, and no recordings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from one_process import objects
from promises import checked, games, write
from ranks import together

from shadowbox.cards.file import CardFile
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import estimate, prices, results, settings, templates
from shadowbox.experiment.run import RunOptions, run_card
from shadowbox.learners import registry
from shadowbox.model import kinds
from shadowbox.play import specs
from shadowbox.report import run as report_page
from shadowbox.report import source as report_source
from shadowbox.train import runs
from shadowbox.train.log import read_lines

TESTS = Path(__file__).parents[1]
LOOP = {
    "steps": 12,
    "batch": 4,
    "lr": 0.05,
    "warmup": 0,
    "log_every": 2,
    "device": "cpu",
    "score": "play/reward",
}
HEAD = {
    "game": "brawl",
    "learner": "bandit",
    "preset": "even",
    "set": {"train": LOOP},
    "data": None,
    "world": "brawl@time_limit=60",
    "opponents": {"constant": 3, "random": 1},
    "reward": "sparse",
    "targets": [{"metric": "play/reward", "op": ">", "value": -1000.0, "primary": True}],
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package `bandits`, installed as pip would leave it: two entry points in its metadata."""
    about = tmp_path / "installed" / "bandits-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bandits\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(
        "[shadowbox.learners]\nbandit = bandits:SPEC\n"
        "[shadowbox.checkpoint_kinds]\nbandit = bandits:KIND\n"
    )
    (about.parent / "bandits.py").write_text((TESTS / "bandits.py").read_text())
    monkeypatch.syspath_prepend(str(about.parent))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def card(name="bandit-card", **changes):
    """The bandit's card, changed."""
    return write(name, **{**HEAD, **changes})


def ran(path, **options):
    """The result of running it."""
    return run_card(path, games, RunOptions(**options))


def test_a_card_without_data_runs_to_its_verdict(installed):
    """The card is checked, trained under its rules, evaluated on the learner's metric, and recorded."""
    path = card(kill=[{"when": "play/press_rate > 0.999"}, {"when": "nonfinite(train/loss)"}])
    found = checked(path)
    assert found.mistakes == []
    assert found.facts == {
        "parameters": 10,
        "model_bytes": 40,
        "training_bytes": 160,
        "batches_per_epoch": 8,
        "steps": 12,
        "log_interval": 2,
        "logs_per_epoch": 4,
    }
    result = ran(path)
    (outcome,) = result.outcomes
    assert (result.verdict, outcome.verdict) == ("passed", "passed")
    assert outcome.baselines == {"nothing": 0.0}
    assert result.to_json()["opponents"] == {"constant": 0.75, "random": 0.25}
    assert "| **play/reward** | > -1000 |" in path.read_text()
    assert results.stored_results(CardFile.read(path))["verdict"] == "passed"
    run = runs.find_run("runs/bandit-card")
    assert (run.facts["world"], run.facts["reward"]) == ("brawl@time_limit=60", "sparse")
    assert run.facts["opponents"] == {"constant": 0.75, "random": 0.25}
    assert run.facts["kind"] == "bandit"
    assert run.facts["best"]["score"] == "play/reward"
    assert {line["kind"] for line in run.lines} == {"train", "play"}
    assert "data" not in run.facts


def test_a_rule_on_a_line_of_the_learner_ends_it(installed):
    """A kill rule that names play/...

    Stops a real run at its step, and the run goes on bit for bit.
    """
    path = card(kill=[{"when": "play/press_rate > 0.001", "after": "6 steps"}])
    found = ran(path)
    assert (found.verdict, found.exit_code) == ("killed", 75)
    assert "kill[0]: play/press_rate > 0.001" in found.reason
    run = runs.find_run("runs/bandit-card")
    assert run.facts["step"] == 6
    assert ran(path, resume=True).verdict == "passed"
    ran(card("straight"))
    timing = ("time/", "examples", "wall")
    plain = [
        [
            {key: value for key, value in line.items() if not key.startswith(timing)}
            for line in runs.find_run(f"runs/{name}").lines
        ]
        for name in ("bandit-card", "straight")
    ]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    ("changes", "field", "complaint"),
    [
        ({"world": None}, "world", "learner 'bandit' needs world: give `world: brawl`"),
        ({"reward": None}, "reward", "learner 'bandit' needs reward: give `reward: "),
        ({"opponents": None}, "opponents", "needs opponents: give `opponents: [aerial]`"),
        ({"data": {"store": "data/x"}}, "data", "learner 'bandit' does not use data: leave it out"),
        ({"teacher": "policy:runs/x"}, "teacher", "does not use teacher: leave it out"),
        ({"world": "brawl@stag=mirror"}, "world", "option 'stag': did you mean 'stage'"),
        ({"world": "chess"}, "world", "brawl has no world 'chess'"),
        ({"reward": "spars"}, "reward", "no reward 'spars': did you mean 'sparse'"),
        ({"reward": {"wins": 1.0}}, "reward", "wins"),
        ({"opponents": ["charger"]}, "opponents", "'charger' is held out"),
        ({"opponents": {"charger@delay=6": 1}}, "opponents", "is held out"),
        ({"opponents": ["nobody"]}, "opponents", "brawl has no bot 'nobody'"),
        ({"opponents": {"based": -1}}, "opponents.based", "greater than 0"),
        ({"opponents": []}, "opponents", "needs opponents"),
        ({"stages": [{"name": "a", "opponents": ["charger"]}]}, "stages[0].opponents", "held out"),
        ({"stages": [{"name": "a", "oponents": []}]}, "stages[0].oponents", "unknown key 'oponents'"),
        ({"stages": [{"name": "a", "gate": "play/reward > 1"}]}, "stages[0].gate", "has no next one"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "stages[1].name", "two stages are called 'a'"),
        (
            {"stages": [{"name": "a", "gate": "play/rewards > 1"}, {"name": "b"}]},
            "stages[0].gate",
            "nothing logs 'play/rewards': did you mean 'play/reward'",
        ),
        ({"stages": [{"name": "a", "gate": "play/reward >"}]}, "stages[0].gate", "is needed"),
        (
            {"milestones": [{"step": 5, "metric": "play/rewards", "band": [0, 1]}]},
            "milestones[0]",
            "nothing logs 'play/rewards'",
        ),
        (
            {"milestones": [{"step": 99, "metric": "play/reward", "band": [0, None]}]},
            "milestones[0]",
            "step 99 comes after the run of 12",
        ),
        (
            {"milestones": [{"step": 5, "metric": "play/reward", "band": [1, 0]}]},
            "milestones[0]",
            "is empty",
        ),
        ({"checks": [{"text": "look", "don": True}]}, "checks[0].don", "unknown key 'don'"),
        ({"prior": [{"values": {}}]}, "prior[0].name", "'name' is missing"),
        ({"prior": [{"name": "x"}]}, "prior[0].source", "'source' is missing"),
        (
            {"prior": [{"name": "x", "source": "y", "values": {"play/rewards": 1.0}}]},
            "prior[0].values.play/rewards",
            "nothing logs 'play/rewards'",
        ),
        ({"kill": [{"when": "play/win > 1"}]}, "kill[0]", "nothing logs 'play/win'"),
        ({"kill": [{"when": "play/press_rate > 1"}]}, "kill[0]", "is in 0 .. 1"),
        ({"targets": [{"metric": "play/press_rate", "op": ">", "value": 2.0}]}, "targets[0]", "never be met"),
        ({"targets": [{"metric": "pay/reward", "op": ">", "value": 2.0}]}, "targets[0]", "nothing logs"),
        ({"set": {"train": {**LOOP, "steps": None}}}, "set.train.steps", ""),
        ({"set": {"train": {**LOOP, "score": "play/rewrd"}}}, "set.train.score", "mean 'play/reward'"),
        ({"set": {"train": {**LOOP, "score": "play/press_rate"}}}, "set.train.score", "no direction"),
        ({"set": {"train": LOOP, "learner.entropi": 1}}, "set.learner.entropi", "did you mean 'entropy'"),
    ],
)  # fmt: skip
def test_keys_are_checked(installed, changes, field, complaint):
    """A key that is missing, superfluous, unknown or impossible is named where it stands."""
    if changes.get("set", {}).get("train", {}).get("steps", 1) is None:
        changes = {"set": {"train": {k: v for k, v in LOOP.items() if k != "steps"}}}
        assert checked(card(**changes)).facts["steps"] == 80, "ten epochs are usual"
        return
    found = checked(card(**changes)).mistakes
    assert any(m.field == field and complaint in m.message for m in found), found


def test_all_reserved_keys_can_be_written(installed):
    """Every reserved key is typed and part of the contract; the learner is given each of them."""
    path = card(
        stages=[
            {
                "name": "first",
                "opponents": ["constant", "self"],
                "gate": "play/reward > 5",
                "set": {"train.lr": 0.1, "reward": "dense"},
            },
            {"name": "second", "freeze": ["logits"], "regress": "play/reward < 0"},
        ],
        milestones=[{"step": 10, "metric": "play/reward", "band": [-50, None]}],
        prior=[{"name": "an older run", "values": {"play/reward": 3.5}, "source": "a book"}],
        checks=["the opponents are fair", {"text": "the reward is zero-sum", "done": True}],
    )  # fmt: skip
    found = checked(path)
    assert found.mistakes == []
    assert [check.done for check in found.card.checks] == [False, True]
    assert found.card.stages[0].opponents == {"constant": 1.0, "self": 1.0}
    before = CardFile.read(path).hash
    path.write_text(path.read_text().replace("-50", "-40"))
    assert CardFile.read(path).hash != before


def test_a_learner_of_recordings_refuses_the_rest(project):
    """Imitation needs data, and uses no world, reward, opponents or teacher.

    Each is named.
    """
    found = checked(
        write(
            data=None,
            world="toy",
            reward="sparse",
            opponents=["based"],
            teacher="based",
            milestones=[{"step": 1, "metric": "val/loss", "band": [0, 1]}],
        )
    )
    said = {mistake.field: mistake.message for mistake in found.mistakes}
    assert (
        said["data"] == "learner 'imitation' needs data: give `data: {store: data/NAME, make: ...}`"
    )
    for key in ("world", "reward", "opponents", "teacher", "milestones"):
        assert said[key] == f"learner 'imitation' does not use {key}: leave it out"


def test_its_time_is_estimated(installed):
    """The probe plays in the world, and says how long all seeds take."""
    found = checked(card(seeds=[0, 1]))
    game = games("brawl")
    settled = settings.resolve_settings(found.card, game)
    given = estimate.estimate(found.card, game, settled, None, prices.read_prices())
    assert given["probe"]["steps"] == 12
    assert given["expected_s"] == pytest.approx(
        2 * given["per_run_s"] * given["factors"][1], abs=3e-3
    )


def test_its_checkpoints_are_found_by_their_kind(installed):
    """`bandit:RUN` plays, is evaluated for eval/ targets, and has its blocks on the page of the run."""
    path = card(
        eval={"matches": 2},
        targets=[
            {"metric": "eval/certainty", "op": ">", "value": "eval/certainty/even", "primary": True}
        ],
    )
    assert checked(path).mistakes == []
    assert ran(path).verdict == "passed"
    game = games("brawl")
    agent = specs.agent("bandit:runs/bandit-card@delay=3", game)
    assert hasattr(agent, "act")
    source = report_source.find_source("runs/bandit-card")
    text = report_page.report(source, games)
    assert "What the bandit learnt" in text
    assert "The arms of the bandit" in text
    assert "bandit:runs/bandit-card/0 against" in text
    assert json.dumps("play/reward") in text, "its own line has a curve"


def test_a_kind_that_is_not_there_is_refused(installed, monkeypatch):
    """Without its entry point a run of that kind does not begin: nothing could load it again."""
    monkeypatch.setattr(kinds, "entry_points", lambda group: ())
    with pytest.raises((UsageError, CardError), match="unknown kind of checkpoints 'bandit'"):
        ran(card())
    assert not Path("runs/bandit-card").exists()


def test_a_learner_by_module_and_name(installed):
    """`learner: bandits:SPEC` in a card is the same learner.

    What cannot be imported is a mistake of the card.
    """
    path = card(learner="bandits:SPEC")
    assert registry.is_code("bandits:SPEC")
    assert ran(path).verdict == "passed"
    for name, words in {
        "bandits:SPECK": "has no attribute 'SPECK'",
        "nowhere:SPEC": "No module named 'nowhere'",
        "bandits:KIND": "is a CheckpointKind, expected an instance of",
    }.items():
        (mistake, *_) = [m for m in checked(card(learner=name)).mistakes if m.field == "learner"]
        assert words in mistake.message


def test_another_world_is_another_run(installed):
    """A run that is resumed keeps its world, opponents and reward."""
    path = card(kill=[{"when": "play/press_rate > 0.001", "after": "6 steps", "action": "pause"}])
    ran(path)
    path.write_text(path.read_text().replace("time_limit=60", "time_limit=50"))
    with pytest.raises(
        UsageError,
        match=r"was trained on the world brawl@time_limit=60, this is brawl@time_limit=50",
    ):
        ran(path, resume=True)


def test_two_processes_play_their_own_matches(installed):
    """Two processes train one run: one log, and each rank keeps the state of its own learner."""
    path = card()
    assert together(lambda rank: os._exit(ran(path).exit_code)) == [0, 0]
    assert len(read_lines(Path("runs/bandit-card/0/metrics.jsonl"))) == 12
    states = kinds_state("runs/bandit-card/0")
    assert states[0] != states[1]


def kinds_state(run):
    """The learner's state of each rank."""
    from shadowbox.model import checkpoint

    ranks = checkpoint.load(checkpoint.find_checkpoint(f"{run}@latest")).trainer()["ranks"]
    return [each["learner"] for each in ranks]


def test_a_new_card_asks_what_its_learner_needs(installed):
    """`card new --learner` writes the keys that the learner needs; only texts are left to fill in."""
    head = templates.blank("mine", games("brawl"), "bandit")
    assert "data" not in head
    assert head["world"] == "brawl"
    templates.write(head)
    assert [m.message for m in checked(Path("cards/mine.md")).mistakes] == []


@pytest.mark.slow
def test_the_command_line_knows_it(installed):
    """Commands check, estimate, run, eval, match and report work in the folder of the learner's user."""
    card()

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(installed / "installed"), environment.get("PYTHONPATH", "")]
    )
    lines = (
        "card check bandit-card",
        "card estimate bandit-card",
        "run bandit-card",
        "eval runs/bandit-card --out bandit.html",
        "match brawl --world brawl@time_limit=60 --p0 bandit:runs/bandit-card --p1 random",
        "report runs/bandit-card",
        "card index",
    )
    check, estimate, ran, judged, match, report, index = objects(
        installed, environment, *(line.split() for line in lines)
    )
    assert check["errors"] == []
    assert estimate["probe"]["steps"] == 12
    assert ran["verdict"] == report["verdict"] == "passed"
    assert (judged["kind"], list(judged["figures"])) == ("bandit", ["certainty"])
    assert "bandit" in (installed / "bandit.html").read_text()
    assert match["frames"] == 60
    assert index["cards"][0]["verdict"] == "passed"
