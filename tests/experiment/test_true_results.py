"""The words of a card and of its results are true: facts, data, verdicts, origin, refusals."""

import json
from pathlib import Path

import pytest
from promises import HEAD, checked, games, ran, write

from shadowbox import cli
from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile
from shadowbox.data.store import Store
from shadowbox.errors import CardError, UsageError
from shadowbox.experiment import dataset, facts_table, results, targets, verify
from shadowbox.experiment.run import RunOptions, require_runnable
from shadowbox.games import load

# ---- facts ---------------------------------------------------------------------------------------


def rows_of(path):
    """Rows of the card's block of facts: name -> value and origin."""
    lines = CardFile.read(path).block("facts").splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return {name: (value, origin) for name, value, origin in cells}


def test_a_check_keeps_what_it_cannot_compute(project):
    """Without the data, its facts stay in the block; after an edit of the head they say their age."""
    path = write(data={"store": "data/none", "split": "50/50/0", "make": ONE_CALL}, game="brawl",
                 preset="tiny", set={"train": {"steps": 3}})  # fmt: skip
    with_data = checked(path)
    with_data.facts |= {"episodes": 12, "frames": 720}
    facts_table.write(with_data)
    before = path.read_bytes()
    without = checked(path)
    assert "episodes" not in without.facts
    facts_table.write(without)
    assert path.read_bytes() == before
    assert facts_table.kept_facts(without) == {"episodes": "12", "frames": "720"}
    assert ["episodes", "12", "computed; not computed here"] in facts_table.fact_rows(without)
    path.write_text(path.read_text().replace("steps: 3", "steps: 4"))
    facts_table.write(checked(path))
    assert rows_of(path)["episodes"] == ("12", "computed before the card was edited")
    assert rows_of(path)["parameters before data"][1] == "computed"


ONE_CALL = {"record": {"p0": "based", "p1": "random", "matches": 2, "seed": 3}}


def test_facts_of_data_elsewhere_are_as_stated(project):
    """They are shown beside those of a store that is here, and never compared with them."""
    stated = {"frames": "206,754,081", "episodes": "22,000", "train_examples": 185648963}
    found = checked(write(facts=stated))
    assert found.mistakes == []
    rows = {name: (value, origin) for name, value, origin in facts_table.fact_rows(found)}
    assert rows["frames"] == ("720", "computed; as stated: 206,754,081")
    assert rows["episodes"] == ("12", "computed; as stated: 22,000")
    here = {**HEAD["data"], "external": None}
    wrong = checked(write(facts=stated, data={k: v for k, v in here.items() if v}))
    assert {mistake.field for mistake in wrong.mistakes} == {
        "facts.frames", "facts.episodes", "facts.train_examples",
    }  # fmt: skip
    (mistake,) = checked(write(facts={"parameters": 7})).mistakes
    assert "the card says 7 parameters, the model has" in mistake.message


def test_examples_are_examples(project):
    """Frames are decisions: both sides add up to the store's; each learned seat is an example."""
    path = write(data={"store": "data/toy", "split": "50/50/0"})
    facts = checked(path).facts
    assert facts["train_frames"] + facts["val_frames"] == facts["frames"] == 720
    assert facts["train_examples"] == 2 * facts["train_frames"]
    path = write(data={"store": "data/toy", "split": "50/50/0"},
                 set={**HEAD["set"], "learner": {"length": 8, "seats": [1]}})  # fmt: skip
    assert checked(path).facts["train_examples"] == facts["train_frames"]


# ---- data ----------------------------------------------------------------------------------------


def reading(store, **options):
    """A card whose data are replays, and its game."""
    data = {"store": str(store), "make": {"ingest": {"paths": ["replays"], "options": options}}}
    head = {**HEAD, "game": "melee", "preset": "policy-mlp", "data": data, "set": {}}
    return cards.parse_value(head), load("melee")


