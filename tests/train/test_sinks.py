"""Other dashboards get every line, and can never stop a run."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import sqlite3
import struct
import time
import types
from html.parser import HTMLParser

import pytest
from apprentice import make_store, run
from ranks import together

from shadowbox import cli
from shadowbox.errors import UsageError, install_hint
from shadowbox.report.training import as_csv, as_page, draw
from shadowbox.train import sinks
from shadowbox.train.log import numbers, read_facts, read_lines

BLOCK, HEADER = 32 * 1024, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def records(data: bytes, start: int = HEADER):
    """Records of a log in LevelDB's framing: blocks of 32 KiB, pieces with checksum, length and kind."""
    at, pieces = start, []
    while at + HEADER <= len(data):
        room = BLOCK - at % BLOCK
        if room < HEADER:
            at += room
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0:
            break
        pieces.append(data[at + HEADER : at + HEADER + size])
        at += HEADER + size
        if kind in (FULL, LAST):
            yield b"".join(pieces)
            pieces = []


def expected(out):
    """What every sink must have: (kind, step, figure, value) of each line."""
    lines = read_lines(out / "metrics.jsonl")
    return {
        (line["kind"], line["step"], name): value for line in lines for name, value in numbers(line)
    }


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_every_row(store, tmp_path):
    """Every figure of every line is a scalar in the event files, at its step."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401  it brings the format
    from tensorboardX.proto.event_pb2 import Event

    run(store, tmp_path / "r", sinks=["tensorboard"], validate_every=10)
    found = {}
    for path in (tmp_path / "r" / "tensorboard").iterdir():
        data, at = path.read_bytes(), 0
        while at < len(data):  # length, its checksum, the event, its checksum
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                kind, _, name = value.tag.partition("/")
                found[kind, event.step, name] = value.simple_value
    wanted = expected(tmp_path / "r")
    assert found.keys() == wanted.keys()
    assert all(found[key] == pytest.approx(value, rel=1e-5) for key, value in wanted.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_has_every_row(store, tmp_path, monkeypatch):
    """The offline file of wandb holds a row of history for each line, with every figure.

    Nothing needs a network. Owner, project and tags are those of the card; the run's address there
    is in run.json before it is uploaded, and a resumed run goes on with the same run of wandb.
    """
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracking = {"entity": "a-team", "project": "a-project", "tags": ["policy", "imitation"]}

    def tracked(task):
        return dataclasses.replace(task, facts={**task.facts, "tracking": tracking})

    run(store, tmp_path / "r", sinks=["wandb"], validate_every=10, wrap=tracked)
    events = [
        event for event in read_lines(tmp_path / "r" / "events.jsonl") if event["event"] == "sink"
    ]
    assert not events
    (path,) = (tmp_path / "r" / "wandb").glob("offline-run-*/*.wandb")
    wanted = expected(tmp_path / "r")
    end = time.monotonic() + 60  # wandb writes in a process of its own
    while len((read := _read_wandb(path))[0]) < len(wanted) and time.monotonic() < end:
        time.sleep(0.2)
    found, begun = read
    assert found.keys() == wanted.keys()
    assert all(found[key] == pytest.approx(value) for key, value in wanted.items())
    assert (begun[0].entity, begun[0].project) == ("a-team", "a-project")
    assert list(begun[0].tags) == ["policy", "imitation"]
    page = json.loads((tmp_path / "r" / "run.json").read_text())["dashboards"]["wandb"]
    assert page["id"] == begun[0].run_id
    assert page["url"].endswith(f"/a-team/a-project/runs/{page['id']}")


def _read_wandb(path):
    """Figures and runs in a file of wandb."""
    from wandb.proto import wandb_internal_pb2

    found, begun = {}, []
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.WhichOneof("record_type") == "run":
            begun.append(record.run)
        if record.WhichOneof("record_type") == "history":
            row = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                kind, _, figure = name.partition("/")
                if kind in ("train", "val"):
                    found[kind, row["step"], figure] = value
    return found, begun


class Broken:
    """A sink that fails at its second line, and again when it is closed."""

    lines = 0

    def write(self, line):
        self.lines += 1
        if self.lines > 1:
            raise ConnectionError("the dashboard is away")

    def close(self):
        raise OSError("and stays away")


@pytest.mark.parametrize("when", ["importing", "building", "writing"])
def test_a_sink_never_stops_a_run(store, tmp_path, monkeypatch, when):
    """A sink that cannot be imported, start or write is left out with one line, and the run finishes."""

    def builder(name, out, facts, step):
        def build():
            if when == "importing":
                raise ModuleNotFoundError("No module named 'yaml'")
            if when == "building":
                raise SystemError("no")
            return Broken()

        return build

    monkeypatch.setattr(sinks, "builder", builder)
    result, said = run(store, tmp_path / "r", sinks=["wandb"])
    assert result.ended == "finished"
    assert said.count("wandb failed and is left out; the run goes on") == 1
    assert (
        len(
            [
                line
                for line in read_lines(tmp_path / "r" / "metrics.jsonl")
                if line["kind"] == "train"
            ]
        )
        == 6
    )


class Paged:
    """A sink with a page of the run."""

    page = types.MappingProxyType({"id": "x1", "url": "https://example.org/a-team/runs/x1"})

    def write(self, line):
        pass

    def close(self):
        pass


def test_the_address_of_a_run_is_in_its_card_and_on_its_page(project, monkeypatch):
    """A sink's page of the run is in run.json, in the results of the card, and on the run's page."""
    from promises import HEAD, games, ran, write

    from shadowbox.report.run import report
    from shadowbox.report.source import find_source

    monkeypatch.setattr(sinks, "builder", lambda *given: Paged)
    tracking = {"entity": "a-team", "tags": ["policy"]}
    train = {**HEAD["set"]["train"], "steps": 10, "sinks": ["tensorboard"]}
    path = write(set={**HEAD["set"], "train": train}, tracking=tracking)
    found, _ = ran(path)
    facts = read_facts(found.run / "0")
    assert facts["tracking"] == tracking
    assert facts["dashboards"] == {"tensorboard": dict(Paged.page)}
    assert found.to_json()["runs"][0]["dashboards"] == {"tensorboard": Paged.page["url"]}
    assert f"Dashboards: tensorboard: {Paged.page['url']}" in path.read_text("utf-8")
    assert f'href="{Paged.page["url"]}"' in report(find_source(str(found.run)), games, match=False)


def test_trackio_has_every_row(store, tmp_path, monkeypatch):
    """The database of trackio on this machine has every figure at its step; skipped where it is missing."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio")
    run(store, tmp_path / "r", sinks=["trackio"], validate_every=10)
    events = read_lines(tmp_path / "r" / "events.jsonl")
    assert not [event for event in events if event["event"] == "sink"]
    (path,) = (tmp_path / "trackio").glob("*.db")
    with contextlib.closing(sqlite3.connect(path)) as base:
        rows = base.execute("select step, metrics from metrics order by id").fetchall()
    found = {
        (*name.split("/", 1), step): value
        for step, text in rows
        for name, value in json.loads(text).items()
    }
    wanted = {
        (kind, name, step): value for (kind, step, name), value in expected(tmp_path / "r").items()
    }
    assert found == pytest.approx(wanted)


