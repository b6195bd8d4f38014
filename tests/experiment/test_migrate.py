"""Migration of cards, runs and checkpoints: names change, and nothing else does."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promises import HEAD, checked, games, ran, write

from shadowbox import cli
from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile, hash_of
from shadowbox.cards.front_matter import parse_front_matter
from shadowbox.cards.migrate import rename_head
from shadowbox.cards.sections import flatten
from shadowbox.core import renames
from shadowbox.core.files import write_whole
from shadowbox.errors import CardError, ShadowboxError, UsageError
from shadowbox.experiment import estimate, results
from shadowbox.experiment.migration import card
from shadowbox.experiment.migration.files import migrate
from shadowbox.learners.registry import learner_spec
from shadowbox.model import checkpoint
from shadowbox.report import training
from shadowbox.train import log
from shadowbox.train.config import TrainConfig
from shadowbox.train.guardrails import lock_run

OLD_SETTINGS = {
    "train": {"clip": 0.5},
    "model": {"blank": 0.1},
    "learner": {"thin": 4, "actionable": ["player/on_ground=1"], "elsewhere": 0.25},
}


def older(**changes):
    """A card with names of before 0.1.0; every other setting is that of the tests' card."""
    together = {
        part: {**HEAD["set"][part], **OLD_SETTINGS[part]} for part in ("train", "model", "learner")
    }
    return write(**{"learner": "imitate", "set": together, **changes})


def head_of(text):
    """The data of a head in YAML."""
    return parse_front_matter(text).data


def moved(*paths):
    """Migrate; the changes of each file, by its path."""
    return {str(plan.path): list(plan.changes) for plan in migrate(list(map(Path, paths)), games)}


# ---- names ---------------------------------------------------------------------------------------


def test_old_names_are_free():
    """No old name is a present setting, every new one is, and nothing is renamed twice."""
    spec = learner_spec("imitation")
    present = {f"train.{each.name}" for each in dataclasses.fields(TrainConfig)}
    present |= {f"model.{name}" for name in spec.presets()["tiny"]}
    present |= {f"learner.{name}" for name in spec.defaults}
    assert not present & renames.SETTINGS.keys()
    assert set(renames.SETTINGS.values()) <= present
    for table in (renames.SETTINGS, renames.SCORES, renames.BASELINES, renames.LEARNERS):
        assert not table.keys() & set(table.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("set: {model: {blank: 0.1}}", "set: {model: {prev_control_dropout: 0.1}}"),
        ("set:\n  model.blank: .1  # why", "set:\n  model.prev_control_dropout: .1  # why"),
        ("set: {'model.blank': 0.1}", "set: {'model.prev_control_dropout': 0.1}"),
        ("set: {train: {score: right}}", "set: {train: {score: accuracy}}"),
        ("set: {learner: {thin: 4}}", "set: {learner: {static_segment_keep: 0.25}}"),
        ("set: {learner: {thin: 1}}", "set: {learner: {static_segment_keep: 1.0}}"),
        (
            "sweep: {grid: {model.raw: [true, false], learner.thin: [1.0, 8]}}",
            "sweep: {grid: {model.raw_logits: [true, false], learner.static_segment_keep: [1.0, 0.125]}}",
        ),
        (
            "sweep: {cases: [{name: blank, model.blank: 0}, {learner: imitate}]}",
            "sweep: {cases: [{name: blank, model.prev_control_dropout: 0}, {learner: imitation}]}",
        ),
        (
            "sweep: {random: {model.smoothing: {low: 0.01, high: 0.1}}}",
            "sweep: {random: {model.label_smoothing: {low: 0.01, high: 0.1}}}",
        ),
        (
            "kill: [{when: 'val/right < .1 or ratio(val/loss, val/loss/hold) > 2', set: {model.blank: 0}}]",
            "kill: [{when: 'val/accuracy < .1 or ratio(val/loss, val/loss/copy_last) > 2', "
            "set: {model.prev_control_dropout: 0}}]",
        ),
        (
            'targets: [{metric: "val/change.low", op: "<", value: val/change/hold}]',
            'targets: [{metric: "val/change_nll.low", op: "<", value: val/change_nll/copy_last}]',
        ),
        ("baseline: {values: {val/right: 0.9}}", "baseline: {values: {val/accuracy: 0.9}}"),
        ("parent_optimiser: true", "parent_optimizer: true"),
        ("learner: imitate # so", "learner: imitation # so"),
    ],
)
def test_each_place_of_a_name(old, new):
    """Wherever a card can name a setting or a metric, the old name becomes the present one."""
    assert rename_head(old)[0] == new
    assert rename_head(new) == (new, [])


