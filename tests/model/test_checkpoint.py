"""Checkpoints are written whole or not at all, and damage is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil

import pytest
import torch
from conftest import TOY

from shadowbox.core.schema import Choice, Group, Schema
from shadowbox.errors import CheckpointError, SchemaMismatch, ShadowboxError, UsageError
from shadowbox.model import checkpoint, checkpoint_files
from shadowbox.model.checkpoint import CheckpointConfig, find_checkpoint, load, save
from shadowbox.model.policy import build_policy, preset_arguments
from shadowbox.play.policy_agent import restore_policy

ABOUT = CheckpointConfig(
    "policy", TOY, "tiny", preset_arguments("tiny", ["player/x", "player/action"], width=16)
)
PARTS = ("model.safetensors", "config.json", "schema.json", "trainer.pt", "done")


@pytest.fixture
def run(tmp_path):
    """A run with checkpoints of steps 5 and 10; step 5 is the best."""
    model = build_policy(TOY, ABOUT.arguments)
    for step in (5, 10):
        save(
            tmp_path / "r",
            step,
            ABOUT,
            model.state_dict(),
            {"step": step, "list": [1, 2.5, None, "text", torch.ones(3)]},
        )
    checkpoint.point(tmp_path / "r", "best", 5)
    return tmp_path / "r"


def test_written_is_read(run):
    """Weights, arguments, schema and trainer state survive, and build the same model."""
    checkpoint_read = load(find_checkpoint(f"{run}@latest"), schema=TOY, kind="policy")
    assert (checkpoint_read.step, checkpoint_read.about) == (10, ABOUT)
    assert checkpoint_read.trainer()["list"][:4] == [1, 2.5, None, "text"]
    rebuilt = build_policy(checkpoint_read.about.schema, checkpoint_read.about.arguments, seed=3)
    checkpoint.load_weights(rebuilt, checkpoint_read.weights, "here")
    assert all(
        torch.equal(value, checkpoint_read.weights[key])
        for key, value in rebuilt.state_dict().items()
    )


def test_names_of_checkpoints(run):
    """RUN names its best checkpoint, RUN@latest, RUN@best and RUN@step=N others, a path itself."""
    names = {"": 5, "@best": 5, "@latest": 10, "@step=10": 10}
    assert {name: load(find_checkpoint(f"{run}{name}")).step for name in names} == names
    assert load(find_checkpoint(run / "checkpoints" / "00000005")).step == 5


def test_nothing_half_made_is_ever_there(run, monkeypatch):
    """A failed write leaves the old checkpoints, their pointers, and no temporary folder."""

    def broken(path, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_synced", broken)
        with pytest.raises(KeyboardInterrupt):
            save(run, 15, ABOUT, {}, {})
    assert checkpoint.steps(run) == [5, 10]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["00000005", "00000010"]
    assert load(find_checkpoint(f"{run}@latest")).step == 10


def test_prune_spares_what_is_named(run):
    """Prune removes checkpoints outside the interval that no pointer names."""
    for step in (15, 20):
        save(run, step, ABOUT, {}, {})
    checkpoint.prune(run, 0)
    assert checkpoint.steps(run) == [5, 20]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["cut", "gone", "changed", "linked"])
def test_damage_is_refused(run, tmp_path, part, how):
    """A file that is cut, missing, changed or a link is refused by name."""
    path = run / "checkpoints" / "00000010" / part
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "changed":
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    elif how == "linked":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=part) as refused:
        load(find_checkpoint(f"{run}@latest"))
    assert "\n" not in str(refused.value)
    assert load(find_checkpoint(f"{run}@best")).step == 5


class Bomb:
    """An object that leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_pickles_are_never_opened(run, tmp_path, monkeypatch, how):
    """A pickle in place of a run, of weights or of the trainer state is refused.

    It is refused even if its digest matches.
    """
    monkeypatch.chdir(tmp_path)
    bomb = tmp_path / "model.pt"
    if how == "pickle":
        bomb.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"model": Bomb()}, bomb)
    with pytest.raises(CheckpointError, match="pickled objects are never opened"):
        find_checkpoint(bomb)
    folder = run / "checkpoints" / "00000010"
    for part in ("trainer.pt", "model.safetensors"):
        (folder / part).write_bytes(bomb.read_bytes())
        (folder / "done").write_text(json.dumps(checkpoint_files.digests(folder)))
        with pytest.raises(CheckpointError, match=part):
            load(folder).trainer()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("target", ["folder", "pointer", "text"])
