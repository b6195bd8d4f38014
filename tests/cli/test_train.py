"""`shadowbox train` as a user meets it: a table, one JSON object, exact stops, and one-line errors."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from apprentice import make_store, same, weights
from conftest import TOY
from test_cli import run

from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.model.checkpoint import find_checkpoint, load
from shadowbox.train.log import read_lines


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A store of sixteen short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s", episodes=16).path


QUICK = ["--shares", "50/50/0", "--length", "8", "--batch", "8"]


def test_train_prints_one_object(capsys, path, tmp_path):
    """`--json` puts the run, its best and its scores with baselines on standard output, and nothing else."""
    status, out, err = run(
        capsys, "train", path, "--out", tmp_path / "r", "--steps", 12, *QUICK, "--json"
    )
    assert status == 0
    facts = json.loads(out)
    assert (facts["step"], facts["ended"]) == (12, "finished")
    assert {
        "loss",
        "loss/copy_last",
        "onset_f1_greedy",
        "onset_f1_greedy/markov",
        "onset_f1_greedy.low",
    } <= facts["scores"].keys()
    assert "parameters; warm-up of" in err


def test_train_prints_tables(capsys, path, tmp_path):
    """People get every score beside its baselines with its interval, and where the time went."""
    status, out, _ = run(
        capsys, "train", path, "--out", tmp_path / "r", "--steps", 5, *QUICK, "--set", "ema=9e-1"
    )
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["validation", "of", "value", "95", "%"] in rows
    assert any(row[:2] == ["onset_f1_greedy", "markov"] and ".." in row for row in rows)
    assert any(row[:1] == ["backward"] and row[-1].endswith("%") for row in rows)
    assert (tmp_path / "r" / "curves.html").exists()


def test_numbers_are_written_as_in_a_card(capsys, path, tmp_path):
    """`--set lr=1e-4` and `--with dropout=2e-1` are numbers, and a word such as `on` is text."""
    status, _, err = run(
        capsys, "train", path, "--out", tmp_path / "r", "--steps", 2, *QUICK,
        "--set", "lr=1e-4", "--set", "sinks=[]", "--with", "dropout=2e-1",
    )  # fmt: skip
    assert status == 0, err
    facts = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (facts["config"]["lr"], facts["task"]["with"]) == (1e-4, {"dropout": 0.2})
    status, _, err = run(
        capsys, "train", path, "--out", tmp_path / "s", "--steps", 2, *QUICK, "--set", "compile=on"
    )
    assert (status, "compile is 'on', bool is needed" in err) == (2, True)


def test_a_store_of_few_episodes_is_enough(capsys, tmp_path):
    """Without --shares and --batch a small store is split and batched so that it can be trained on."""
    few = make_store(tmp_path / "few", episodes=3).path
    status, _, err = run(capsys, "train", few, "--out", tmp_path / "r", "--steps", 1)
    assert status == 0, err
    assert "(--shares)" in err
    assert "(--batch)" in err
    facts = json.loads((tmp_path / "r" / "run.json").read_text())
    assert facts["config"]["batch"] < 64
    one = make_store(tmp_path / "one", episodes=1).path
    status, _, err = run(capsys, "train", one, "--out", tmp_path / "s", "--steps", 1)
    assert (status, "record or play more" in err) == (2, True)


def test_resume_takes_settings_from_the_run(capsys, path, tmp_path):
    """Resuming needs no settings again; other ones are refused, and a new name takes them."""
    out = tmp_path / "r"
    run(capsys, "train", path, "--out", out, "--steps", 6, "--lr", 0.01, *QUICK)
    status, printed, _ = run(capsys, "train", path, "--out", out, "--resume", "--json")
    assert (status, json.loads(printed)["step"]) == (0, 6)
    status, _, err = run(capsys, "train", path, "--out", out, "--resume", "--lr", 0.02)
    assert status == 2
    assert "lr: 0.01 in the run, 0.02 asked for" in err
    child = tmp_path / "child"
    status, _, err = run(
        capsys, "train", path, "--out", child, "--parent", f"{out}@best", "--steps", 3, *QUICK
    )
    assert status == 0
    assert "continues" in err
    assert json.loads((child / "run.json").read_text())["lineage"][0]["run"] == str(out)


def test_a_child_keeps_the_combinations_of_its_parent(capsys, path, tmp_path):
    """A run goes on from a parent on recordings with other combinations of keys, and is resumed."""
    with Writer(tmp_path / "s", TOY) as writer:
        for episode in Store(path):
            left = np.zeros_like(episode.columns["pad/left"])
            columns = {**episode.columns, "pad/left": left}
            writer.add(dataclasses.replace(episode, columns=columns))
    first, child, alone = (tmp_path / name for name in ("first", "child", "alone"))
    chain = [*QUICK, "--with", "head=chain", "--steps", 3]
    for store, out, more in (
        (path, first, ()),
        (tmp_path / "s", child, ("--parent", f"{first}@latest")),
        (tmp_path / "s", alone, ()),
    ):
        status, _, err = run(capsys, "train", store, "--out", out, *chain, *more)
        assert status == 0, err
    points = [load(find_checkpoint(f"{out}@latest")).about.arguments["vocabulary"]["flags"]
              for out in (first, child, alone)]  # fmt: skip
    assert points[0] == points[1] != points[2]
    status, _, err = run(capsys, "train", tmp_path / "s", "--out", child, "--resume")
    assert status == 0, err


def test_resume_goes_on_with_a_store_that_has_grown(capsys, tmp_path):
    """A run is resumed after episodes were appended to its store; it says what it trains on."""
    store, out = make_store(tmp_path / "s", episodes=16), tmp_path / "r"
    run(capsys, "train", store.path, "--out", out, "--steps", 3, *QUICK)
    with Writer(store.path, TOY) as writer:
        writer.add(make_store(tmp_path / "more", episodes=1).episode(0))
    status, printed, err = run(capsys, "train", store.path, "--out", out, "--resume", "--json")
    assert (status, json.loads(printed)["step"]) == (0, 3)
    assert "has grown from 16 to 17 episodes: the run goes on with the first 16" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--steps", 3, "--epochs", 3], 2, "either epochs or steps"),
        (
            ["--set", "max_grad_nor=1"],
            2,
            "unknown setting 'max_grad_nor': did you mean 'max_grad_norm'",
        ),
        (["--set", "max_grad_norm"], 2, "expected NAME=VALUE"),
        (["--set", "max_grad_norm=!!python/name:os.system"], 2, "--set max_grad_norm=!!python"),
        (["--set", "max_grad_norm=[1"], 2, "'[1' cannot be read: this is not YAML"),
        (["--preset", "tinny"], 2, "did you mean 'tiny'"),
        (["--sink", "wandbb"], 2, "did you mean 'wandb'"),
        (["--resume"], 1, "is not a run"),
        (["--parent", "nowhere@best"], 1, "nowhere is not a run"),
        (["--shares", "100/0/0"], 2, "none of its 16 episodes is on the side 'val'"),
        (["--set", "device=tpu9"], 2, "device 'tpu9' is not available"),
        (["--out", ""], 2, "'--out': the path is empty"),
    ],
)
def test_wrong_calls(capsys, path, tmp_path, arguments, status, message):
    """A call that cannot work ends in one line that says what was expected."""
    found, _, err = run(capsys, "train", path, "--out", tmp_path / "r", *QUICK, *arguments)
    assert (found, message in err) == (status, True), err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_a_signal_saves_and_says_how_to_go_on(path, tmp_path):
    """SIGINT finishes the step, saves, and names the command that resumes; that command ends the run."""
    command = [
        sys.executable,
        "-m",
        "shadowbox",
        "train",
        str(path),
        "--steps",
        "200",
        "--set",
        "validate_every=50",
        *QUICK,
    ]
    out = tmp_path / "r"
    process = subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(read_lines(out / "metrics.jsonl")) < 4 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0
    resume = err.split("go on with: shadowbox ")[1].splitlines()[0].split()
    assert (
        subprocess.run(
            [sys.executable, "-m", "shadowbox", *resume], capture_output=True, check=False
        ).returncode
        == 0
    )
    subprocess.run([*command, "--out", str(tmp_path / "straight")], capture_output=True, check=True)
    assert same(weights(out), weights(tmp_path / "straight"))


@pytest.mark.slow
def test_torchrun(path, tmp_path):
    """Two processes under torchrun train one run: one log, one checkpoint, the losses of one process."""
    command = [
        "train",
        str(path),
        "--steps",
        "10",
        *QUICK,
        "--preset",
        "tiny",
        "--set",
        "log_every=1",
        "--set",
        "device=cpu",
    ]
    two = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--no-python",
    ]
    program = [sys.executable, "-m", "shadowbox"]
    call = [*two, *program, *command, "--out", str(tmp_path / "two"), "--json"]
    answer = subprocess.run(call, capture_output=True, text=True, check=False, timeout=250)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert json.loads(answer.stdout)["step"] == 10
    subprocess.run(
        [*program, *command, "--out", str(tmp_path / "one")], capture_output=True, check=True
    )
    losses = [
        [line["loss"] for line in read_lines(tmp_path / name / "metrics.jsonl")]
        for name in ("one", "two")
    ]
    assert len(losses[0]) == len(losses[1]) > 9
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
