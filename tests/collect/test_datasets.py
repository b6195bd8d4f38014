"""Datasets of Minari and LeRobot: out and in again without a loss, and those of other programs."""

from __future__ import annotations

import json
import warnings

import h5py
import minari
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from shadowbox import cli
from shadowbox.collect.gym import record_gym
from shadowbox.core.episode import Episode
from shadowbox.core.game import EVENT
from shadowbox.core.schema import Choice, Flag, Group, Real, Schema
from shadowbox.data.store import Store
from shadowbox.data.write import Writer

KINDS = ["minari", "lerobot"]
DUEL = Schema(
    "duel",
    fps=60,
    state=(
        Group("match", (Choice("seed", 1 << 32, predict="no"), Choice("stage", 300))),
        Group("player", (Real("x"), Real("percent", store="f2"), Flag("ground")), 2, per="player"),
    ),
    controls=Group("pad", (Real("stick", low=-1, high=1), Flag("a")), 2, per="player"),
)


@pytest.fixture
def duel(tmp_path):
    """Store of two players with events, an absent column, a seed of 32 bits, controls to the end."""
    random = np.random.default_rng(1)
    with Writer(tmp_path / "duel", DUEL, event_kinds=("hit",)) as writer:
        for rows in (2, 40):
            columns = DUEL.neutral(rows)
            for key, column in DUEL.columns.items():
                shape, field = (rows, column.slots), column.field
                if field.kind == "real":
                    stored = random.uniform(-1, 1, shape).astype(field.store)
                    columns[key] = stored.astype(np.float32)
                else:
                    columns[key] = random.integers(0, field.limits[1] + 1, shape).astype(
                        column.dtype
                    )
            columns["match/seed"][:] = 4_294_967_291
            columns["player/percent"][:] = 0
            events = np.zeros(1, EVENT)
            events["frame"], events["other"], events["value"] = 1, 1, 3.5
            meta = {"players": ["me", "you"], "seed": rows}
            writer.add(Episode(columns, meta, events, frozenset({"player/percent"})))
    return tmp_path / "duel"


