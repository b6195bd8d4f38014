"""Cards as files and as contracts: what is read, what is refused, and what a hash holds."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import HEAD, checked, write

from shadowbox.cards import card
from shadowbox.cards.file import TITLES, CardFile
from shadowbox.errors import CardError, ShadowboxError

HERE = {"store": "data/toy", "split": "50/50/0"}  # facts of data that is elsewhere are not compared


def test_right(project):
    """A card that is right has no mistakes, and its facts are computed."""
    found = checked(write())
    assert found.mistakes == []
    assert found.facts["episodes"] == 12
    assert found.facts["steps"] == 30
    assert found.facts["parameters"] > 1000


def test_seven_mistakes(project):
    """Seven mistakes of seven kinds are reported in one go, each with its line and what to do."""
    path = write(
        color="red",
        game="toy",
        preset="tinny",
        facts={"frames": "1,000"},
        data=HERE,
        targets=[
            {"metric": "val/onset_f2", "op": ">", "value": 0.5},
            {"metric": "val/onset_f1_greedy", "op": ">", "value": 1.5, "primary": True},
        ],
        kill=[{"when": "val/loss ! 3"}, {"when": "val/loss > 3", "after": "31 steps"}],
        seeds=[1, 1],
        set={**HEAD["set"], "train": {**HEAD["set"]["train"], "stepps": 3}},
    )
    found = checked(path)
    said = {(mistake.field, mistake.message.split(":")[0][:40]) for mistake in found.mistakes}
    fields = {field for field, _ in said}
    assert {
        "color",
        "preset",
        "facts.frames",
        "kill[0].when",
        "seeds",
        "set.train.stepps",
    } <= fields, said
    assert len(found.mistakes) >= 7
    lines = path.read_text().splitlines()
    for mistake in found.mistakes:  # each stands on the line that it is about
        word = mistake.field.rpartition(".")[2].partition("[")[0]
        assert word in lines[mistake.line - 1] or mistake.field.startswith(("targets", "kill")), (
            mistake
        )


def made(**call):
    """Data that is made by this call."""
    return {"store": "data/x", "make": call}


@pytest.mark.parametrize(
    ("changes", "field", "complaint"),
    [
        (
            {"targets": [{"metric": "val/onset_f2", "op": ">", "value": 0.5}]},
            "targets[0]",
            "nothing logs 'val/onset_f2': did you mean",
        ),
        (
            {"targets": [{"metric": "val/onset_f1_greedy", "op": ">", "value": 1.5}]},
            "targets[0]",
            "can never be met",
        ),
        (
            {"targets": [{"metric": "val/onset_f1_greedy", "op": ">", "value": "val/x"}]},
            "targets[0]",
            "nothing logs 'val/x'",
        ),
        ({"targets": []}, "targets", "promises nothing"),
        ({"targets": None}, "targets", "'targets' is missing"),
        (
            {"targets": [{"metric": "eval/win_rate", "op": ">", "value": 0.5}]},
            "targets[0]",
            "needs an `eval` block",
        ),
        (
            {"baseline": {"values": {"val/loss": 3.0}, "source": "a book"}},
            "targets[0]",
            "meets val/loss < 50 already: it has 3",
        ),
        (
            {"baseline": {"values": {"val/loss": 60.0}}},
            "baseline.values",
            "say where these values come from",
        ),
        ({"baseline": {"run": "runs/none"}}, "baseline.run", "run runs/none not found"),
        (
            {"kill": [{"when": "val/loss > 3", "after": "31 steps"}]},
            "kill[0]",
            "can never fire: after 31 steps the run of 30 is over",
        ),
        (
            {"kill": [{"when": "val/loss > 3", "after": "60%", "for": "50%"}]},
            "kill[0]",
            "can never fire",
        ),
        (
            {"kill": [{"when": "val/onset_f1_greedy > 1"}]},
            "kill[0]",
            "can never fire: val/onset_f1_greedy is in 0 .. 1",
        ),
        ({"kill": [{"when": "val/onset_f1_greedy < 0"}]}, "kill[0]", "can never fire"),
        ({"kill": [{"when": "eval/win_rate < 0.5"}]}, "kill[0]", "needs an `eval` block"),
        (
            {"kill": [{"when": "val/loss > 3", "set": {"train.lr": 1}}]},
            "kill[0].set",
            "only a warning proposes",
        ),
        (
            {"kill": [{"when": "val/loss > 3", "action": "explode"}]},
            "kill[0].action",
            "'stop', 'pause' or 'warn' is needed",
        ),
        (
            {"kill": [{"when": "val/stick < 3", "for": "2 eons"}]},
            "kill[0].for",
            "is not a length of a run",
        ),
        ({"data": {"store": "data/none"}}, "data.store", "is not here, and neither"),
        ({"data": {"store": "../secrets"}}, "data.store", "leads out of the project"),
        ({"data": {"store": "/etc"}}, "data.store", "leads out of the project"),
        (
            {"data": {"store": "data/toy", "fingerprint": "abc"}},
            "data.store",
            "the card's fingerprint is abc",
        ),
        ({"data": {"store": "data/toy", "split": "80/10"}}, "data.split", "is not a split"),
        (
            {"data": {"store": "data/toy", "split": "100/0/0"}},
            "data.split",
            "no episode is on the side 'val'",
        ),
        ({"data": {"store": "data/x", "make": {}}}, "data.make", "say either record or ingest"),
        ({"data": made(record={"matches": 2})}, "data.make.record", "p0 and p1 name agents"),
        (
            {"data": made(record={"p0": "nobody", "p1": "based"}), "game": "brawl"},
            "data.make.record",
            "no bot 'nobody'",
        ),
        (
            {"data": made(record={"mix": [{"p0": "based"}]}), "game": "brawl"},
            "data.make.record",
            "data.make.record.mix",
        ),
        (
            {"data": made(ingest={"paths": ["x"]}), "game": "brawl"},
            "data.make.ingest",
            "brawl reads no recordings",
        ),
        (
            {"data": made(ingest={"paths": ["x"], "filter": "trian"}), "game": "melee"},
            "data.make.ingest.filter",
            "unknown filter 'trian'",
        ),
        (
            {"data": made(ingest={"paths": ["x"], "options": {"huamn": True}}), "game": "melee"},
            "data.make.ingest.options",
            "did you mean 'human'",
        ),
        (
            {"facts": {"parameters": 7}},
            "facts.parameters",
            "the card says 7 parameters, the model has",
        ),
        (
            {"facts": {"frames": "1,000"}, "data": HERE},
            "facts.frames",
            "the card says 1,000 frames, the data has 720",
        ),
        ({"facts": {"color": 7}}, "facts.color", "unknown fact 'color'"),
        ({"learner": "guess"}, "learner", "unknown learner 'guess'"),
        ({"preset": "tinny"}, "preset", "did you mean 'tiny'"),
        ({"game": "toi"}, "game", "unknown game 'toi'"),
        (
            {"set": {"train": {"steps": 30, "batch": 800}}},
            "set.train.batch",
            "a batch of 800 is more than an epoch has",
        ),
        ({"set": {"train.lr": -1}}, "set.train.lr", "a positive number is needed"),
        (
            {"set": {"train.score": "onset_f2"}},
            "set.train.score",
            "no line has the score 'val/onset_f2'",
        ),
        ({"set": {"train.score": "play/win_rate"}}, "set.train.score", "no line has the score"),
        ({"set": {"train.seed": 3}}, "set.train.seed", "the card's seeds"),
        ({"set": {"train": {"steps": 3, "epochs": 3}}}, "set.train", "either epochs or steps"),
        ({"set": {"model.widht": 3}}, "set.model.widht", "did you mean 'width'"),
        ({"set": {"model.width": "3"}}, "set.model.width", "something like 128 is needed"),
        ({"set": {"color": 3}}, "set.color", "is not a setting"),
        ({"seeds": []}, "seeds", "at least one seed"),
        ({"seeds": [0, -1]}, "seeds[1]", "greater than or equal to 0"),
        ({"budget": {"wall": "soon"}}, "budget.wall", "is not a duration"),
        ({"budget": {"usd": 5, "machine": "abacus"}}, "budget.machine", "has no price of 'abacus'"),
        ({"parent": "runs/none@best"}, "parent", "run runs/none not found"),
        (
            {"reviewers": {"min": 1, "required": ["a", "b"]}},
            "reviewers.min",
            "2 are required, and 1 suffice",
        ),
        ({"sweep": {"grid": {"train.lr": []}}}, "sweep.grid", "has no values"),
        ({"sweep": {"grid": {"train.speed": [1]}}}, "sweep.grid", "unknown setting 'speed'"),
        ({"sweep": {"random": {"train.lr": {"low": 1}}, "tries": 3}}, "sweep.random", "is needed"),
        ({"sweep": {"random": {"train.lr": [1]}}}, "sweep.tries", "needs a number of tries"),
        ({"id": "other"}, "id", "the file is called 'toy'"),
        ({"goal": 3}, "goal", "a string is needed"),
    ],
)
def test_mistakes(project, changes, field, complaint):
    """Each mistake is named where it stands, in words that say what to do."""
    name = changes.pop("id", "toy")
    path = write(**changes)
    if name != "toy":
        path.write_text(path.read_text().replace("id: toy", f"id: {name}"))
    found = [mistake for mistake in checked(path).mistakes if mistake.field == field]
    assert any(complaint in mistake.message for mistake in found), checked(path).mistakes


def test_spares_the_baseline(project):
    """A rule that would have ended the baseline at once is a mistake, by its values and by its curve."""
    base = {"values": {"val/loss": 2.0, "val/onset_f1_greedy": 0.001}, "source": "a book"}
    targets = [{"metric": "val/onset_f1_greedy", "op": ">", "value": 0.999}]
    path = write(
        baseline=base,
        targets=targets,
        kill=[{"when": "val/loss > 1.5"}, {"when": "val/loss > 2.5"}],
    )
    assert [mistake.field for mistake in checked(path).mistakes] == ["kill[0]"]
    from promises import ran

    ran(write("base", kill=None))
    kill = [
        {"when": "val/loss > 0.0001"},
        {"when": "val/loss > 1000"},
        {"when": "val/loss > 0.0001", "after": "20 steps"},
    ]
    path = write(baseline={"run": "runs/base"}, targets=targets, kill=kill)
    (mistake,) = checked(path).mistakes
    assert mistake.field == "kill[0]"
    assert "would have ended the baseline runs/base at once, at step 10" in mistake.message


NAMES = ["metric", "when", "store", "make", "record", "grid", "train", "op", "value", "min", "a"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
HEADS = st.dictionaries(
    st.sampled_from([*card.Card.model_fields, "color", "x.y"]), VALUES, max_size=8
)


@settings(max_examples=150)
@given(HEADS)
def test_any_head(project, head):
    """Whatever is written under whatever name, a card is checked and its mistakes are named.

    Nothing breaks.
    """
    found = checked(write(**{**head, "card": head.get("card", 1)})) if "id" not in head else None
    assert found is None or all(mistake.message and mistake.line >= 1 for mistake in found.mistakes)


@settings(max_examples=150)
@given(st.text(max_size=300) | st.text(max_size=200).map(lambda text: f"---\n{text}\n---\n"))
def test_any_text(project, text):
    """Any text in a card's file is checked or refused; nothing breaks."""
    path = Path("cards/toy.md")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = checked(path)
    except ShadowboxError:
        return
    assert found.mistakes


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not a run card"),
        (b"---\na: 1\n", "a second --- must end"),
        (b"\xff---", "UTF-8"),
        (b"---\n" + b"x" * 2_000_000, "at most"),
    ],
)
def test_no_card(project, data, complaint):
    """A file that is no card is refused in one line."""
    path = Path("cards/toy.md")
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(CardError, match=complaint):
        CardFile.read(path)