def test_a_missing_sink_is_refused(store, tmp_path, monkeypatch, capsys):
    """A sink asked for by name that is not installed ends the call with status 2 before any write."""
    installed = sinks.find_spec
    monkeypatch.setattr(
        sinks, "find_spec", lambda name: None if name == "wandb" else installed(name)
    )
    with pytest.raises(UsageError, match=re.escape(install_hint("wandb"))):
        run(store, tmp_path / "loop", sinks=["tensorboard", "wandb"])
    assert not (tmp_path / "loop").exists()
    assert train(store, tmp_path / "command") == 2
    err = capsys.readouterr().err
    assert err.startswith("shadowbox: sinks: wandb not installed: pip install ")
    assert err.count("\n") == 1
    assert not (tmp_path / "command").exists()


def test_a_missing_sink_is_refused_by_all_ranks(store, tmp_path, monkeypatch, capfd):
    """Both of two ranks end with status 2 where the first lacks the sink; one of them says so."""
    monkeypatch.setattr(sinks, "find_spec", lambda name: None if os.environ["RANK"] == "0" else 1)
    assert together(lambda rank: os._exit(train(store, tmp_path / "r"))) == [2, 2]
    assert capfd.readouterr().err.count("wandb not installed") == 1
    assert not (tmp_path / "r").exists()


def train(store, out):
    """The exit status of `shadowbox train --sink wandb`."""
    options = ["--steps", "2", "--length", "8", "--batch", "2", "--shares", "50/50/0"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", str(store.path), "--out", str(out), *options, "--sink", "wandb"])
    return stop.value.code


class Page(HTMLParser):
    """Counts what a page draws."""

    def __init__(self):
        super().__init__()
        self.curves, self.text = 0, []

    def handle_starttag(self, tag, attributes):
        self.curves += tag == "polyline"

    def handle_data(self, data):
        self.text.append(data)


def test_curves_come_from_the_log(store, tmp_path):
    """The table has every line and figure of the log.

    The page draws each figure, and baselines beside their score.
    """
    run(store, tmp_path / "r", validate_every=10)
    draw(tmp_path / "r")
    lines = read_lines(tmp_path / "r" / "metrics.jsonl")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r" / "curves.csv").read_text())))
    assert [row["step"] for row in rows] == [str(line["step"]) for line in lines]
    assert [float(row["loss"]) for row in rows] == [line["loss"] for line in lines]
    page = Page()
    page.feed((tmp_path / "r" / "curves.html").read_text())
    names = {name for line in lines for name in line} - {"kind", "step", "epoch", "wall"}
    assert page.curves >= len([name for name in names if not name.endswith((".low", ".high"))])
    assert "onset_f1_greedy" in page.text
    assert "markov" in page.text
    assert as_csv([]) == "\n"
    assert as_page("nothing", []).startswith("<!doctype html>")


def test_a_line_that_was_cut_is_not_there(tmp_path):
    """A log whose last line was cut off by a kill is read up to it.

    A log that is not there is empty.
    """
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_lines(tmp_path / "m.jsonl") == [{"step": 1}, {"step": 2}]
    assert read_lines(tmp_path / "none.jsonl") == []