@pytest.mark.parametrize(
    "head",
    [
        "learner: mine\nset: {model: {blank: 1}, train: {clip: 2}}",
        "goal: model.blank was val/right\nprediction: learner imitate holds",
        "data: {make: {record: {options: {blank: 1}}}}",
        "targets: [{metric: eval/onset_f1, op: '>', value: eval/onset_f1/look_up}]",
        "kill: [{when: 'train/change > 1'}]",
        "set: [1, {model: 2}]\nsweep: 3\nkill: {when: 4}",
    ],
)
def test_what_is_no_old_name_stays(head):
    """Other learners, sentences, options of a game, other metrics, and heads that are wrong anyway."""
    assert rename_head(head) == (head, [])


@given(
    st.dictionaries(
        st.sampled_from([*renames.SETTINGS, "train.lr", "model.width", "learner.length"]),
        st.sampled_from([1, 2.5, True, 7]),
        max_size=6,
    ),
    st.booleans(),
)
def test_a_head_says_what_its_data_says(given_settings, nested):
    """Renaming the text and renaming its data give the same; renaming twice changes nothing."""
    lines = [f"  {name}: {json.dumps(value)}" for name, value in given_settings.items()]
    if nested:
        parts = {}
        for name, value in given_settings.items():
            parts.setdefault(name.partition(".")[0], {})[name.partition(".")[2]] = value
        lines = [f"  {part}: {json.dumps(values)}" for part, values in parts.items()]
    text = "set:\n" + "\n".join(lines or ["  {}"]) + "\n"
    renamed, changes = rename_head(text)
    assert head_of(renamed)["set"] == renames.rename_settings(head_of(text)["set"])
    assert rename_head(renamed) == (renamed, [])
    assert bool(changes) == (renamed != text)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("set: {model: {blank: 1, prev_control_dropout: 2}}", "has its old and its present name"),
        ("sweep: {random: {learner.thin: {low: 1, high: 9}}}", "line 2: a range of learner.thin"),
        ("kill:\n  - when: >\n      val/right < 1", "line 3: write 'val/right < 1' on one line"),
    ],
)
def test_what_cannot_be_renamed(head, message):
    """A name that is there twice, a range in another unit, and folded text are refused with their line."""
    with pytest.raises(CardError, match=message):
        rename_head(head)


# ---- cards ---------------------------------------------------------------------------------------


def test_a_card_keeps_its_figures(project):
    """A card that ran keeps every number.

    Its estimate and results have its new hash and name the old one.
    """
    path = write(set={**HEAD["set"], "model.prev_control_dropout": 0.1})
    ran(path)
    file = CardFile.read(path)
    old = results.stored_results(file) | {"contract": hash_of(file.head)}
    head = file.head.replace("prev_control_dropout", "blank")
    names = json.loads(json.dumps(old).replace('"copy_last"', '"hold"'))
    stale = file.with_head(head)
    stale = stale.with_block("results", results.block(names | {"contract": stale.hash}))
    stale = estimate.with_estimate(stale, ESTIMATE)
    stale.write()
    said = moved(path)[str(path)]
    assert said[-2:] == ["results: names, and their stamp", "estimate: its stamp"]
    now = CardFile.read(path)
    known = results.stored_results(now)
    assert known == old | {"moved": {"from": stale.hash, "to": now.hash}}
    assert estimate.stored_estimate(now)["moved"] == known["moved"]
    assert now.head == file.head
    assert not now.edited()
    assert now.prose == stale.prose


ESTIMATE = {
    "per_run_s": 1.0, "runs": 1, "records": 0, "machine": "m", "priced_as": "local", "prices": "d",
    **{f"{name}_{unit}": 1.0 for name in ("optimistic", "expected", "pessimistic") for unit in ("s", "usd")},
}  # fmt: skip


def test_results_of_another_contract_stay_so(project):
    """Results that were not of the contract before are not of it afterwards."""
    path = older()
    file = CardFile.read(path)
    file.with_block("results", results.block(RESULTS)).write()
    moved(path)
    known = results.stored_results(CardFile.read(path))
    assert (known["contract"], known.get("moved")) == ("sha256:0", None)
    assert known["targets"][0]["baselines"] == {"copy_last": 2.0}


RESULTS = {
    "run": "runs/x", "verdict": "passed", "reason": "", "stamps": [], "when": "then",
    "cost": {"wall_s": 1.0, "usd": 0.0}, "contract": "sha256:0",
    "targets": [{"metric": "val/loss", "op": "<", "wanted": "val/loss/hold", "value": 1.0, "low": None,
                 "high": None, "passed": True, "primary": True, "verdict": "passed",
                 "baselines": {"hold": 2.0}, "met_for_free_by": []}],
}  # fmt: skip