def test_replays_are_identified_by_their_content(project):
    """The same call over other replays has another fingerprint; the same content has one."""
    card, game = reading("data/toy")
    store = Store("data/toy")
    found = dataset.data_fingerprint(card, game, store)
    assert found == store.fingerprint
    assert dataset.data_fingerprint(card, game, None) is None
    (project / "data/toy").rename(project / "data/moved")
    assert dataset.data_fingerprint(card, game, Store("data/moved")) == found
    made = cards.parse_value({**HEAD, "game": "brawl", "data": {"store": "x", "make": ONE_CALL}})
    assert dataset.data_fingerprint(made, load("brawl"), None).startswith("made:")


def test_swapped_data_voids_signatures(project):
    """A signature over one store does not hold over another one in its place, and that is said."""
    path = write(reviewers={"min": 1})
    found = checked(path)
    old = found.facts["fingerprint"]
    signed = signatures.add_signature(
        found.file, "ada", "signed", settings=found.settled.hash, data=old, commit=None
    )
    signed.write()
    assert next(iter(facts_table.signature_rows(checked(path)))).startswith("ada signed on")
    swap(project)
    lines = list(facts_table.signature_rows(checked(path)))
    assert f"is void: the data is another: {old} was signed" in lines[0]
    with pytest.raises(CardError, match="is not signed: 1 must sign, 0 did"):
        ran(path)


def swap(project):
    """Another store in the place of the toy store."""
    from shadowbox.data.edit import drop

    drop(Store(project / "data/toy"), [0])


def test_finished_runs_belong_to_their_data(project):
    """A finished seed does not count for other data in the same place."""
    path = write()
    ran(path)
    swap(project)
    with pytest.raises(UsageError, match="was trained on other data"):
        ran(path, resume=True)


def test_a_store_of_other_options_is_not_the_cards(project):
    """A store that was read with other options than the card's is refused, as one of another call."""
    card, game = reading("data/toy", human=True)
    store = Store("data/toy")
    store.manifest.made["ingest"] = {"game": "melee", "options": {"human": False}}
    assert any("by another call" in each for each in dataset.dataset_problems(card, game, store))
    store.manifest.made["ingest"] = {"game": "melee", "options": {"human": True}}
    assert not any(
        "by another call" in each for each in dataset.dataset_problems(card, game, store)
    )


# ---- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "wanted", "value", "low", "high", "verdict"),
    [
        (">", 0.052, 0.095, 0.018, 0.138, "not shown"),
        (">", 0.052, 0.095, 0.06, 0.138, "passed"),
        (">", 0.052, 0.05, 0.018, 0.138, "missed"),
        ("<=", 0.03, 0.019, 0.005, 0.032, "not shown"),
        ("<=", 0.03, 0.019, 0.005, 0.03, "passed"),
        ("<", 0.03, 0.02, 0.005, 0.03, "not shown"),
        (">=", 1.0, 1.0, None, None, "passed"),
        (">=", 1.0, 1.0, float("nan"), float("nan"), "passed"),
    ],
)
def test_a_verdict_uses_the_bound(op, wanted, value, low, high, verdict):
    """Passed needs the near end of the interval; the value alone is not shown."""
    assert targets.target_verdict(op, wanted, value, low, high) == verdict


def test_one_target_that_is_not_shown_keeps_a_card_from_passing(project):
    """The card's verdict is the worst of the deciding targets, and the table says so."""
    path = write(targets=[{"metric": "val/loss", "op": "<", "value": 50.0}])
    found, _ = ran(path)
    (outcome,) = found.outcomes
    between = (outcome.value + outcome.high) / 2
    path.write_text(path.read_text().replace("value: 50.0", f"value: {between}"))
    found, _ = ran(path)
    assert (found.verdict, found.exit_code) == ("not shown", 0)
    assert not found.to_json()["targets"][0]["passed"]
    assert "**not shown**" in path.read_text()