def call(arguments):
    """Exit status of a command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code or 0


def both_ways(store, kind, folder):
    """The store that comes back from a dataset of a kind, on the command line."""
    assert call(["store", "export", str(store), f"--{kind}", str(folder / "out-v0")]) == 0
    assert call(["ingest", kind, str(folder / "out-v0"), "--out", str(folder / "back")]) == 0
    return Store(folder / "back")


def same(one, other):
    """True if two stores hold the same episodes, but for where they came from."""
    said = [
        [
            {k: v for k, v in each.meta_of(n).items() if k not in ("source", "part")}
            for n in range(len(each))
        ]
        for each in (one, other)
    ]
    digests = [each.index["digest"].tobytes() for each in (one, other)]
    kinds = [each.manifest.event_kinds for each in (one, other)]
    return (
        one.schema == other.schema
        and digests[0] == digests[1]
        and said[0] == said[1]
        and (kinds[0] == kinds[1])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_episodes_come_back_bit_for_bit(duel, kind, tmp_path):
    """Rows, digests, events, metadata, absent columns and the schema are those that went out."""
    assert same(Store(duel), both_ways(duel, kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_episodes_of_an_environment_come_back_bit_for_bit(kind, tmp_path):
    """So do rewards and actions of an environment of Gymnasium."""
    record_gym("CartPole-v1", tmp_path / "cart", episodes=3, seed=5)
    assert same(Store(tmp_path / "cart"), both_ways(tmp_path / "cart", kind, tmp_path))


def test_minari_reads_what_we_write(duel, tmp_path, monkeypatch):
    """Minari itself finds the spaces, makes the environment, and sees the recorded values."""
    record_gym("CartPole-v1", tmp_path / "cart", episodes=2)
    for name in ("cart", "duel"):
        command = [
            "store",
            "export",
            str(tmp_path / name),
            "--minari",
            str(tmp_path / f"{name}-v0"),
        ]
        assert call(command) == 0
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    found = minari.load_dataset("cart-v0")
    env, recorded = found.recover_environment(), Store(tmp_path / "cart").episode(1)
    assert (found.action_space, found.observation_space) == (
        env.action_space,
        env.observation_space,
    )
    episode = found[1]
    seen = np.concatenate([recorded.columns[f"obs/value_{i}"] for i in range(4)], axis=1)
    assert np.array_equal(episode.observations, seen)
    assert np.array_equal(episode.actions, recorded.columns["action/value"][:-1, 0])
    assert episode.rewards.sum() == recorded.meta["result"]["return"]
    assert episode.terminations.tolist() == [False] * (recorded.frames - 1) + [True]
    flat = minari.load_dataset("duel-v0")[1]
    stick = Store(tmp_path / "duel").episode(1).columns["pad/stick"]
    assert np.array_equal(flat.actions[:, :2], stick[:-1])


def test_a_dataset_of_minari_comes_in(tmp_path, monkeypatch):
    """Nested spaces that Minari wrote become columns; its end, seed and return are kept."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "theirs"))
    steps, random = 9, np.random.default_rng(0)
    place = random.normal(size=(steps + 1, 3))
    buffer = EpisodeBuffer(
        id=0,
        seed=7,
        observations={
            "place": place,
            "kind": np.arange(steps + 1) % 4 + 1,
            "on": np.eye(steps + 1, 2, dtype=np.int8),
        },
        actions=(np.arange(steps) % 3, np.full((steps, 2), 0.5, np.float32)),
        rewards=list(np.arange(steps) + 1.0),
        terminations=[False] * (steps - 1) + [True],
        truncations=[False] * steps,
        infos={},
    )
    seen = {
        "place": spaces.Box(-np.inf, np.inf, (3,), np.float64),
        "kind": spaces.Discrete(4, start=1),
        "on": spaces.MultiBinary(2),
    }
    with warnings.catch_warnings(action="ignore"):  # no environment, author or code is named
        minari.create_dataset_from_buffers(
            "me/odd-v0",
            [buffer],
            observation_space=spaces.Dict(seen),
            action_space=spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32))),
        )
    assert call(["ingest", "minari", "me/odd-v0", "--out", str(tmp_path / "in")]) == 0
    episode = Store(tmp_path / "in").episode(0)
    assert np.array_equal(episode.columns["obs_place/value"], place.astype(np.float32))
    assert episode.columns["obs_kind/value"][:, 0].tolist() == (np.arange(10) % 4).tolist()
    assert episode.columns["action/part_0"][:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert episode.columns["step/reward"][:, 0].tolist() == list(range(10))
    assert episode.meta["seed"] == 7
    assert episode.meta["result"]["return"] == 45.0


def lerobot_v21(folder, lengths=(5, 7), **other):
    """A dataset of version 2.1 as LeRobot lays it out: a file for each episode, and a camera."""
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta").mkdir()
    for number, length in enumerate(lengths):
        rows = np.arange(length)
        state = pyarrow.array(
            [[float(t), t / 2] for t in rows], pyarrow.list_(pyarrow.float32(), 2)
        )
        columns = {"observation.state": state, "action": [[-float(t)] for t in rows]}
        columns |= {
            "next.reward": rows.astype(np.float32),
            "episode_index": np.full(length, number),
        }
        table = pyarrow.table(
            {k: v for k, v in columns.items() if k not in other.get("without", ())}
        )
        pyarrow.parquet.write_table(table, folder / f"data/chunk-000/episode_{number:06d}.parquet")
    features = {
        "observation.state": {
            "dtype": "float32",
            "shape": [2],
            "names": {"motors": ["Arm", "grip.pos"]},
        },
        "observation.images.top": {"dtype": "video", "shape": [3, 96, 96], "names": None},
        "action": {"dtype": "float32", "shape": [1], "names": None},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
    }
    info = {"codebase_version": "v2.1", "fps": 30, "features": features, **other.get("info", {})}
    (folder / "meta/info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def test_a_dataset_of_lerobot_comes_in(tmp_path, capsys):
    """Vectors of numbers become fields with their names; cameras are left out, and named."""
    source = lerobot_v21(tmp_path / "arm")
    assert call(["ingest", "lerobot", str(source), "--out", str(tmp_path / "in")]) == 0
    assert "observation.images.top" in capsys.readouterr().out
    store = Store(tmp_path / "in")
    assert [store.meta_of(n)["result"]["return"] for n in range(2)] == [10.0, 21.0]
    columns = store.episode(0).columns
    assert list(columns) == [
        "obs_state/arm", "obs_state/grip_pos", "step/reward", "action/value_0",
    ]  # fmt: skip
    assert columns["obs_state/grip_pos"][:, 0].tolist() == [0, 0.5, 1, 1.5, 2]
    assert columns["step/reward"][:, 0].tolist() == [0, 0, 1, 2, 3]  # of arriving there
    assert columns["action/value_0"][:, 0].tolist() == [0, -1, -2, -3, 0]  # the last led nowhere


def no_action(folder):
    """Leave a feature out."""
    lerobot_v21(
        folder, info={"features": {"observation.state": {"dtype": "float32", "shape": [2]}}}
    )


def no_column(folder):
    """Leave a column out."""
    lerobot_v21(folder, without=("action",))


def wrong_version(folder):
    """Name a version to come."""
    lerobot_v21(folder, info={"codebase_version": "v9.9"})


def huge_vector(folder):
    """Declare a vector of 4 TB."""
    lerobot_v21(folder, info={"features": {"action": {"dtype": "float32", "shape": [1 << 40]}}})


def wrong_width(folder):
    """Declare other widths than there are."""
    vector = {"dtype": "float32", "shape": [3], "names": None}
    lerobot_v21(folder, info={"features": {"observation.state": vector, "action": vector}})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_action, "lacks action"),
        (no_column, "lacks the columns action"),
        (wrong_version, "v9.9"),
        (huge_vector, "lacks action and observation.*"),
        (wrong_width, "expected 3 each"),
    ],
)
def test_a_damaged_dataset_of_lerobot_is_refused(damage, words, tmp_path, capsys):
    """The message names the file and what it lacks."""
    damage(tmp_path / "bad")
    assert call(["ingest", "lerobot", str(tmp_path / "bad"), "--out", str(tmp_path / "in")]) != 0
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert "internal error" not in said.out