def test_an_old_card_is_refused(project):
    """Every old name is a mistake with its line, and nothing else is said of the card."""
    found = checked(older())
    assert len(found.mistakes) == len(flatten(OLD_SETTINGS)) + 2  # the learner, and a value
    assert all("run `shadowbox migrate cards/toy.md`" in each.message for each in found.mistakes)
    moved("cards")
    assert checked(Path("cards/toy.md")).mistakes == []


def test_an_edited_block_is_refused(project):
    """A block that was edited by hand is not stamped again, and the card stays as it is."""
    path = older()
    CardFile.read(path).with_block("facts", "| parameters | 1 |").write()
    path.write_text(path.read_text().replace("| parameters | 1 |", "| parameters | 2 |"))
    before = path.read_bytes()
    with pytest.raises(CardError, match=r"toy.md:\d+: the block facts was edited by hand"):
        moved(path)
    assert path.read_bytes() == before


# ---- signatures ----------------------------------------------------------------------------------


def sign(path, who, hashed):
    """Sign a card as the older version did: the hash of its text, and of its settings."""
    signatures.add_signature(
        CardFile.read(path), who, "signed", settings=hashed, data=None, commit=None
    ).write()


def hash_of_old_settings(path):
    """The hash that the older version computed: all settings under old names and in old units."""
    file = CardFile.read(path)
    present = file.with_head(rename_head(file.head)[0])
    return card.settings_hash_before(file, card.resolved(present, games))


def status(path):
    """How the card's signatures stand."""
    found = checked(path)
    return signatures.signature_status(
        found.file, found.card, found.settled.hash, found.facts["fingerprint"]
    )


def why_void(path, who):
    """The reason why a signature does not hold."""
    return next(reason for entry, reason in status(path).void if entry.who == who)


def test_a_signature_of_the_same_moves_along(project):
    """A signature holds where only names have changed: it says what was signed, and the text is kept."""
    path = older(reviewers={"min": 1})
    old = CardFile.read(path).hash
    sign(path, "ada", hash_of_old_settings(path))
    sign(path, "bob", "sha256:of other settings")
    said = moved(path)[str(path)]
    assert "signature of ada: kept, for the same was signed under the old names" in said
    assert "signature of bob: left, and so void: other settings were signed" in said
    found = status(path)
    assert [(each.who, each.moved) for each in found.valid] == [("ada", old)]
    assert [(each.who, each.contract) for each, _ in found.void] == [("bob", old)]
    assert f"signed as `{old[:19]}`" in path.read_text()
    assert moved(path)[str(path)] == []


def test_a_moved_signature_is_proven_each_time(project):
    """It is void as soon as the signed text is not kept, or the contract says something else."""
    path = older(reviewers={"min": 1})
    old = CardFile.read(path).hash
    sign(path, "ada", hash_of_old_settings(path))
    moved(path)
    sign(path, "eve", "sha256:another's")  # who signs later does not take the proof away
    assert [each.who for each in status(path).valid] == ["ada"]
    file = CardFile.read(path)
    data = file.data("signatures")
    del data["contracts"][old]
    forged = json.dumps(data)
    file.with_block("signatures", f"<!-- data {forged} -->").write()
    assert "is not kept here" in why_void(path, "ada")
    file.write()
    path.write_text(path.read_text().replace("steps: 30", "steps: 31"))
    assert "edited since" in why_void(path, "ada")


def test_an_unproven_signature_is_void(project):
    """Where the settings cannot be resolved nothing is proven, and no signature moves."""
    path = older(game="nowhere", reviewers={"min": 1})
    sign(path, "ada", "sha256:x")
    before = CardFile.read(path).block("signatures")
    assert "nothing can be proven" in moved(path)[str(path)][-1]
    assert CardFile.read(path).block("signatures") == before


# ---- runs, checkpoints, and what cannot be -------------------------------------------------------


def make_older(run):
    """Give a run the names, and the versions, of before 0.1.0."""
    facts = log.read_facts(run)
    facts["config"]["clip"] = facts["config"].pop("max_grad_norm")
    facts["lessons"] = facts.pop("imitation")
    log.write_facts(run, facts | {"version": 1, "learner": "imitate"})
    for folder in (run / "checkpoints").iterdir():
        config = json.loads((folder / "config.json").read_bytes())
        old = config["arguments"]
        old = {"sees": old.pop("input_columns"), "design": old.pop("config"), **old}
        text = json.dumps(config | {"version": 1, "arguments": old}).encode()
        checkpoint.rewrite(folder, {"config.json": text})


