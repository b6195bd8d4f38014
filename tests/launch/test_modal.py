"""Jobs on Modal, without an account: the app from the spec, its function here, and its volume."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import shutil
import signal
import threading
import time
import types
import warnings
from pathlib import Path

import pytest
from apprentice import figures, same, weights
from jobs import CARD, call, write_card
from promises import ran
from ranks import ended, in_child

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.games import load
from shadowbox.launch import modal as launcher
from shadowbox.launch.commits import _Commits
from shadowbox.launch.session import files_of, run_session
from shadowbox.launch.spec import make_spec, read_spec

modal = pytest.importorskip("modal")
GOLDEN = Path(__file__).parents[1] / "golden" / "launch"
NO_VOLUME = "The function .* is executed locally: volumes .*|.*will not be mounted.*|.*[Vv]olume.*"


def golden(name):
    """The spec of an older card."""
    return read_spec(json.loads((GOLDEN / f"{name}.json").read_text("utf-8")))


@pytest.mark.parametrize(
    ("name", "gpu", "timeout", "cpu"),
    [("policy-22k", "T4:1", 43200, None), ("mamba2-v3", "A100-40GB:1", 14400, 4.0)],
)
def test_the_app_is_what_the_spec_says(monkeypatch, name, gpu, timeout, cpu):
    """GPU, time-out, cores, volume and retries reach Modal's own decorator, which accepts them."""
    given = {}
    usual = modal.App.function

    def noted(self, **settings):
        given.update(settings)
        return usual(self, **settings)

    monkeypatch.setattr(modal.App, "function", noted)
    job = launcher.build(golden(name))
    assert job.app.name == f"shadowbox-{name}"
    assert (given["name"], given["single_use_containers"]) == ("train", True)
    assert (given["gpu"], given["timeout"], given.get("cpu")) == (gpu, timeout, cpu)
    assert list(given["volumes"]) == [launcher.MOUNT]
    assert given["retries"].max_retries == golden(name).resumes
    assert given["env"] if cpu else "env" not in given


def test_what_modal_does_not_allow_is_refused():
    """A time-out beyond a day is refused before anything is sent."""
    spec = read_spec({**golden("policy-22k").to_json(), "timeout_s": 100_000})
    with pytest.raises(UsageError, match="Modal allows 86,400"):
        launcher.build(spec)


def test_without_an_account_the_message_says_so(project, monkeypatch, capsys):
    """`launch modal` without a token ends with one line that names the command for one."""
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(project / "none.toml"))
    monkeypatch.delenv("MODAL_TOKEN_ID", raising=False)
    write_card()
    error = modal.exception.AuthError("Token missing")
    monkeypatch.setattr(
        modal.App, "run", lambda self, **given: contextlib.nullcontext(_fail(error))
    )
    answer = call(capsys, "modal", "job", status=1)
    assert "modal token new" in answer["error"]
    assert not Path("runs/.launch/job/record.json").exists()


def _fail(error):
    raise error


# ---- the volume ----------------------------------------------------------------------------------


class Volume:
    """The part of modal.Volume that is used: a folder elsewhere."""

    def __init__(self, folder):
        self.folder = folder

    @contextlib.contextmanager
    def batch_upload(self, force=False):
        batch = types.SimpleNamespace(
            put_directory=lambda here, there: shutil.copytree(
                here, self.folder / there.lstrip("/"), dirs_exist_ok=force
            ),
            put_file=lambda here, there: shutil.copy(here, self.folder / there.lstrip("/")),
        )
        yield batch

    def listdir(self, path, *, recursive=False):
        kinds = {True: modal.types.FileEntryType.FILE, False: modal.types.FileEntryType.DIRECTORY}
        return [
            types.SimpleNamespace(
                path=found.relative_to(self.folder).as_posix(), type=kinds[found.is_file()]
            )
            for found in sorted((self.folder / path).rglob("*"))
        ]

    def read_file(self, path):
        yield (self.folder / path).read_bytes()