def linked(group, outside):
    """Take the actions from another file."""
    del group["actions"]
    group["actions"] = h5py.ExternalLink(str(outside), "secret")


def pickled(group, _):
    """Store actions as objects."""
    del group["actions"]
    group.create_dataset("actions", data=np.array([b"cos\nsystem"], dtype=h5py.string_dtype()))


def bomb(group, _):
    """Declare rewards of 8 TB."""
    del group["rewards"]
    group.create_dataset(
        "rewards", shape=(1 << 40,), dtype="f8", chunks=(1024,), compression="gzip"
    )


def missing(group, _):
    """Leave the observations out."""
    del group["observations"]


def swapped(group, _):
    """Cut our own entry."""
    values = group["shadowbox"][()]
    del group["shadowbox"]
    group.create_dataset("shadowbox", data=values[:-3])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (linked, "lacks 'actions'"),
        (pickled, "'actions' is not an array of numbers"),
        (bomb, "'rewards' has 1,099,511,627,776 rows"),
        (missing, "lacks 'observations'"),
        (swapped, "is damaged"),
    ],
)
def test_a_damaged_dataset_of_minari_is_refused(duel, damage, words, tmp_path, capsys):
    """Links to other files, objects and sizes that cannot be are refused before they are read."""
    call(["store", "export", str(duel), "--minari", str(tmp_path / "bad-v0")])
    with h5py.File(tmp_path / "outside.hdf5", "w") as outside:
        outside["secret"] = np.zeros((1, 4))
    with h5py.File(tmp_path / "bad-v0/data/main_data.hdf5", "a") as file:
        damage(file["episode_0"], tmp_path / "outside.hdf5")
    assert call(["ingest", "minari", str(tmp_path / "bad-v0"), "--out", str(tmp_path / "in")]) != 0
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert "internal error" not in said.out


def test_a_folder_is_whole_or_not_there(duel, tmp_path, capsys):
    """A folder that exists is not written over, and a name that Minari cannot load is refused."""
    (tmp_path / "there-v0").mkdir()
    for name, words in (("there-v0", "exists already"), ("mine", "mine-v0")):
        out = tmp_path / name
        assert call(["store", "export", str(duel), "--minari", str(out)]) != 0
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
