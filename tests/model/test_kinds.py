"""Kinds of checkpoints: found by name, by entry point and by the config of a checkpoint.

Others are refused with what is missing.
"""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from shadowbox.errors import CheckpointError, UsageError
from shadowbox.model import kinds
from shadowbox.model.kinds import CheckpointKind

TOY = CheckpointKind(name="toy", build="json:loads", agent="json:dumps", prefix="game")


@pytest.fixture
def registered():
    """A toy kind of this process."""
    kinds.register(TOY)
    yield TOY
    del kinds.KINDS["toy"]


def installed(monkeypatch, **entries):
    """Entry points of other packages: name -> module:NAME."""
    points = [EntryPoint(name, value, kinds.GROUP) for name, value in entries.items()]
    monkeypatch.setattr(kinds, "entry_points", lambda group: points if group == kinds.GROUP else [])


def test_policies_are_the_first_entry():
    """`policy` is built in, with every part but a world."""
    policy = kinds.checkpoint_kind("policy")
    for part in ("build", "agent", "evaluate", "page"):
        assert callable(policy.part(part))
    with pytest.raises(UsageError, match="'policy' have no world"):
        policy.part("world")
    assert "onset_f1" in policy.figures
    assert "val/loss" not in policy.figures


@pytest.mark.parametrize("name", ["ensemble"])
def test_reserved_names_are_refused_with_what_is_missing(name):
    """A reserved kind cannot be used until something registers it; the message says by what."""
    with pytest.raises(UsageError, match=f"'{name}'.*shadowbox.checkpoint_kinds"):
        kinds.checkpoint_kind(name)


def test_an_unknown_kind_is_refused_with_the_nearest_one():
    """A typing error is answered by the name that was meant."""
    with pytest.raises(UsageError, match="did you mean 'policy'"):
        kinds.checkpoint_kind("polcy")


def test_a_kind_is_registered_in_a_process(registered):
    """It is found by its name and by the word of its specs; its name is then taken."""
    assert kinds.checkpoint_kind("toy") is TOY
    assert kinds.spec_kind("game", "agent") is TOY
    assert kinds.spec_kind("game", "world") is None
    assert kinds.spec_kind("toy", "agent") is None
    assert "toy" in kinds.names()
    assert TOY.part("build")("3") == 3
    kinds.register(TOY)
    with pytest.raises(UsageError, match="toy"):
        kinds.register(CheckpointKind(name="toy"))


def test_a_kind_of_another_package(monkeypatch):
    """An entry point is imported when its kind is asked for; a reserved name may be registered so."""
    import bandits

    installed(monkeypatch, bandit="bandits:KIND", broken="nowhere:KIND", other="bandits:SPEC")
    assert kinds.checkpoint_kind("bandit") is bandits.KIND
    assert {"bandit", "broken", "other", "policy"} <= set(kinds.names())
    with pytest.raises(UsageError, match=r"'broken'.*nowhere"):
        kinds.checkpoint_kind("broken")
    with pytest.raises(UsageError, match=r"'other'.*expected a CheckpointKind"):
        kinds.checkpoint_kind("other")


def test_a_broken_package_breaks_no_other_spec(monkeypatch):
    """A kind that cannot be imported is an error where it is asked for, and nowhere else."""
    import bandits

    installed(monkeypatch, broken="nowhere:KIND", bandit="bandits:KIND")
    assert kinds.spec_kind("policy", "agent") is kinds.POLICY
    assert kinds.spec_kind("bandit", "agent") is bandits.KIND
    assert kinds.spec_kind("dream", "world") is kinds.WORLD
    assert kinds.spec_kind("film", "world") is None
    with pytest.raises(UsageError, match="'broken'"):
        kinds.spec_kind("broken", "agent")


def test_a_part_that_cannot_be_imported_is_named():
    """The part and its dotted name stand in the message."""
    kind = CheckpointKind(name="toy", build="json:nothing")
    with pytest.raises(UsageError, match=r"build.*json:nothing"):
        kind.part("build")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (json.dumps({"kind": "policy"}), None, ""),
        (json.dumps({"kind": "ensemble"}), UsageError, "'ensemble'"),
        (json.dumps({"kind": 3}), CheckpointError, "kind is 3"),
        ("[]", CheckpointError, "must be an object"),
        ("{", CheckpointError, "config.json"),
    ],
)
def test_the_kind_of_a_checkpoint(tmp_path, text, error, message):
    """It is read from config.json; a file without a kind is refused."""
    (tmp_path / "config.json").write_text(text)
    if error is None:
        assert kinds.kind_of(tmp_path).name == "policy"
        return
    with pytest.raises(error, match=message):
        kinds.kind_of(tmp_path)