def test_nothing_leads_out_of_a_run(run, tmp_path, target):
    """A linked checkpoint, a linked pointer, and a pointer to a path are refused."""
    if target == "folder":
        (run / "checkpoints" / "00000010").rename(tmp_path / "00000010")
        (run / "checkpoints" / "00000010").symlink_to(tmp_path / "00000010")
    elif target == "pointer":
        (run / "latest").rename(tmp_path / "latest")
        (run / "latest").symlink_to(tmp_path / "latest")
    else:
        (run / "latest").write_text("../../../elsewhere")
    with pytest.raises(CheckpointError, match=r"link|number of a step"):
        load(find_checkpoint(f"{run}@latest"))


def _changed(**attributes) -> Schema:
    group = TOY.state[1]
    fields = tuple(
        dataclasses.replace(f, **attributes) if f.name == "x" else f for f in group.fields
    )
    return dataclasses.replace(
        TOY, state=(TOY.state[0], dataclasses.replace(group, fields=fields), TOY.state[2])
    )


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (_changed(scale=0.1), "player/x: scale 0.1 expected, 0.05 found"),
        (_changed(unit="km"), "player/x: unit 'km' expected, 'm' found"),
        (dataclasses.replace(TOY, fps=30), "fps: 30 expected, 60 found"),
        (
            dataclasses.replace(TOY, state=(*TOY.state, Group("sky", (Choice("cloud", 3),)))),
            "sky/cloud: expected, not found",
        ),
        (dataclasses.replace(TOY, state=TOY.state[:2]), "item/alive: expected, not found"),
    ],
)
def test_another_schema_is_refused(run, schema, message):
    """Weights of another declaration are refused with the fields that differ."""
    with pytest.raises(SchemaMismatch, match=message):
        load(find_checkpoint(f"{run}@latest"), schema=schema)


def test_other_refusals(run, tmp_path):
    """Another kind, version, model, name or place is refused in one line."""
    cases = [
        (
            lambda: load(find_checkpoint(f"{run}@latest"), kind="world"),
            "holds a policy, expected a world",
        ),
        (
            lambda: find_checkpoint(f"{run}@step=7"),
            "no checkpoint of step 7; its finished ones: 5, 10",
        ),
        (lambda: find_checkpoint(tmp_path), "is not a run"),
        (lambda: load(tmp_path / "nothing"), "is not a checkpoint"),
        (
            lambda: save(run, 20, ABOUT, {}, {"a": [object()]}),
            r"trainer state\['a'\]\[0\] is a object",
        ),
    ]
    for call, message in cases:
        with pytest.raises(CheckpointError, match=message):
            call()
    with pytest.raises(UsageError, match="did you mean 'latest'"):
        find_checkpoint(f"{run}@lastest")
    other = build_policy(TOY, preset_arguments("tiny", ["player/x"], width=8))
    with pytest.raises(CheckpointError, match=r"does not fit this model: embed.*expected"):
        checkpoint.load_weights(other, load(find_checkpoint(run)).weights, "it")
    folder = run / "checkpoints" / "00000010"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"version": 9}))
    (folder / "done").write_text(json.dumps(checkpoint_files.digests(folder)))
    with pytest.raises(
        ShadowboxError, match="version 9 of the format, this Shadowbox reads 2: update"
    ):
        load(folder)


