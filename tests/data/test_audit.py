"""Audits of stores whose figures can be counted by hand."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import TOY, random_episode

from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.data import audit_rows
from shadowbox.data import baseline_scores as scores_of
from shadowbox.data.audit import audit, column_notes, duplicates, warnings
from shadowbox.data.audit_rows import blocks
from shadowbox.data.baseline_scores import baseline_scores, value_range
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer

SMALL = Schema(
    "small",
    fps=10,
    state=(
        Group("g", (Real("x", unit="m", low=-99, high=99), Choice("mode", 4), Flag("lit"))),
        Group("item", (Flag("alive"), Real("y", low=-9, high=9)), slots=2, mask="alive"),
    ),
    controls=Group("pad", (Flag("a"), Real("stick", low=-1, high=1)), slots=2, per="player"),
)


def episode(rows: int, absent: tuple[str, ...] = (), events: int = 0, **columns: object) -> Episode:
    """Episode of zeros but for these columns ("g__x" for "g/x").

    A flat list gives every slot the same numbers.
    """
    made = SMALL.neutral(rows)
    for name, values in columns.items():
        key = name.replace("__", "/")
        array = np.asarray(values, made[key].dtype)
        made[key][:] = array[:, None] if array.ndim == 1 else array
    happened = np.zeros(events, EVENT)
    happened["kind"] = np.arange(events) % 3
    return Episode(made, {"rows": rows}, happened, frozenset(absent))


def stored(path: Path, *episodes: Episode, **options: object) -> Store:
    """Store of these episodes."""
    with Writer(path, SMALL, **options) as writer:
        for one in episodes:
            writer.add(one)
    return Store(path)


def score(store: Store, key: str, name: str) -> float:
    """Score of a baseline."""
    return baseline_scores(store)["columns"][key][name]["value"]


# ---- sizes ---------------------------------------------------------------------------------------


def test_sizes_are_counted(tmp_path: Path) -> None:
    """Frames are decisions, seconds follow from fps, and events are counted by kind."""
    store = stored(
        tmp_path / "s",
        episode(11, events=4),
        episode(31, events=1),
        event_kinds=("hit", "fall", "win"),
    )
    report = audit(store, Split(1, 0, 0))
    assert (report["episodes"], report["frames"], report["seconds"]) == (2, 40, 4.0)
    assert (report["shortest"], report["longest"], report["shards"]) == (10, 30, 1)
    assert report["events"] == {"hit": 3, "fall": 1, "win": 1}
    assert report["split"]["train"] == {"episodes": 2, "frames": 40}
    assert report["split"]["test"] == {"episodes": 0, "frames": 0}
    files = [path for path in (tmp_path / "s").iterdir() if path.name.startswith("0")]
    assert report["bytes"] == sum(path.stat().st_size for path in files)
    assert report["bytes_per_frame"] == report["bytes"] / 40
    assert report["row_bytes"] == SMALL.row_dtype.itemsize
    assert report["memory"]["bytes"] == 42 * SMALL.row_dtype.itemsize
    assert report["memory"]["fits"]
    assert (report["facts_hash"], report["fingerprint"]) == (SMALL.facts_hash, store.fingerprint)
    json.dumps(report, allow_nan=False)


def test_events_without_names_are_counted_by_number(tmp_path: Path) -> None:
    """Events of a store without names for their kinds are counted by number."""
    assert audit(stored(tmp_path / "s", episode(11, events=4)))["events"] == {
        "0": 2,
        "1": 1,
        "2": 1,
    }


def test_an_empty_store_has_an_audit(tmp_path: Path) -> None:
    """An empty store has an audit, with None for figures that nothing defines."""
    report = audit(stored(tmp_path / "s"))
    assert (report["episodes"], report["frames"], report["longest"], report["bytes_per_frame"]) == (
        0,
        0,
        0,
        None,
    )
    assert report["columns"]["g/x"]["mean"] is None
    json.dumps(report, allow_nan=False)


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    """The last report of progress says that all rows are done."""
    seen: list[tuple[int, int]] = []
    audit(
        stored(tmp_path / "s", episode(11), episode(5)),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (16, 16)


def test_blocks_are_whole_episodes(tmp_path: Path) -> None:
    """Blocks hold whole episodes; one longer than a block comes in parts. Together they are all."""
    store = stored(
        tmp_path / "s", *(episode(5 + i, g__x=np.arange(5 + i) + 10 * i) for i in range(6))
    )
    for rows in (1, 7, 12, 1000):
        parts = list(blocks(store, range(6), rows))
        joined = np.concatenate([part.columns["g/x"][part.own] for part in parts])
        np.testing.assert_array_equal(joined, np.concatenate([one.columns["g/x"] for one in store]))
        assert sum(int(part.decided().sum()) for part in parts) == len(joined) - 6
        if rows > 10:
            assert sum(len(part.starts) for part in parts) == 6
        assert max(part.rows for part in parts) <= max(rows + 2, 2 * rows)


def test_parts_change_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit in parts of a few rows gives the figures of one that holds everything at once."""
    with Writer(tmp_path / "s", TOY) as writer:
        for seed in range(4):
            one = random_episode(TOY, 40 + seed, seed)
            if seed == 2:
                one.columns["stage/wind"][:] = 0
                one = dataclasses.replace(one, absent=frozenset({"stage/wind"}))
            writer.add(one)
    store = Store(tmp_path / "s")
    whole = audit(store)
    monkeypatch.setattr(audit_rows, "BLOCK_ROWS", 7)
    for name, value in audit(store).items():
        assert _close(value, whole[name]), name


