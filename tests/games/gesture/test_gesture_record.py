"""`record gesture`: sessions of synthetic people in a store, its split by person, and its audit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from older_npz import at_frames, made

from shadowbox.cli import main
from shadowbox.collect.sources import record_sessions
from shadowbox.core.episode import Episode
from shadowbox.data.audit import audit, rare_presses, warnings
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.games.gesture.recording import _Session, episodes_of
from shadowbox.games.gesture.schema import SCHEMA

GAME = load("gesture")


def status_of(*arguments) -> int:
    """Exit status of a call of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Six sessions of three people, 40 seconds each."""
    out = tmp_path_factory.mktemp("gesture") / "store"
    options = {"people": 3, "seconds": 40.0}
    record_sessions(GAME, "synthetic", 6, out, seed=4, options=options)
    return Store(out, SCHEMA)


def test_record_makes_a_store_of_several_people(tmp_path, capsys):
    """The command records sessions of several people; the same call gives the same episodes."""
    out = tmp_path / "s"
    call = ["record", "gesture", "--matches", "3", "--set", "people=2", "--set", "seconds=6"]
    for name in ("one", "two"):
        assert status_of(*call, "--out", out / name, "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["people"], facts["sessions"], facts["source"]) == (2, 3, "synthetic")
    one, two = Store(out / "one", SCHEMA), Store(out / "two", SCHEMA)
    assert one.index["digest"].tolist() == two.index["digest"].tolist()
    assert status_of(*call, "--out", out / "one", "--set", "poeple=2") == 2
    assert "people" in capsys.readouterr().err
    assert status_of(*call, "--out", out / "one", "--p0", "x") == 2


def test_an_interrupted_record_goes_on(store, tmp_path):
    """With `resume` only the missing sessions are recorded, and another call is refused."""
    options = {"people": 3, "seconds": 40.0}
    call = store.manifest.made["record"]
    with Writer(tmp_path / "s", SCHEMA, made={"record": call}) as writer:
        for number in range(len(store)):
            if store.meta_of(number)["number"] < 4:
                writer.add(store.episode(number))
    facts = record_sessions(
        GAME, "synthetic", 6, tmp_path / "s", seed=4, options=options, resume=True
    )
    again = Store(tmp_path / "s", SCHEMA)
    assert 2 <= facts["episodes"] <= 4
    assert again.index["digest"].tolist() == store.index["digest"].tolist()
    with pytest.raises(UsageError, match="recorded by another call"):
        record_sessions(GAME, "synthetic", 6, tmp_path / "s", seed=5, options=options, resume=True)


def test_people_stay_on_one_side_of_a_split(store):
    """Split by person, no person is on two sides; split by session, no session is."""
    for key, many in (("person", 3), ("session", 6)):
        sides = Split(0.5, 0.25, 0.25, key=key, seed=1).sides(store)
        where = {}
        for number, side in enumerate(sides.tolist()):
            where.setdefault(store.meta_of(number)[key], set()).add(side)
        assert len(where) == many
        assert all(len(each) == 1 for each in where.values())


def test_the_audit_warns_of_rare_controls_and_not_of_leaks(store):
    """Few sessions give few swaps; the game's state, a frame late, gives no label away."""
    facts = audit(store)
    assert facts["leaks"] == {}
    assert warnings(facts) == []
    (text,) = rare_presses(facts)
    assert "fewer than 20 presses, too few to learn from: " in text
    assert "control/swap_offhand" in text
    assert "control/move_forward" not in text


def test_the_audit_finds_labels_in_the_state(tmp_path):
    """A state that is as new as its keys gives sprint and sneak away."""
    session = made(60.0, number=1)
    (episode, *_) = episodes_of(session)
    columns = dict(episode.columns)
    for name, key in (("sprinting", "sprint"), ("sneaking", "sneak")):
        columns[f"game/{name}"] = columns[f"control/{key}"]
    with Writer(tmp_path / "s", SCHEMA) as writer:
        for part in range(6):  # enough presses
            writer.add(Episode(columns, {"part": part}))
    leaks = audit(Store(tmp_path / "s"))["leaks"]
    assert leaks["control/sprint"] == ["game/sprinting"]
    assert leaks["control/sneak"] == ["game/sneaking"]


def test_the_audit_repeats_what_a_reader_noticed(tmp_path):
    """A body that is late, and a camera that slows down, are named with their figures."""
    session = made(60.0, number=2)
    frames = session.frames
    slow = np.concatenate([np.arange(600), np.arange(600, len(frames), 2)])
    late = _Session(
        frames.part(slow),
        session.control_times - 0.4,
        session.controls,
        session.game_times,
        session.game,
        session.meta,
    )
    with Writer(tmp_path / "s", SCHEMA) as writer:
        for episode in episodes_of(late):
            writer.add(episode)
    text = "\n".join(warnings(audit(Store(tmp_path / "s"))))
    assert "the body follows the keys by 0.3" in text or "the body follows the keys by 0.4" in text
    assert "the camera's rate drifts from" in text
    assert at_frames(session)["frames"].shape[1] == 260