def test_a_shipped_checkpoint_leaves_the_trainer_out(run, tmp_path):
    """A shipped folder holds weights, schema, step and evaluation, without the trainer's state."""
    folder = find_checkpoint(f"{run}@step=10")
    (folder / "evaluation.json").write_text("{}")
    out = checkpoint.ship(folder, tmp_path / "policies" / "champion")
    parts = {"model.safetensors", "config.json", "schema.json"}
    assert {path.name for path in out.iterdir()} == {*parts, "evaluation.json", "done"}
    assert json.loads((out / "done").read_text()).keys() == parts
    found, original = load(find_checkpoint(out)), load(folder)
    assert (found.step, found.about) == (10, original.about)
    assert all(torch.equal(value, original.weights[key]) for key, value in found.weights.items())
    with pytest.raises(CheckpointError, match="was shipped without the trainer's state"):
        found.trainer()
    checkpoint.calibrate(out, {"temperature": 0.5})
    assert load(out).calibration == {"temperature": 0.5}
    again = checkpoint.ship(out, tmp_path / "again")
    assert load(again).step == 10
    with pytest.raises(UsageError, match="is there already"):
        checkpoint.ship(folder, out)


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "schema.json", "trainer.pt"])
def test_the_done_marker_lists_what_is_there(run, tmp_path, part):
    """Every file that the marker lists must exist, and every existing file must be listed."""
    folder = find_checkpoint(f"{run}@step=10")
    shutil.copytree(folder, tmp_path / "00000010")
    (folder / part).unlink()
    with pytest.raises(CheckpointError, match=f"{part} is missing"):
        load(folder)
    copy = tmp_path / "00000010"
    marks = json.loads((copy / "done").read_text())
    (copy / "done").write_text(json.dumps({k: v for k, v in marks.items() if k != part}))
    with pytest.raises(CheckpointError, match=part):
        load(copy)


def test_a_checkpoint_names_its_step(run, tmp_path):
    """A folder without a step in its name or config is refused."""
    out = checkpoint.ship(find_checkpoint(f"{run}@step=10"), tmp_path / "champion")
    config = json.loads((out / "config.json").read_text())
    del config["step"]
    (out / "config.json").write_text(json.dumps(config))
    (out / "done").write_text(json.dumps(checkpoint_files.digests(out)))
    with pytest.raises(CheckpointError, match=r"named by a step, or its config.json has one"):
        load(out)


def resealed(folder):
    """Renew the marker of a changed checkpoint, as somebody who means harm would."""
    path = folder / checkpoint_files.DONE
    path.write_bytes(checkpoint_files.to_json_bytes(checkpoint_files.digests(folder)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run, value):
    """A checkpoint with NaN or infinity among its weights is refused by file and tensor."""
    model = build_policy(TOY, ABOUT.arguments)
    model.trunk.first.weight.data[0, 0] = value
    folder = save(run, 15, ABOUT, model.state_dict(), {})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: trunk\.first\.weight .*finite"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 10**30}, r"config\.json .*arguments\.config\.depth must fit into 64 bits"),
        ({"depth": 10**9}, r"config\.json .*depth must be from 1 to 1,024"),
        ({"width": 10**9}, r"config\.json .*width must be from 1 to"),
        ({"width": 60_000, "depth": 1000}, "does not fit this model"),
        ({"delay": 10**9}, r"config\.json .*delay must be from 0 to"),
        ({"trunk": []}, r"config\.json .*trunk of a policy must be of type str"),
        ({"colour": 1}, r"config\.json .*no setting 'colour'"),
    ],
)
def test_hostile_arguments_are_refused_at_once(run, change, words):
    """Sizes beyond the weights are refused by file and key, before memory is taken for them."""
    folder = run / "checkpoints" / "00000005"
    config = json.loads((folder / "config.json").read_text())
    config["arguments"]["config"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    resealed(folder)
    with pytest.raises(CheckpointError, match=words):
        restore_policy(load(folder), TOY)