def _close(found: object, wanted: object) -> bool:
    """Equal, but for the last digits of sums in another order."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_close(found[k], wanted[k]) for k in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_close, found, wanted))
    return found == (pytest.approx(wanted, rel=1e-6) if isinstance(wanted, float) else wanted)


def test_a_long_episode_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit of one long episode holds a fraction of it in memory."""
    rows = 60_000
    store = stored(tmp_path / "s", episode(rows, g__x=np.arange(rows) % 50))
    monkeypatch.setattr(audit_rows, "BLOCK_ROWS", 1000)
    monkeypatch.setattr(scores_of, "BASELINE_ROWS", 5000)
    tracemalloc.start()
    found = audit(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["frames"] == rows - 1
    assert peak < 0.5 * rows * SMALL.row_dtype.itemsize, peak


# ---- columns -------------------------------------------------------------------------------------


def test_values_that_are_not_allowed_are_counted_and_left_out(tmp_path: Path) -> None:
    """NaN and values out of range are counted and warned of, and change no other figure."""
    store = stored(tmp_path / "s", episode(11, g__x=np.arange(11)))
    sound = audit(store)
    path = tmp_path / "s" / "00000.rows.npy"
    header, rows = path.stat().st_size - store.shards[0].rows.nbytes, np.array(store.shards[0].rows)
    rows["g/x"][[2, 3], 0] = np.nan, np.inf
    path.write_bytes(path.read_bytes()[:header] + rows.tobytes())
    report = audit(Store(tmp_path / "s"))
    column = report["columns"]["g/x"]
    assert (column["forbidden"], column["min"], column["max"]) == (2, 0.0, 10.0)
    assert column["mean"] == pytest.approx((55 - 5) / 9)
    assert column["invalid"] == pytest.approx(2 / 11)
    assert column_notes(column) == "2 values not finite or out of range"
    assert warnings(report) == [
        "warning: g/x holds 2 values that are not finite or out of range; "
        "they are left out of its figures"
    ]
    assert warnings(sound) == []
    json.dumps(report, allow_nan=False)


def test_columns_by_hand(tmp_path: Path) -> None:
    """Minimum, mean, maximum and share of zeros are those of all episodes together."""
    report = audit(
        stored(
            tmp_path / "s",
            episode(4, g__x=[0, -2, 6, 0], g__mode=[1, 2, 3, 0]),
            episode(2, g__x=[8, 6]),
        )
    )
    x = report["columns"]["g/x"]
    assert (x["min"], x["max"], x["mean"], x["zeros"]) == (-2, 8, 3.0, pytest.approx(2 / 6))
    assert (x["kind"], x["unit"], x["constant"], x["dead"], x["invalid"]) == (
        "real",
        "m",
        False,
        False,
        0,
    )
    mode = report["columns"]["g/mode"]
    # categories have no meaningful mean
    assert (mode["min"], mode["max"], mode["mean"]) == (0, 3, None)


def test_unused_slots_are_not_counted(tmp_path: Path) -> None:
    """Values of an item that is not alive are not counted; its mask always is."""
    alive = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
    report = audit(
        stored(
            tmp_path / "s",
            episode(4, item__alive=alive, item__y=alive * [[3, 0], [5, 0], [0, 0], [0, 4]]),
        )
    )
    y = report["columns"]["item/y"]
    assert (y["min"], y["max"], y["mean"], y["zeros"], y["invalid"]) == (
        3,
        5,
        4,
        0,
        pytest.approx(5 / 8),
    )
    assert report["columns"]["item/alive"]["mean"] == pytest.approx(3 / 8)
    assert report["columns"]["item/alive"]["invalid"] == 0


def test_absent_columns_are_not_counted(tmp_path: Path) -> None:
    """Zeros of a recording without the column are not counted; values of other recordings are."""
    report = audit(
        stored(tmp_path / "s", episode(4, g__x=[2, 4, 2, 4]), episode(12, absent=("g/x", "g/lit")))
    )
    x = report["columns"]["g/x"]
    assert (x["min"], x["mean"], x["zeros"], x["invalid"]) == (2, 3, 0, pytest.approx(12 / 16))
    assert not x["constant"]


def test_absent_masked_columns_are_not_counted(tmp_path: Path) -> None:
    """A column that is absent in one episode and masked in another counts the remaining values."""
    one = episode(2, item__alive=[[1, 0], [1, 0]], item__y=[[5, 0], [7, 0]])
    other = episode(2, absent=("item/y",), item__alive=[[1, 1], [1, 1]])
    y = audit(stored(tmp_path / "s", one, other))["columns"]["item/y"]
    assert (y["min"], y["max"], y["mean"], y["invalid"]) == (5, 7, 6, pytest.approx(6 / 8))


def test_a_column_that_no_recording_had_is_absent(tmp_path: Path) -> None:
    """A column that no recording had is absent, not dead."""
    x = audit(stored(tmp_path / "s", episode(4, absent=("g/x",))))["columns"]["g/x"]
    assert (x["min"], x["mean"], x["max"], x["zeros"], x["invalid"]) == (None, None, None, None, 1)
    assert not x["constant"]
    assert column_notes(x) == "absent"


def test_dead_and_constant_columns_are_named(tmp_path: Path) -> None:
    """A column that is always zero is dead, one that is always the same is constant."""
    columns = audit(stored(tmp_path / "s", episode(4, g__x=[7, 7, 7, 7], g__mode=[0, 0, 0, 1])))[
        "columns"
    ]
    assert column_notes(columns["g/x"]) == "constant"
    assert column_notes(columns["g/lit"]) == "dead: always 0"
    assert column_notes(columns["g/mode"]) == ""


# ---- presses -------------------------------------------------------------------------------------


def test_presses_by_hand(tmp_path: Path) -> None:
    """Press rate, onset rate, onsets and hold length are per player and over decisions.

    An episode that begins with a key down begins with an onset.
    """
    # the last row decides nothing
    first = np.array([[0, 1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]]).T
    second = np.array([[1, 1, 0, 0, 1], [0, 0, 1, 0, 0]]).T  # begins pressed: an onset
    controls = audit(stored(tmp_path / "s", episode(7, pad__a=first), episode(5, pad__a=second)))[
        "controls"
    ]
    assert list(controls) == ["pad/a"]  # reals have no presses
    one, two = controls["pad/a"]
    assert one == {"press_rate": 6 / 10, "onset_rate": 3 / 10, "onsets": 3, "hold_frames": 2.0}
    assert two == {"press_rate": 1 / 10, "onset_rate": 1 / 10, "onsets": 1, "hold_frames": 1.0}


def test_a_press_on_the_last_row_is_none(tmp_path: Path) -> None:
    """A press on the last row is not counted, because it led to no state."""
    one, _ = audit(stored(tmp_path / "s", episode(4, pad__a=[0, 0, 0, 1])))["controls"]["pad/a"]
    assert one == {"press_rate": 0, "onset_rate": 0, "onsets": 0, "hold_frames": None}


def test_a_press_does_not_go_on_in_the_next_episode(tmp_path: Path) -> None:
    """A key held at one episode's end and at the next one's beginning was pressed twice."""
    one, _ = audit(
        stored(tmp_path / "s", episode(3, pad__a=[1, 1, 1]), episode(3, pad__a=[1, 1, 1]))
    )["controls"]["pad/a"]
    assert (one["onsets"], one["hold_frames"], one["press_rate"]) == (2, 2, 1)


def test_absent_controls_are_not_counted(tmp_path: Path) -> None:
    """A recording without a key does not lower the press rate of that key."""
    pressed, without = episode(5, pad__a=[1, 0, 1, 0, 0]), episode(5, absent=("pad/a",))
    one, _ = audit(stored(tmp_path / "s", pressed, without))["controls"]["pad/a"]
    assert (one["press_rate"], one["onset_rate"], one["hold_frames"]) == (0.5, 0.5, 1)


# ---- duplicates ----------------------------------------------------------------------------------


def test_duplicates_are_found(tmp_path: Path) -> None:
    """Episodes of equal content are a group, whatever their metadata is.

    Other events or other absent columns are other content.
    """
    plain, other = episode(5, g__x=[1, 2, 3, 4, 5]), episode(5, g__x=[1, 2, 3, 4, 6])
    renamed = dataclasses.replace(plain, meta={"name": "again"})
    eventful = dataclasses.replace(plain, events=np.zeros(1, EVENT))
    absent = dataclasses.replace(plain, absent=frozenset({"g/lit"}))
    store = stored(tmp_path / "s", plain, other, renamed, eventful, absent, other, plain, eventful)
    assert duplicates(store) == [[0, 2, 6], [1, 5], [3, 7]]
    assert audit(store)["duplicates"] == [[0, 2, 6], [1, 5], [3, 7]]
    assert duplicates(stored(tmp_path / "t", plain, other)) == []


# ---- what costs nothing --------------------------------------------------------------------------


def test_holding_is_perfect_where_nothing_changes(tmp_path: Path) -> None:
    """Baselines have no error on a constant real, and accuracy 1 on constant flags and choices."""
    store = stored(
        tmp_path / "s",
        *(episode(9, g__x=[7] * 9, g__mode=[2] * 9, g__lit=[1] * 9) for _ in range(2)),
    )
    assert (
        score(store, "g/x", "copy_last")
        == score(store, "g/x", "constant_velocity")
        == score(store, "g/x", "look_up")
        == 0
    )
    for key in ("g/mode", "g/lit"):
        assert score(store, key, "copy_last") == score(store, key, "look_up") == 1


def test_constant_velocity_is_exact_on_a_ramp(tmp_path: Path) -> None:
    """Constant velocity has no error on a ramp but for its first frame, where it copies.

    Copying the last value is always one step behind.
    """
    ramp = np.arange(11) * 2.0
    store = stored(
        tmp_path / "s",
        episode(11, g__x=ramp),
        episode(11, g__x=ramp),
        episode(11, g__x=-ramp),
        episode(11, g__x=-ramp),
    )
    assert score(store, "g/x", "copy_last") == 2
    assert score(store, "g/x", "constant_velocity") == pytest.approx(2 / 10)


def test_scores_do_not_cross_episodes(tmp_path: Path) -> None:
    """Two constant episodes with different values give no error at the boundary."""
    store = stored(
        tmp_path / "s", *(episode(5, g__x=[10 * i] * 5, g__mode=[i] * 5) for i in (0, 1, 2, 3))
    )
    for name in ("copy_last", "constant_velocity"):
        assert score(store, "g/x", name) == 0
    assert score(store, "g/mode", "copy_last") == 1


def test_never_pressing_is_right_as_often_as_nobody_presses(tmp_path: Path) -> None:
    """The accuracy of never_press is the share of frames t + 1 without a press; controls only."""
    store = stored(tmp_path / "s", episode(5), episode(5, pad__a=[1, 0, 0, 1, 0]))
    assert score(store, "pad/a", "never_press") == 3 / 4
    assert "never_press" not in baseline_scores(store)["columns"]["g/lit"]


def test_the_table_learns_from_one_half_and_is_scored_on_the_other(tmp_path: Path) -> None:
    """A cycle in even episodes is predicted in odd ones, where copy_last is always wrong."""
    cycle = np.arange(13) % 4
    store = stored(tmp_path / "s", episode(13, g__mode=cycle), episode(13, g__mode=cycle))
    scores = baseline_scores(store)
    assert (scores["episodes"], scores["fitted_on"]) == (1, 1)
    assert scores["columns"]["g/mode"]["look_up"]["value"] == 1
    assert scores["columns"]["g/mode"]["copy_last"]["value"] == 0
    backwards = stored(tmp_path / "t", episode(13, g__mode=cycle), episode(13, g__mode=cycle[::-1]))
    assert score(backwards, "g/mode", "look_up") == 0


def test_one_episode_has_no_table_and_no_interval(tmp_path: Path) -> None:
    """A single episode is scored without a look-up table and without an interval."""
    scores = baseline_scores(stored(tmp_path / "s", episode(9, g__x=np.arange(9))))
    assert (scores["episodes"], scores["fitted_on"]) == (1, 0)
    assert "look_up" not in scores["columns"]["g/x"]
    score = scores["columns"]["g/x"]["copy_last"]
    assert (score["value"], score["low"], score["high"]) == (1, None, None)
    assert value_range(score) == ""


def test_intervals_are_over_episodes(tmp_path: Path) -> None:
    """Episodes with different errors give an interval around their common score."""
    store = stored(tmp_path / "s", *(episode(9, g__x=np.arange(9) * (i % 4)) for i in range(20)))
    score = baseline_scores(store)["columns"]["g/x"]["copy_last"]
    assert score["value"] == 2  # odd episodes rise by 1 and by 3
    assert 1 < score["low"] < 2 < score["high"] < 3
    assert value_range(score) == f"{score['low']:.4g} .. {score['high']:.4g}"


def test_given_columns_are_not_scored(tmp_path: Path) -> None:
    """A column that no model predicts has no baseline."""
    with Writer(tmp_path / "s", TOY) as writer:
        writer.add(random_episode(TOY, 9))
    columns = baseline_scores(Store(tmp_path / "s"))["columns"]
    assert "stage/id" not in columns
    assert "player/x" in columns


def test_a_value_that_its_mask_hides_is_not_scored(tmp_path: Path) -> None:
    """The frame in which an item disappears is not scored for the item's columns."""
    alive = np.array([1, 1, 1, 1, 0, 0, 0, 1, 1])
    store = stored(
        tmp_path / "s", *(episode(9, item__alive=alive, item__y=5 * alive) for _ in range(2))
    )
    assert score(store, "item/y", "copy_last") == 0


def test_absent_columns_are_not_scored(tmp_path: Path) -> None:
    """Zeros of recordings without the column do not improve a baseline's score."""
    ramp = np.arange(9)
    store = stored(
        tmp_path / "s",
        episode(9, g__x=ramp),
        episode(9, g__x=ramp),
        episode(9, g__x=ramp),
        episode(9, absent=("g/x",)),
    )
    assert score(store, "g/x", "copy_last") == 1


def test_a_table_learns_nothing_from_absent_columns(tmp_path: Path) -> None:
    """A look-up table is fitted on the recordings that have the column."""
    ramp = np.arange(9)
    with_x, without = episode(9, g__x=ramp), episode(9, absent=("g/x",))
    store = stored(tmp_path / "s", with_x, with_x, without, with_x)
    assert score(store, "g/x", "look_up") == 0