@pytest.fixture
def old_run(project):
    """A run with old names in runs/toy/0, and the facts that it had before."""
    ran(write())
    run = Path("runs/toy/0")
    facts = log.read_facts(run)
    make_older(run)
    return run, facts


def test_a_run_is_readable_again(old_run):
    """A migrated run has the facts that this version wrote, and its checkpoints load."""
    run, facts = old_run
    with pytest.raises(ShadowboxError, match="run `shadowbox migrate runs/toy/0`"):
        log.read_facts(run)
    moved(run)
    assert log.read_facts(run) == facts
    for step in checkpoint.steps(run):
        checkpoint.load(checkpoint.find_checkpoint(f"{run}@step={step}"))


def test_curves_are_drawn_again(old_run, capsys):
    """The command draws the curves of a migrated run again, under present names.

    --dry-run does not.
    """
    run, _ = old_run
    lines = log.read_lines(run / log.METRICS)
    old = [json.dumps(line).replace("/copy_last", "/hold") + "\n" for line in lines]
    (run / log.METRICS).write_text("".join(old))
    training.draw(run)
    for words, name in ((["--dry-run"], "loss/hold"), ([], "loss/copy_last")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["migrate", str(run), *words])
        assert stop.value.code == 0, capsys.readouterr().err
        assert f",{name}," in (run / "curves.csv").read_text().splitlines()[0]
    assert "3 of 4 brought up to date" in capsys.readouterr().out


def test_a_checkpoint_takes_its_run_along(old_run):
    """A checkpoint in a run means the run: its facts belong to it. Alone it is migrated alone."""
    run, _ = old_run
    step = checkpoint.steps(run)[-1]
    folder = run / "checkpoints" / f"{step:08d}"
    alone = Path("alone") / folder.name
    alone.parent.mkdir()
    folder.rename(alone)
    assert list(moved(alone)) == [str(alone)]
    checkpoint.load(alone)
    alone.rename(folder)
    assert str(run / "run.json") in moved(folder)


def test_a_migration_that_was_interrupted(old_run, monkeypatch):
    """Where the disk fills up in the middle each file is whole, and the next call does the rest."""
    from shadowbox.experiment.migration import files as module

    run, facts = old_run
    count = 0

    def full(path, chunks):
        raise OSError("full")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_whole", full)
        patched.setattr(log, "write_whole", full)
        with pytest.raises(OSError, match="full"):
            moved(run)
    count = len(checkpoint.steps(run))
    assert count
    with pytest.raises(ShadowboxError, match="shadowbox migrate"):
        log.read_facts(run)
    moved(run)
    assert log.read_facts(run) == facts
    assert len(checkpoint.steps(run)) == count


def test_nothing_is_written_where_one_is_refused(old_run):
    """All files are read before one is written: a later version in one of them changes none."""
    run, _ = old_run
    other = run.parent / "1"
    other.mkdir()
    (other / "run.json").write_text(json.dumps({"format": log.FORMAT, "version": 9}))
    before = (run / "run.json").read_bytes()
    with pytest.raises(ShadowboxError, match="version 9, this Shadowbox reads 2: update Shadowbox"):
        moved("runs")
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["checkpoint", "store"])
def test_later_versions_are_refused(old_run, kind):
    """A checkpoint or a store of a later version is left alone, and the message says to update."""
    run, _ = old_run
    if kind == "store":
        path = Path("data/toy/manifest.json")
        write_whole(path, path.read_bytes().replace(b'"version": 1', b'"version": 9'))
        where = path.parent
    else:
        where = run / "checkpoints" / f"{checkpoint.steps(run)[0]:08d}"
        config = json.loads((where / "config.json").read_bytes())
        checkpoint.rewrite(where, {"config.json": json.dumps(config | {"version": 9}).encode()})
    with pytest.raises(ShadowboxError, match="update Shadowbox"):
        moved(where)


def test_a_run_in_training_is_left_alone(old_run):
    """A run that another process writes to is refused."""
    run, _ = old_run
    before = (run / "run.json").read_bytes()
    with lock_run(run), pytest.raises(ShadowboxError, match="is being trained"):
        moved(run)
    assert (run / "run.json").read_bytes() == before


def test_paths_that_mean_nothing(project):
    """A missing path, and a folder without anything of ours, are refused; a store is up to date."""
    Path("empty").mkdir()
    for path, message in (("gone", "no such file"), ("empty", "no card, run, checkpoint or store")):
        with pytest.raises(UsageError, match=message):
            moved(path)
    assert moved("data/toy") == {"data/toy": []}
    Path("cards").mkdir()
    Path("cards/README.md").write_text("no card")
    write()
    assert moved("cards") == {"cards/toy.md": []}
