"""Live games without Dolphin: columns agree with the game's replay, and pressed keys arrive."""

from __future__ import annotations

import configparser

import numpy as np
import pytest
from made_matches import match
from made_replays import made

from shadowbox.errors import RecordingError, ShadowboxError, UsageError
from shadowbox.games.melee import slp
from shadowbox.games.melee.dolphin import world
from shadowbox.games.melee.export import replay_of
from shadowbox.games.melee.live.menus import STAGES, menus
from shadowbox.games.melee.live.world import DolphinWorld, press
from shadowbox.games.melee.names import DREAM_LAND, FOUNTAIN
from shadowbox.games.melee.rows import rows_of
from shadowbox.games.melee.schema import SCHEMA
from shadowbox.games.melee.slp.read import HEAD
from shadowbox.games.melee.slp.stream import EventStream

ITEMS = [(0, 5, 60, 54, 0), (1, 20, 10, 79, 1), (1, 40, 30, 210, 2), (2, 22, 70, 74, 0)]
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def frames_of(content):
    """Events of a file in portions: list and start, then one portion a frame, then the end."""
    raw = content[15 : 15 + int.from_bytes(content[11:15], "big")]
    sizes = {raw[i]: int.from_bytes(raw[i + 1 : i + 3], "big") for i in range(2, raw[1] + 1, 3)} | {
        0x35: raw[1]
    }
    at, portions = 0, [b""]
    while at < len(raw):
        size = 1 + sizes[raw[at]]
        if raw[at] in (0x3A, 0x39):
            portions.append(b"")
        portions[-1] += raw[at : at + size]
        at += size
    return portions


def same_as_offline(columns, offline, row):
    """Assert that every state column equals that of a row of the file, bit for bit."""
    for key in SCHEMA.state_keys:
        expected = offline[key][row : row + 1]
        np.testing.assert_array_equal(
            columns[key], expected.astype(columns[key].dtype), err_msg=f"{key}, row {row}"
        )


@pytest.mark.parametrize("stage", [31, FOUNTAIN, DREAM_LAND])
def test_a_stream_agrees_with_the_finished_file(stage):
    """Each streamed frame has the columns of the finished replay, with items and platforms."""
    content = slp.write(replay_of(match(frames=150, stage=stage, items=ITEMS)))
    offline = rows_of(slp.read(content)).columns
    stream, row = EventStream(), 0
    for portion in frames_of(content):
        stream.feed(portion)
        if stream.frame is None or stream.frame < -38 or stream.over:
            continue
        row += 1
        live = rows_of(stream.replay(2)).columns
        same_as_offline({key: live[key][-1:] for key in SCHEMA.state_keys}, offline, row)
    assert row == len(offline["stage/clock"]) - 1
    assert stream.over


def test_a_stream_follows_rollbacks():
    """After a rollback, the stream drops the frames that the game plays again."""
    content = slp.write(made((3, 12, 0), frames=120, rollbacks=30, items=1))
    last = slp.read(content)
    stream = EventStream()
    for portion in frames_of(content):
        stream.feed(portion)
        if stream.frame is not None:
            replay = stream.replay(8)
            assert replay.frames.tolist() == list(range(int(replay.frames[0]), stream.frame + 1))
    assert replay.post[1, False].tobytes() == last.post[1, False][-8:].tobytes()
    assert sorted(replay.item["spawn"]) == sorted(last.item["spawn"])


def test_a_stream_starts_over_with_each_game():
    """A second game holds nothing of the first."""
    first, second = (slp.write(made((3, 12, 0), frames=frames, seed=frames)) for frames in (40, 20))
    stream = EventStream()
    for content in (first, second):
        for portion in frames_of(content):
            stream.feed(portion)
    assert stream.over
    assert stream.frame == slp.FIRST_FRAME + 19
    assert len(stream.replay(16).item) == len(slp.read(second).item)


def test_a_stream_refuses_unreadable_events():
    """Unannounced events, half events and games of versions before 3 are refused by name."""
    with pytest.raises(RecordingError, match="0x99 that is cut off or was not announced"):
        EventStream().feed(b"\x99abc")
    stream = EventStream()
    portions = frames_of(slp.write(made((3, 12, 0), frames=3)))
    stream.feed(portions[0])
    with pytest.raises(RecordingError, match="cut off or was not announced"):
        stream.feed(portions[1][:-1])
    with pytest.raises(RecordingError, match=r"version 2\.0\.0; 3\.0 or later is needed"):
        EventStream().feed(frames_of(slp.write(made((2, 0, 0), frames=3)))[0])


