"""New cards, estimates, comparisons: what is filled in from what is on disk."""

import dataclasses
import datetime
import json
import re
import time

import pytest
from promises import GAME, HEAD, checked, games, ran, write

from shadowbox.cards import card, signatures
from shadowbox.cards.file import CardFile
from shadowbox.errors import CardError, ShadowboxError, UsageError
from shadowbox.experiment import close, compare, dataset, estimate, prices, settings, templates
from shadowbox.train import loop


def test_blank(project):
    """A new card for brawl is right as it stands, and one that is there is not overwritten."""
    file = templates.write(templates.blank("mine", games("brawl")))
    assert checked(file.path).mistakes == []
    with pytest.raises(CardError, match="is there already"):
        templates.write(templates.blank("mine", games("brawl")))
    with pytest.raises(UsageError, match="is not a name"):
        templates.write(templates.blank("../mine", games("brawl")))


def test_round_trip(project):
    """What a head says is what its text says when it is read again, whatever letters it has."""
    head = {
        **HEAD,
        "goal": 'a "quoted": #1 {word} é \\',
        "question": "null",
        "prediction": "1e-3",
        "fallback": " on ",
    }
    file = templates.write(head)
    assert card.require_card(file.path)[1] == card.parse_value(head)


def test_from_run(project):
    """A card from a run has its settings and data, the run as baseline, and wants more than it reached."""
    ran(write())
    file = templates.write(templates.from_run("next", "runs/toy"))
    found = checked(file.path)
    assert found.mistakes == []
    assert found.card.settings["train.lr"] == 0.003
    assert found.card.baseline.run == "runs/toy/0"
    assert isinstance(found.card.targets[0].value, float)
    with pytest.raises(UsageError, match="run runs/none not found"):
        templates.from_run("next", "runs/none")


def test_prior(project):
    """A new card lists comparable runs, fewest differences first, each with its differences."""
    ran(write("near", set={**HEAD["set"], "train.lr": 0.001}))
    ran(write("far", set={**HEAD["set"], "train.lr": 0.001, "model.width": 16}))
    path = write()
    found = checked(path)
    block = templates.with_prior(found.file, found.card, found.settled).block("prior")
    near, far = block.index("runs/near/0"), block.index("runs/far/0")
    assert near < far
    assert "train.lr 0.001 -> 0.003" in block[near:far]
    assert "model.width 16 -> 32" in block[far:]


def test_ablations(project):
    """One card for each switch: a flag turned over, or a value; what is no setting is refused."""
    usual = {name: value for name, (value, _) in checked(write()).settled.origins.items()}
    switches = ["train.compile", "model.width=16", "train.lr=1e-4"]
    heads = list(templates.ablations("toy", HEAD, switches, usual))
    assert [head["id"] for head in heads] == ["toy-compile-true", "toy-width-16", "toy-lr-0.0001"]
    assert heads[1]["set"]["model.width"] == 16
    for head in heads:
        assert checked(templates.write(head).path).mistakes == []
    with pytest.raises(UsageError, match="is not a flag"):
        list(templates.ablations("toy", HEAD, ["train.lr"], usual))
    with pytest.raises(UsageError, match="is not a setting"):
        list(templates.ablations("toy", HEAD, ["train.wings"], usual))


def test_follow_up_needs_a_warning(project):
    """Without a warning that proposed something there is nothing to follow."""
    ran(write())
    with pytest.raises(UsageError, match="proposed a change"):
        templates.follow_up("again", "runs/toy")


def estimated(path):
    """The estimate of a card, kept in it."""
    found = checked(path)
    store = dataset.get_store(found.card, games(found.card.game))
    settled = settings.resolve_settings(found.card, games(found.card.game))
    said = estimate.estimate(
        found.card, games(found.card.game), settled, store, prices.read_prices()
    )
    estimate.with_estimate(CardFile.read(path), said).write()
    return said


@pytest.mark.slow
def test_estimate(project):
    """The estimate of a tiny run is within a factor of 1.5 of what it takes, both in CPU seconds."""
    longer = {**HEAD["set"], "train": {**HEAD["set"]["train"], "steps": 400, "validate_every": 100}}
    path = write(set=longer, data={**HEAD["data"]})
    ratios = []
    # other work comes and goes on a machine: it is not counted, and the middle one of three is
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        seconds = estimated(path)["per_run_s"]
        seconds *= (time.process_time() - cpu) / (time.perf_counter() - wall)
        ran(path)
        ratios.append(close.close_card(path, games)["cost"]["cpu_s"] / seconds)
    assert 1 / 1.5 < sorted(ratios)[1] < 1.5, ratios
    assert "times the estimate of" in close.close_card(path, games)["text"]