# ---- origin of results ---------------------------------------------------------------------------


def test_results_say_where_they_come_from(project):
    """Data, program, versions, processor, precision, seeds and weights are in the card."""
    path = write(seeds=[0, 2])
    ran(path)
    known = results.stored_results(CardFile.read(path))
    assert [each["seed"] for each in known["runs"]] == [0, 2]
    each = known["runs"][0]
    assert each["data"] == Store("data/toy").fingerprint
    assert set(each["versions"]) >= {"shadowbox", "python", "torch", "numpy"}
    assert each["machine"]["precision"] in ("fp32", "bf16")
    assert (each["machine"]["device"], isinstance(each["changed"], bool | None)) == ("cpu", True)
    assert each["checkpoints"]["best"]["weights"].startswith("blake2b:")
    text = path.read_text()
    assert "Seeds 0, 2; data" in text
    assert "cores, cpu, fp32" in text
    assert verify.verify_result(path, games)["holds"]


@pytest.mark.parametrize("what", ["data", "weights", "figures", "contract", "settings"])
def test_verified_results_are_those_of_the_files(project, what):
    """Other data, weights, logs or text than those of the results are found, by name."""
    path = write()
    ran(path)
    if what == "data":
        swap(project)
        name = "runs/toy/0: data"
    elif what == "weights":
        step = (project / "runs/toy/0/best").read_text().strip()
        file = project / f"runs/toy/0/checkpoints/{step}/model.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"\x01")
        name = "runs/toy/0@best"
    elif what == "figures":
        log = project / "runs/toy/0/metrics.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        lines = [{**each, "loss": 0.5 * each["loss"]} if "loss" in each else each for each in lines]
        log.write_text("".join(json.dumps(each) + "\n" for each in lines))
        name = "runs/toy: val/loss < 50.0"
    else:
        path.write_text(path.read_text().replace("lr: 0.003", "lr: 0.002"))
        name = "contract" if what == "contract" else "runs/toy/0: settings"
    found = verify.verify_result(path, games)
    assert not found["holds"]
    assert name in {row["name"] for row in found["compared"] if row["state"] == "differs"}


def test_results_without_their_files_are_not_contradicted(project):
    """Runs and data that are not here are listed as such; older results recorded less."""
    path = write()
    ran(path)
    (project / "runs").rename(project / "gone")
    found = verify.verify_result(path, games)
    states = {row["name"]: row["state"] for row in found["compared"]}
    assert (found["holds"], states["runs/toy/0@best"]) == (True, "not here")
    file = CardFile.read(path)
    known = {k: v for k, v in results.stored_results(file).items() if k != "runs"}
    file.with_block("results", results.block(known)).write()
    states = {row["state"] for row in verify.verify_result(path, games)["compared"]}
    assert "not recorded" in states


def test_the_command(project, monkeypatch, capsys):
    """`card verify-result` prints a row for each part, and exits 1 where results do not hold."""
    path = write()
    ran(path)
    monkeypatch.setattr("shadowbox.cli.card_signing.load", games)
    assert run_command(capsys, "card", "verify-result", "toy") == (0, "the results hold")
    path.write_text(path.read_text().replace("goal: see", "goal: saw"))
    assert run_command(capsys, "card", "verify-result", "toy") == (
        1,
        "the results do not hold here",
    )