class Pad:
    """Controller that records its inputs."""

    def __init__(self):
        self.held, self.sticks, self.shoulders = {}, {}, {}

    def tilt_analog(self, stick, x, y):
        self.sticks[stick.name] = (x, y)

    def press_shoulder(self, side, amount):
        self.shoulders[side.name] = amount

    def press_button(self, button):
        self.held[button.name] = True

    def release_button(self, button):
        self.held[button.name] = False


def test_a_whole_pad_is_pressed():
    """Each frame sets every button, the sticks scaled to 0..1, shoulders and their clicks."""
    pytest.importorskip("melee")
    pad = {key: np.zeros(1)[0] for key in SCHEMA.control_keys}
    pad |= {
        "pad/main_x": -1.0,
        "pad/main_y": 0.5,
        "pad/l_push": 0.35,
        "pad/r": True,
        "pad/d_up": True,
        "pad/start": True,
    }
    controller = Pad()
    press(controller, pad)
    assert controller.sticks == {"BUTTON_MAIN": (0.0, 0.75), "BUTTON_C": (0.5, 0.5)}
    assert controller.shoulders == {"BUTTON_L": 0.35, "BUTTON_R": 0.0}
    assert {name for name, held in controller.held.items() if held} == {
        "BUTTON_R",
        "BUTTON_D_UP",
        "BUTTON_START",
    }
    assert len(controller.held) == 12


def file_console(path):
    """Libmelee console that reads a file as if it were a game."""
    melee = pytest.importorskip("melee")
    console = melee.Console(path=str(path), is_dolphin=False, allow_old_version=True)
    assert console.connect()
    return console


def played(console):
    """Play a live world over a file to its end: the columns and libmelee's state of each row."""
    live = DolphinWorld(console, [])
    states = []
    step = console.step
    console.step = lambda: states.append(step()) or states[-1]
    rows = [{key: values.copy() for key, values in live.reset(np.zeros(1, int)).items()}]
    seen = [states[-1]]
    while True:
        columns, _, done = live.step(SCHEMA.neutral(1))
        if done[0]:
            return rows, seen
        rows.append({key: values.copy() for key, values in columns.items()})
        seen.append(states[-1])


def compare_with_offline(path):
    """Assert that live columns agree with the file and with libmelee; the number of rows."""
    offline = rows_of(slp.read(path)).columns
    rows, states = played(file_console(path))
    for row, (columns, state) in enumerate(zip(rows, states, strict=True)):
        same_as_offline(columns, offline, row + 1)
        for seat, (_, player) in enumerate(sorted(state.players.items())):
            assert player.position.x == columns["player/x"][0, seat]
            assert player.position.y == columns["player/y"][0, seat]
            assert int(player.percent) == int(columns["player/percent"][0, seat])
            assert player.stock == columns["player/stocks"][0, seat]
            assert player.action.value in (columns["player/action"][0, seat], 0xFFFF)
            assert player.facing == columns["player/facing_right"][0, seat]
    return len(rows)


def test_live_columns_are_the_columns_of_the_file(tmp_path):
    """A made replay has the same columns through libmelee as through ingest, in every frame."""
    path = tmp_path / "made.slp"
    path.write_bytes(slp.write(replay_of(match(frames=100, items=ITEMS))))
    assert compare_with_offline(path) >= 99


@pytest.mark.slow
def test_a_real_game_live_is_the_real_game(replays):
    """A real replay has the same columns through libmelee as through ingest, in every frame."""
    assert compare_with_offline(replays / "hohav+peppi/tests/data/v3.18.slp") > 700


@pytest.fixture
def dolphin(tmp_path):
    """A live world with two controllers connected to a fake Dolphin, and this fake."""
    melee = pytest.importorskip("melee")
    from shadowbox.games.melee.live.fake_dolphin import _FakeDolphin, free_port

    (tmp_path / "Config").mkdir()
    config = configparser.ConfigParser()
    config.add_section("Core")
    with open(tmp_path / "Config" / "Dolphin.ini", "w") as file:
        config.write(file)
    port = free_port()
    console = melee.Console(
        is_dolphin=True, is_remote=True, slippi_port=port, dolphin_home_path=str(tmp_path)
    )
    controllers = [melee.Controller(console, number) for number in (1, 2)]
    pads = {controller.port: controller.pipe_path for controller in controllers}
    fake = _FakeDolphin(pads, port, frames=86 + 40)
    fake.start()
    assert console.connect()
    for controller in controllers:
        controller.connect()
    live = DolphinWorld(console, controllers)
    yield live, fake
    live.close()
    fake.stop()
    assert fake.problem is None