def test_the_volume_of_the_tests_is_modal_s():
    """Every method that is used exists in Modal's volume with these parameters."""
    for name in ("batch_upload", "listdir", "read_file"):
        own = inspect.signature(getattr(Volume, name)).parameters
        theirs = inspect.signature(getattr(modal.Volume, name)).parameters
        assert set(own) <= set(theirs), name
    for name in ("commit", "from_name"):
        assert callable(getattr(modal.Volume, name))


def test_data_goes_up_and_checkpoints_come_down(project):
    """Folders keep their places; marks that say a folder is complete are written last."""
    there = project / "volume"
    there.mkdir()
    volume = Volume(there)
    assert launcher.upload(volume, [Path("data/toy")]) == ["/data/toy"]
    assert (there / "data/toy/manifest.json").read_bytes() == Path(
        "data/toy/manifest.json"
    ).read_bytes()
    ran(write_card())
    shutil.move("runs", there / "runs")
    written = launcher.download(volume, "runs/job", Path())
    assert {path.name for path in written[-5:]} <= {
        "done", "latest", "best", "run.json", "verdict.json",
    }  # fmt: skip
    names = [path.name for path in written]
    assert names.index("model.safetensors") < names.index("done")
    assert same(weights("runs/job/0"), weights(there / "runs/job/0"))
    with pytest.raises(UsageError, match="not below this folder"):
        launcher.upload(volume, [Path("/etc/passwd")])


# ---- commits -------------------------------------------------------------------------------------


def test_a_commit_that_fails_is_tried_again():
    """A failed commit is an event; the next checkpoint commits, and only the last one must."""
    answers = iter([OSError("the network is away"), None, OSError("again"), None])
    said = []

    def commit():
        if (answer := next(answers)) is not None:
            raise answer

    commits = _Commits(commit)
    commits.after_save(1, 1, lambda what, text, **facts: said.append(text))
    commits.after_save(2, 2, lambda what, text, **facts: said.append(text))
    commits.finish()
    assert said == [
        "the commit failed (OSError: the network is away); tried again at the next checkpoint"
    ]
    assert commits.done == 2


def test_a_commit_that_stalls_does_not_stop_the_run():
    """One without an answer is left behind; no second one is begun beside it; the end says so."""
    free, begun, said = threading.Event(), [], []

    def commit():
        begun.append(1)
        free.wait(60)

    commits = _Commits(commit, patience_s=0.05)
    note = lambda what, text, **facts: said.append(text)  # noqa: E731
    began = time.monotonic()
    commits.after_save(1, 1, note)
    commits.after_save(2, 2, note)
    with pytest.raises(ShadowboxError, match="the end of this session is not on the volume"):
        commits.finish()
    assert time.monotonic() - began < 5
    assert len(begun) == 1
    assert "gives no answer within 0.05 s" in said[0]
    assert "an earlier commit still gives no answer" in said[1]
    free.set()
    commits.finish()
    assert commits.done == 2


# ---- the function itself -------------------------------------------------------------------------