def test_estimate_is_held_against_limits(project):
    """A timeout or a budget below the pessimistic estimate is a mistake.

    An edited contract needs a new estimate.
    """
    path = write(timeout=1000, budget={"wall": 1000})
    said = estimated(path)
    assert said["optimistic_s"] < said["expected_s"] < said["pessimistic_s"]
    assert checked(path).mistakes == []
    text = path.read_text()
    for limit in ("timeout: 1000", "wall: 1000"):
        short = text.replace(limit, limit.replace("1000", "0.001"))
        path.write_text(short)
        assert estimate.stored_estimate(CardFile.read(path)) is None
        found = {**said, "contract": CardFile.read(path).hash}
        estimate.with_estimate(CardFile.read(path), found).write()
        assert ["less than" in mistake.message for mistake in checked(path).mistakes] == [True]


ESTIMATE = {
    "optimistic_s": 100.0, "expected_s": 300.0, "pessimistic_s": 500.0, "per_run_s": 100.0, "runs": 2,
    "optimistic_usd": 0.0, "expected_usd": 0.0, "pessimistic_usd": 0.0, "step_s": 31.0, "records": 0,
    "machine": "m", "priced_as": "local", "prices": "d",
}  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "mistakes", "warnings"),
    [
        # two runs: 150 s each are expected, 250 s at worst
        ({"timeout": 140}, ["timeout: 140 s are less than the expected 150 s"], 1),
        ({"timeout": 240}, [], "timeout: .* pessimistic 250 s: with `resumes: 1` the run goes on"),
        ({"timeout": 160, "resumes": 1}, [], None),
        ({"budget": {"wall": 290}}, ["budget.wall: 290 s are less than the expected 300 s"], 1),
        ({"budget": {"wall": 490}}, [], "budget.wall: .* the run would end there"),
        (
            {"budget": {"usd": 0.05, "machine": "T4"}},
            ["budget.usd: 0.05 are less than the pessimistic price of 0.08"],
            1,
        ),
        (
            {"budget": {"usd": 0.09, "machine": "T4"}},
            [],
            "budget.machine: the price of T4 is .* days",
        ),
        ({"set": {**HEAD["set"], "train.log_every": 10}}, [], "log_every: 310 s pass between"),
    ],
)
def test_limits(project, limits, mistakes, warnings):
    """Expected seconds beyond a limit and a pessimistic price beyond the budget are mistakes.

    A pessimistic time beyond the timeout, old prices and a silent log are warnings.
    """
    path = write(**limits)
    machine = limits.get("budget", {}).get("machine", "local")
    said = {**ESTIMATE, "priced_as": machine, "contract": CardFile.read(path).hash}
    estimate.with_estimate(CardFile.read(path), said).write()
    found = checked(path)
    assert [f"{each.field}: {each.message}" for each in found.mistakes] == mistakes
    words = [f"{each.field}: {each.message}" for each in found.warnings]
    if warnings is None:
        assert words == []
    elif isinstance(warnings, str):
        assert re.search(warnings, words[0]), words
    every = found.card.settings["train.log_every"] if "set" in limits else 5
    assert found.facts["seconds_between_logs"] == every * 31
    assert found.facts["log_interval"] == every
    assert found.facts["logs_per_epoch"] == found.facts["batches_per_epoch"] // every


def test_prices_grow_old():
    """Prices without a date that can be read are of today; the age of all others is in days."""
    table = prices.PriceTable("2026-02-26", {}, "x")
    assert table.age_days(datetime.date(2026, 5, 28)) == 91
    assert prices.PriceTable("some day", {}, "x").age_days() == 0


def test_another_machine_needs_no_data(project):
    """A machine in the table of throughput is priced from the number of examples alone."""
    (project / "throughput.yaml").write_text(
        "rows:\n  - {preset: tiny, machine: T4, examples: 1000, seconds: 10, load_s: 3, "
        "basis: measured, date: 2026-01-01, source: here}\n"
    )
    path = write(
        budget={"machine": "T4"}, data={**HEAD["data"], "store": "data/none"}, seeds=[0, 1]
    )
    found = checked(path)
    settled = settings.resolve_settings(found.card, GAME)
    given = estimate.estimate(found.card, GAME, settled, None, prices.read_prices())
    # 30 steps of 8 segments of 8 decisions of both players
    assert given["examples"] == 30 * 8 * 8 * 2
    assert given["per_run_s"] == pytest.approx(3 + given["examples"] / 100)
    assert (given["machine"], given["runs"]) == ("T4", 2)
    assert given["factors"] == list(estimate.FACTORS)
    for broken, message in (
        ("rows: 3\n", "a list `rows` is needed"),
        ("rows:\n  - {preset: tiny, machine: T4, basis: guessed}\n", "date is None"),
        ("rows: []\n", "no throughput of preset 'tiny' on T4 is known"),
    ):
        (project / "throughput.yaml").write_text(broken)
        with pytest.raises(UsageError, match=message):
            estimate.estimate(found.card, GAME, settled, None, prices.read_prices())