def test_pressed_controls_arrive_in_the_next_frame(dolphin):
    """Through libmelee's own pipes, each decision is the next frame's input and moves its state."""
    live, fake = dolphin
    draws = np.random.default_rng(0)
    columns = live.reset(np.zeros(1, int))
    xs, pressed = [columns["player/x"][0].copy()], []
    done = np.zeros(1, bool)
    while True:
        controls = SCHEMA.neutral(1)
        for axis in ("main_x", "main_y", "c_x", "c_y"):
            controls[f"pad/{axis}"][0] = draws.integers(-80, 81, 2) / 80
        controls["pad/l_push"][0] = draws.integers(43, 141, 2) / 140
        for button in ("a", "b", "z", "l", "start", "d_left"):
            controls[f"pad/{button}"][0] = draws.random(2) < 0.5
        columns, _, done = live.step(controls)
        if done[0]:
            break
        pressed.append({key: controls[key].copy() for key in SCHEMA.control_keys})
        for key, values in live.controls_read.items():
            np.testing.assert_allclose(values.astype(float), controls[key], atol=1e-3, err_msg=key)
        xs.append(columns["player/x"][0].copy())
    assert len(pressed) == 40
    moved = np.diff(np.array(xs), axis=0)
    np.testing.assert_allclose(
        moved, [controls["pad/main_x"][0] for controls in pressed], atol=1e-4
    )
    recorded = rows_of(slp.read(HEAD + bytes(4) + bytes(fake.recorded))).columns
    for key in SCHEMA.control_keys:
        inputs = recorded[key][1:-1].astype(float)
        np.testing.assert_allclose(
            inputs, [controls[key][0] for controls in pressed], atol=1e-6, err_msg=key
        )
    assert fake.pipes[1].lines.count("FLUSH") == fake.pipes[2].lines.count("FLUSH")
    assert live.step(SCHEMA.neutral(1))[2][0]


def test_a_live_game_cannot_be_copied(dolphin):
    """Snapshots, restoring and more than one seed are refused with a reason."""
    live, _ = dolphin
    with pytest.raises(UsageError, match="no snapshots; use a simulator or a dream"):
        live.snapshot()
    with pytest.raises(UsageError, match="cannot be set back; use a simulator or a dream"):
        live.restore(None)
    with pytest.raises(UsageError, match=r"must have shape \(1,\) \(got \(2,\)\)"):
        live.reset(np.zeros(2, int))


def test_wrong_calls_are_refused(tmp_path):
    """Missing files, unknown characters and stages, and several matches are refused at once."""
    iso = tmp_path / "melee.iso"
    iso.touch()
    with pytest.raises(UsageError, match=r"--dolphin: .*none does not exist"):
        world(dolphin=str(tmp_path / "none"), iso=str(iso))
    with pytest.raises(UsageError, match=r"one match at a time \(got 2\)"):
        world(2, dolphin=str(iso), iso=str(iso))
    with pytest.raises(UsageError, match="unknown character 'mart': did you mean 'marth'"):
        menus("fox,mart", "battlefield")
    with pytest.raises(UsageError, match="unknown stage 'batlefield': did you mean 'battlefield'"):
        menus("fox,marth", "batlefield")
    with pytest.raises(UsageError, match=r"must be two, such as fox,marth \(got 'fox'\)"):
        menus("fox", "battlefield")


def test_menus_press_for_both(monkeypatch):
    """Each controller chooses its character and stage by libmelee's names."""
    melee = pytest.importorskip("melee")
    calls = []

    class Helper:
        def menu_helper_simple(self, state, controller, character, stage, **options):
            calls.append(
                (controller, character.name, stage.name, options["cpu_level"], options["autostart"])
            )

    monkeypatch.setattr(melee, "MenuHelper", Helper)
    navigate = menus("fox,marth", "yoshis_story", (0, 9))
    for _ in range(2):
        navigate(None, ["one", "two"])
    assert calls == 2 * [
        ("one", "FOX", "YOSHIS_STORY", 0, False),
        ("two", "MARTH", "YOSHIS_STORY", 9, True),
    ]
    assert all(name in melee.Stage.__members__ for name in STAGES.values())


def test_a_console_stuck_in_menus_is_given_up():
    """A console that stays in its menus raises an error with a hint."""
    pytest.importorskip("melee")

    class Stuck:
        class _slippstream:
            pass

        def step(self):
            return type("State", (), {"menu_state": type("Menu", (), {"name": "CHARACTER_SELECT"})})

    seen = []
    live = DolphinWorld(Stuck(), [], lambda state, _: seen.append(state), menu_frames=5)
    with pytest.raises(ShadowboxError, match="no game began within 5 frames"):
        live.reset(np.zeros(1, int))
    assert len(seen) == 5