class Container:
    """A folder as a container's copy of a volume: what was not committed is gone with the container."""

    def __init__(self, root):
        self.place, self.kept, self.next = root / "place", root / "kept", root / "next"

    def begin(self):
        """A fresh container with what was committed."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.kept, self.place)

    def commit(self):
        """Replace what is kept, in one step."""
        shutil.rmtree(self.next, ignore_errors=True)
        shutil.copytree(self.place, self.next)
        old = self.kept.with_name("old")
        shutil.rmtree(old, ignore_errors=True)
        self.kept.rename(old)
        self.next.rename(self.kept)


def run_locally(spec, files, container, commit):
    """Run the app's function here, as Modal does without a container, and expect Modal's own warning."""
    job = launcher.build(spec, commit=commit)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = job.train.local(spec.to_json(), files, str(container.place))
    return found, [str(each.message) for each in warned]


@pytest.mark.slow
def test_killed_five_times_it_is_the_uninterrupted_run(project, capfd):
    """`.local()` trains, dies five times, three of them while it commits, and ends bit for bit the same."""
    container = Container(project / "volume")
    shutil.copytree("data", container.kept / "data")
    path = write_card()
    spec = make_spec(path, "modal", load)
    files = files_of(path)

    def dying(when, during):
        def commit():
            nonlocal when
            when -= 1
            if when == 0 and during:
                os.kill(os.getpid(), signal.SIGKILL)
            container.commit()
            if when == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        return commit

    for when, during in ((1, True), (2, False), (1, False), (2, True), (2, True)):
        container.begin()
        work = lambda when=when, during=during: run_locally(  # noqa: E731
            spec, files, container, dying(when, during)
        )
        assert ended(in_child(work)) == -signal.SIGKILL
    steps = [json.loads(line)["step"] for line in _lines(container.kept / "runs/job/0")]
    assert 0 < max(steps) < 60
    container.begin()

    def last():
        found, warned = run_locally(spec, files, container, container.commit)
        assert found["verdict"] == "passed"
        assert any("olume" in text for text in warned), warned

    assert ended(in_child(last)) == 0, capfd.readouterr().err
    ran(write_card("straight"))
    kept = container.kept / "runs/job/0"
    assert same(weights(kept), weights("runs/straight/0"))
    assert same(weights(kept, "best"), weights("runs/straight/0", "best"))
    assert figures(kept) == figures(Path("runs/straight/0"))
    resumed = [
        line for line in (kept / "events.jsonl").read_text().split("\n") if "resumed" in line
    ]
    assert len(resumed) >= 3


def _lines(run):
    return (run / "metrics.jsonl").read_text("utf-8").splitlines()


@pytest.mark.slow
def test_before_the_time_out_the_session_ends_and_the_next_goes_on(project):
    """A session pauses with a checkpoint on the volume, and an error by which Modal starts another."""
    path = write_card()
    spec = make_spec(path, "modal", load)
    place = project / "place"
    shutil.copytree("data", place / "data")
    short = read_spec({**spec.to_json(), "timeout_s": 2, "grace_s": 2})
    commits = []
    with pytest.raises(ShadowboxError, match=r"timeout: .* another session goes on with it"):
        run_session(short.to_json(), files_of(path), place, lambda: commits.append(1))
    facts = json.loads((place / "runs/job/0/run.json").read_text())
    assert (facts["status"], 0 < facts["step"] < 60) == ("stopped", True)
    assert commits
    found = run_session(spec.to_json(), files_of(path), place, lambda: commits.append(1))
    assert found["verdict"] == "passed"
    ran(write_card("straight"))
    assert same(weights(place / "runs/job/0"), weights("runs/straight/0"))


@pytest.mark.slow
def test_commits_follow_epochs_and_failures_are_in_the_log(project):
    """Each checkpoint is committed when it is whole, with best and latest; a failure is an event."""
    train = {k: v for k, v in CARD["set"]["train"].items() if k not in ("save_every", "steps")}
    path = write_card(set={**CARD["set"], "train": {**train, "epochs": 2, "validate_every": 0}})
    spec = make_spec(path, "modal", load)
    place = project / "place"
    shutil.copytree("data", place / "data")
    seen = []

    def commit():
        run = place / "runs/job/0"
        seen.append((json.loads((run / "run.json").read_text())["epoch"],
                     (run / "latest").exists(), (run / "best").exists()))  # fmt: skip
        if len(seen) == 1:
            raise OSError("away")

    run_session(spec.to_json(), files_of(path), place, commit)
    assert [epoch for epoch, *_ in seen] == [1, 2, 2]
    assert all(latest and best for _, latest, best in seen)
    events = (place / "runs/job/0/events.jsonl").read_text("utf-8")
    assert "the commit failed (OSError: away); tried again at the next checkpoint" in events


def test_a_card_from_outside_is_not_written(project):
    """Names that lead out of the job's folder are refused."""
    path = write_card()
    spec = make_spec(path, "modal", load)
    with pytest.raises(UsageError, match="leads out of the job's folder"):
        run_session(spec.to_json(), {"../x.md": ""}, project, io.StringIO)