def run_command(capsys, *words):
    """Exit status, and the end of the last line."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(words))
    out, err = capsys.readouterr()
    return stop.value.code, (out or err).strip().splitlines()[-1].rpartition(": ")[2]


# ---- before the first second of work -------------------------------------------------------------


def test_a_wish_that_this_machine_cannot_follow(project, monkeypatch):
    """bf16 without hardware and a device that is not there are refused before the data is made."""
    from shadowbox.core import system

    monkeypatch.setattr(system, "processor_flags", lambda: set())
    made = {"store": "data/made", "split": "40/40/20", "make": ONE_CALL}
    for train, words in (
        ({"steps": 4, "precision": "bf16", "device": "cpu"}, "does not compute it in hardware"),
        ({"steps": 4, "device": "xpu"}, "is not on this machine"),
    ):
        path = write(game="brawl", data=made, set={"train": train})
        with pytest.raises(UsageError, match=words):
            ran(path)
    cases = [{"name": "a"}, {"name": "b", "train.precision": "bf16"}]
    path = write(game="brawl", data=made, set={"train": {"steps": 4, "device": "cpu"}},
                 sweep={"cases": cases})  # fmt: skip
    with pytest.raises(UsageError, match="does not compute it in hardware"):
        ran(path)
    assert not (project / "data/made").exists()


def test_runs_are_checked_before_data_is_made(project):
    """A file in the place of runs, an unfinished run, and missing signatures are refused at once."""
    made = {"store": "data/made", "split": "40/40/20", "make": ONE_CALL}
    path = write(game="brawl", data=made, set={"train": {"steps": 4}}, reviewers={"min": 1})
    Path("file").write_text("")
    with pytest.raises(UsageError, match="--runs file: this is a file"):
        ran(path, runs=Path("file"))
    with pytest.raises(CardError, match="is not signed"):
        ran(path)
    assert not (project / "data/made").exists()


def test_all_cards_are_checked_before_one_runs(project, monkeypatch, capsys):
    """`run good nope` refuses before `good` runs."""
    write("good")
    monkeypatch.setattr("shadowbox.cli.run.load", games)
    code, _ = run_command(capsys, "run", "good", "nope")
    assert code == 1
    assert not Path("runs").exists()
    require_runnable(Path("cards/good.md"), games, RunOptions())


def test_a_parents_step_exists(project):
    """A step that the parent does not have is a mistake of the card, with those that it has."""
    ran(write("base"))
    for parent, words in (
        ("runs/base/0@step=99", "has no checkpoint of step 99; its finished ones: "),
        ("runs/base/0@beast", "did you mean 'best'?"),
        ("runs/base", "is not a run"),
    ):
        (mistake,) = checked(write(parent=parent)).mistakes
        assert (mistake.field, words in mistake.message) == ("parent", True), mistake
    assert checked(write(parent="runs/base/0@latest")).mistakes == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("learner.length", 99999999, "learner.length must be from 1 to 65,536 (got 99,999,999)"),
        ("model.depth", 1000000, "1,000,000 is given, at most 65,536 is possible"),
        ("data.store", "data/" + "x" * 300, "has a name of more than 200 bytes"),
        ("parent", "runs/" + "x" * 300, "has a name of more than 200 bytes"),
    ],
)
def test_what_cannot_be_is_refused_in_words(project, name, value, words):
    """Sizes beyond any use and names beyond any file are mistakes, found at once."""
    found = checked(write(), **{name: value})
    assert any(words in mistake.message for mistake in found.mistakes), found.mistakes


def test_a_folder_that_is_none(project, capsys):
    """`card index nope` says that there is no such folder, and a name of 300 letters is no error of ours."""
    for words, status in ((("card", "index", "nope"), 2), (("card", "index", "n" * 300), 2),
                          (("run", "x" * 300), 1), (("card", "check", "x" * 300), 1)):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            cli.main(list(words))
        error = capsys.readouterr().err
        assert (stop.value.code, "error of Shadowbox itself" in error) == (status, False), error


def test_games_without_a_simulator_play_no_matches(project):
    """`eval.matches` and `eval.against` are mistakes where no match can be played."""
    wish = {"matches": 10, "against": "based"}
    path = write(game="melee", preset="tiny", eval=wish, set={"train": {"steps": 3}},
                 data={"store": "data/none", "external": "elsewhere"})  # fmt: skip
    fields = [mistake.field for mistake in checked(path).mistakes]
    assert fields == ["eval.matches", "eval.against"]