def test_a_sweep_is_estimated_whole(project):
    """An estimate is that of all settings and seeds; of many settings a few are timed."""
    path = write(sweep={"grid": {"train.lr": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3]}}, seeds=[0, 1])
    found = checked(path)
    probed = []

    def probe(card, *_):
        probed.append(card.settings["train.lr"])
        seconds = {"prepare_s": 0, "step_s": 1.0, "steps": 30 * len(probed)}
        return seconds | dict.fromkeys(("validate_s", "validations", "save_s", "saves"), 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "probe", probe)
        given = estimate.estimate(found.card, GAME, found.settled, None, prices.read_prices())
    assert probed == [1e-3, 3e-3, 5e-3]
    assert (given["runs"], given["per_run_s"], given["expected_s"]) == (12, 60.0, 720.0)


def test_a_signal_ends_an_estimate(project, monkeypatch):
    """A signal that comes while steps are timed ends the command, not the timing alone."""
    usual = loop.train
    monkeypatch.setattr(
        loop,
        "train",
        lambda *given, **options: dataclasses.replace(usual(*given, **options), ended="SIGTERM"),
    )
    with pytest.raises(ShadowboxError, match="stopped while steps were timed") as stopped:
        estimated(write())
    assert stopped.value.exit_code == 130


def test_records(project):
    """With runs that took longer than they were estimated to the next estimate grows."""
    path = write()
    first = estimated(path)
    assert (first["records"], first["factors"]) == (0, list(estimate.FACTORS))
    for name in ("a", "b", "c"):
        ran(write(name))
        facts = project / f"runs/{name}/0/run.json"
        known = json.loads(facts.read_text())
        known["estimate"] = {
            "machine": estimate.machine(),
            "per_run_s": known["cost"]["wall_s"] / 3,
        }
        facts.write_text(json.dumps(known))
    again = estimated(path)
    assert (again["records"], again["factors"]) == (3, pytest.approx([3, 3, 3]))


def test_compare(project):
    """Two cards side by side: the fields that differ, and what came of both."""
    figures = {"val/loss": 0.039, "val/accuracy": 0.966}
    one = write("one", prior=[{"name": "older", "values": figures, "source": "its card"}])
    other = write("two", set={**HEAD["set"], "train.lr": 0.001}, seeds=[1])
    ran(one)
    found = compare.compare_cards(one, other)
    assert [each["field"] for each in found["differences"]] == ["set.train.lr", "seeds"]
    assert found["prior"] == [
        {"run": "older", "metric": "val/loss", "values": ["0.039", "-"]},
        {"run": "older", "metric": "val/accuracy", "values": ["0.966", "-"]},
    ]
    assert found["targets"][0]["values"][1] == "-"
    assert "passed" in found["targets"][0]["values"][0]


def test_index(project):
    """The index has a line for every card: with mistakes, ready, unsigned, or with its results."""
    ran(write("done"))
    ran(write("ended", kill=[{"when": "train/loss > 0.0001"}]))
    write("fresh")
    write("review", reviewers={"min": 1})
    for name in ("approved", "edited"):
        found = checked(write(name, reviewers={"min": 1}))
        signatures.add_signature(
            found.file, "ada", "signed", settings=found.settled.hash, data=None, commit=None
        ).write()
    path = project / "cards/edited.md"
    path.write_text(path.read_text().replace("see that", "see whether"))
    write("wrong", preset="tinny", color=3)
    close.close_card(project / "cards/done.md", games, "it works")
    found = compare.card_index(project / "cards", games=games)
    status = {line["card"]: line["status"] for line in found["cards"]}
    assert status == {
        "approved": "signed",
        "done": "closed: passed",
        "edited": "to be signed",
        "ended": "killed",
        "fresh": "ready",
        "review": "to be signed",
        "wrong": "wrong",
    }
    assert (found["summary"]["finished"], found["summary"]["passed"]) == (1, 1)


def test_close(project):
    """Closing writes what was learned, and every way in which the run was not as the card says now."""
    path = write(kill=[{"when": "train/loss > 0.0001", "action": "warn"}])
    with pytest.raises(CardError, match="has no results"):
        close.close_card(path, games)
    ran(path, changes={"train.steps": 20})
    path.write_text(path.read_text().replace("promises are kept", "promises were kept"))
    found = close.close_card(path, games, "it <works> | well")
    assert found["deviations"][:2] == [
        "--set train.steps=20",
        "the contract was edited after the run",
    ]
    assert "kill[0]" in found["deviations"][2]
    assert "Closed on " in path.read_text()
    assert "it &lt;works>" in path.read_text()
    assert CardFile.read(path).edited() == []


def test_prices(project):
    """Prices are dated, one's own replace them, and a machine without a price is refused."""
    assert prices.read_prices().of("local") == 0
    assert prices.read_prices().cost("T4", 7200) == pytest.approx(1.18)
    with pytest.raises(UsageError, match="did you mean 'T4'"):
        prices.read_prices().of("T5")
    (project / "prices.yaml").write_text("date: 2026-10-01\nusd_per_hour: {mine: 2}\n")
    assert (prices.read_prices().of("mine"), prices.read_prices().date) == (2, "2026-10-01")
    (project / "prices.yaml").write_text("usd_per_hour: {mine: free}\ndate: x\n")
    with pytest.raises(UsageError, match="the price of mine is 'free'"):
        prices.read_prices()