def test_blocks(project):
    """A block is replaced without moving another letter, its text cannot end it, and edits are found."""
    path = write(prose="before\n\n<!-- card:facts 000000 -->\nold\n<!-- /card -->\n\nafter\n")
    file = CardFile.read(path)
    assert [name for _, name in file.edited()] == ["facts"]
    again = file.with_block("facts", "new\n<!-- /card -->\n<!-- card:results aa -->")
    assert again.edited() == []
    assert again.text.startswith(file.text[: file.text.index("<!-- card")])
    assert again.text.endswith("\n\nafter\n")
    assert again.with_block("facts", "third").block("facts") == "third"
    assert (again.hash, again.prose) == (file.hash, file.prose)
    third = again.with_block("results", "a result")
    assert third.block("results") == "a result"
    assert third.text.startswith(again.text.rstrip())
    tampered = CardFile(path, third.text.replace("a result", "a better result"))
    assert [name for _, name in tampered.edited()] == ["results"]


def test_a_heading_whose_block_was_taken_out_is_filled(project):
    """Who deletes results to run again keeps one heading, wherever it stands."""
    file = CardFile.read(write()).with_block("facts", "some").with_block("results", "old")
    for name, other in (("facts", "results"), ("results", "facts")):
        text = file.text
        start = text.index(f"<!-- card:{name}")
        end = text.index("<!-- /card -->", start) + len("<!-- /card -->")
        again = CardFile(file.path, text[:start].rstrip() + "\n" + text[end:]).with_block(
            name, "new"
        )
        assert again.text.count("\n## ") == file.text.count("\n## ")
        assert (again.block(name), again.block(other)) == ("new", file.block(other))
        assert again.text.index(f"<!-- card:{name}") > again.text.index(f"## {TITLES[name]}")


@given(
    st.text(max_size=100).filter(lambda text: "\r" not in text),
    st.text(max_size=100).filter(lambda text: "\r" not in text),
)
def test_hash(prose, content):
    """The hash is that of the head alone: prose and blocks do not change it, any letter of the head does."""
    head = "goal: x\nseeds: [0]\n"
    file = CardFile(Path("x.md"), f"---\n{head}---\n{prose}")
    bare = CardFile(Path("x.md"), f"---\n{head}---\n")
    assert file.hash == bare.hash == file.with_block("results", content).hash
    assert CardFile(Path("x.md"), f"---\n{head}#---\n---\n").hash != bare.hash


def test_changes():
    """--set changes settings and any part of the head, and nothing that a card does not have."""
    data = card.with_changes(
        {"set": {"train": {"lr": 1, "steps": 2}}, "data": {"store": "a"}},
        {"train.lr": 3, "data.split": "s", "seeds": [1]},
    )
    assert data == {
        "set": {"train.lr": 3, "train.steps": 2},
        "data": {"store": "a", "split": "s"},
        "seeds": [1],
    }
    with pytest.raises(ShadowboxError, match="a card has no 'lr'"):
        card.with_changes({}, {"lr": 1})
