"""Windows of older systems: losses and scores by hand, thresholds, the three files, and a run."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox import cli
from shadowbox.collect.sources import record_sessions
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import CheckpointError, UsageError
from shadowbox.games.gesture import GAME
from shadowbox.games.gesture.older import ENCODING
from shadowbox.games.gesture.schema import ACTIONS, INVENTORY, OLDER_ORDER, SCHEMA
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.learners.windows import scores
from shadowbox.learners.windows.data import _Strided
from shadowbox.learners.windows.files import CONFIG, LOG, WEIGHTS, older_name, read_older
from shadowbox.learners.windows.losses import (
    _Answers,
    _Targets,
    own_losses,
    press_weights,
    seed_losses,
)
from shadowbox.learners.windows.thresholds import CANDIDATES, SAFE, _Frames, choose, pressed, tune
from shadowbox.train.config import TrainConfig
from shadowbox.train.console import Console
from shadowbox.train.loop import train

LN2 = math.log(2)


def logit(p: float) -> float:
    """Logit of a probability."""
    return math.log(p / (1 - p))


# Four windows: idle, one key and a turn, a new slot, and one with a screen open; two keys, one
# click, three slots. Answers of keys and clicks have probability .5 or .8, of slots a third.
TARGETS = _Targets(
    action=torch.tensor([[0, 0], [1, 0], [0, 1], [0, 0]]).float(),
    look=torch.tensor([[0, 0], [0.5, 0.05], [0.08, 0], [0, 0]]).float(),
    slot=torch.tensor([-1, -1, 2, -1]),
    cursor=torch.tensor([[0, 0], [0, 0], [0, 0], [0.25, 0.75]]).float(),
    inv=torch.tensor([[0], [0], [0], [1]]).float(),
    playing=torch.tensor([True, True, True, False]),
)
ANSWERS = _Answers(
    action=torch.tensor([[0, 0], [logit(0.8), 0], [0, 0], [9, 9]]).float(),
    look=torch.tensor([[0.9, 0.9], [0.3, 0.05], [0.9, 0.9], [0.9, 0.9]]).float(),
    hotbar=torch.zeros(4, 3),
    cursor=torch.tensor([[0, 0], [0, 0], [0, 0], [0.5, 0.5]]).float(),
    inv=torch.tensor([[9], [9], [9], [logit(0.8)]]).float(),
)
WEIGHTS_OF_PRESSES = torch.tensor([3.0, 2.0]), torch.tensor([5.0])


def test_losses_as_older_systems_write_them():
    """Means over all windows times the share of the windows that count: the action has it twice."""
    found = seed_losses(ANSWERS, TARGETS, *WEIGHTS_OF_PRESSES)
    # idle: 2 ln 2; a key of .8 with weight 3, and the other; a key of .5 with weight 2, and the other
    action = 2 * LN2 + (-3 * math.log(0.8) + LN2) + (2 * LN2 + LN2)
    assert found["action"] == pytest.approx(action / 8 * 0.75)  # of 8 elements, again times 3 / 4
    assert found["look"] == pytest.approx(0.5 * 0.2**2 * 0.75)  # one turning window, sum of axes
    assert found["hotbar"] == pytest.approx(math.log(3) / 4)
    assert found["cursor"] == pytest.approx(2 * 0.25**2 / 4)
    assert found["inv_click"] == pytest.approx(-5 * math.log(0.8) / 4)
    assert found["idle"] == pytest.approx(0.5)  # no share: a penalty of its own


def test_own_losses_are_means_over_what_counts():
    """The same losses without shares, over elements of the windows in which each counts."""
    found = own_losses(ANSWERS, TARGETS, *WEIGHTS_OF_PRESSES)
    action = 2 * LN2 + (-3 * math.log(0.8) + LN2) + (2 * LN2 + LN2)
    assert found["action"] == pytest.approx(action / 6)
    assert found["look"] == pytest.approx(0.5 * 0.2**2 / 2)
    assert found["hotbar"] == pytest.approx(math.log(3))
    assert found["cursor"] == pytest.approx(0.25**2)
    assert found["inv_click"] == pytest.approx(-5 * math.log(0.8))
    assert found["idle"] == pytest.approx(0.5)


@pytest.mark.parametrize("losses", [own_losses, seed_losses])
def test_heads_without_frames_cost_nothing(losses):
    """Without a screen, turn or slot their losses are zero, and gradients stay finite."""
    answers = _Answers(*(each[:1].clone().requires_grad_() for each in ANSWERS))
    found = losses(answers, _Targets(*(each[:1] for each in TARGETS)), *WEIGHTS_OF_PRESSES)
    assert [name for name, value in found.items() if value > 0] == ["action", "idle"]
    torch.stack(list(found.values())).sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in answers)


def test_weights_of_presses():
    """Frames over twice the presses, at most 50, and 1 for a key that is never pressed."""
    weights = press_weights(torch.tensor(1000.0), torch.tensor([500.0, 50.0, 4.0, 0.0, 1000.0]))
    assert weights.tolist() == [1.0, 10.0, 50.0, 1.0, 0.5]


def sums_of(guess: scores._Guess) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sums [1] of the four windows, with baselines that hold all and nothing."""
    guesses = {"": guess, "/copy_last": guess, "/never_press": scores.nothing_like(TARGETS)}
    return {
        f"{name}{end}": tuple(np.array([float(part.sum())]) for part in pair)
        for end, each in guesses.items()
        for name, pair in scores.head_scores(each, TARGETS, ["a", "b"], ["click"]).items()
    }


def test_combined_scores_by_hand():
    """Both sums of the heads: the older one counts absent heads, ours only what occurs."""
    guess = scores.guess_of(ANSWERS)
    sums = sums_of(guess)
    # at .5 exactly nothing is pressed: key a is right, key b is missed, no false press
    assert sums["f1.a"] == (2.0, 2.0)
    assert sums["f1.b"] == (0.0, 1.0)
    assert sums["idle_acc"] == (1.0, 1.0)
    assert sums["hotbar_acc"] == (0.0, 1.0)
    assert sums["look_direction"] == (1.0, 1.0)  # the other axis is within the dead zone
    assert sums["cursor_px"][0] == pytest.approx(math.hypot(0.25 * 1920, 0.25 * 1080))
    found = scores.combined_scores(sums, ["a", "b"], ["click"])
    look, cursor = 0.2**2 / 2, 0.25**2
    seed = 0.4 * 0.5 + 0.2 * (1 - look) + 0.1 * 0 + 0.1 * (1 - cursor) + 0.1 * 1 + 0.1 * 1
    assert found["seed_score"][0] == pytest.approx(seed)
    look_skill = 1 - look / ((0.5**2 + 0.05**2) / 2)
    own = 0.4 * 0.5 + 0.2 * look_skill + 0.1 * 0 + 0.1 * 0 + 0.1 * 1 + 0.1 * 1
    assert found["score"][0] == pytest.approx(own)
    # small errors and idle frames alone
    nothing = 0.2 * (1 - 0.12625) + 0.1 * (1 - 0.0625) + 0.1
    assert found["seed_score/never_press"][0] == pytest.approx(nothing)
    assert found["score/never_press"][0] == pytest.approx(0.1)


def test_scores_without_support():
    """Absent heads are perfect in the older score and left out of ours; so are absent keys."""
    only = _Targets(*(each[:2] for each in TARGETS))  # no slot, no screen, no key b
    answers = _Answers(*(each[:2] for each in ANSWERS))
    sums = {
        f"{name}{end}": tuple(np.array([float(part.sum())]) for part in pair)
        for end in ("", "/copy_last", "/never_press")
        for name, pair in scores.head_scores(
            scores.guess_of(answers) if not end else scores.nothing_like(only), only, "ab", ["c"]
        ).items()
    }
    found = scores.combined_scores(sums, "ab", ["c"])
    assert found["action_f1"][0] == pytest.approx(1.0)
    look = 0.2**2 / 2
    assert found["seed_score"][0] == pytest.approx(
        0.4 * 0.5 + 0.2 * (1 - look) + 0.1 + 0.1 + 0 + 0.1
    )
    assert math.isnan(found["inv_f1"][0])
    own = (0.4 + 0.2 * (1 - look / 0.12625) + 0.1) / 0.7
    assert found["score"][0] == pytest.approx(own)


# ---- thresholds ----------------------------------------------------------------------------------


def frames(probability, down, session=None) -> _Frames:
    """Frames of one session, of which those that are not down are idle."""
    probability, down = np.asarray(probability, float), np.asarray(down, bool)
    session = np.zeros(len(down), int) if session is None else np.asarray(session)
    return _Frames(probability, down, ~down, session)


def test_candidates_are_exact_decimals():
    """Thresholds are .1, .15, ... .9 as one writes them."""
    assert CANDIDATES.tolist() == [float(f"{k / 20:.2f}") for k in range(2, 19)]


def test_the_middle_of_a_plateau():
    """Presses at .82 and rest at .28: every threshold between is perfect, and the middle is taken."""
    down = np.repeat([False, True, False], 30)
    probability = np.where(down, 0.82, 0.28)
    # on needs threshold + .05 <= .82, off needs threshold - .05 > .28: .35 to .75
    assert choose(frames(probability, down)) == pytest.approx(0.55)


def test_too_few_presses_get_a_safe_threshold():
    """A control that is down in fewer than 20 frames is not tuned, and neither is an absent one."""
    down = np.zeros(400, bool)
    assert tune(frames(np.full(400, 0.2), down, np.repeat([0, 1], 200)))[:2] == (SAFE, False)
    down[:19] = True
    assert choose(frames(np.where(down, 0.9, 0.1), down)) is None
    down[19] = True
    assert choose(frames(np.where(down, 0.9, 0.1), down)) is not None


def test_presses_in_idle_frames_cost():
    """A lower threshold has the better F1, and loses by its presses in idle frames."""
    down = np.repeat([True, False], [40, 60])
    probability = np.repeat([0.9, 0.4, 0.4, 0.05], [30, 10, 30, 30])
    chosen = choose(frames(probability, down))
    assert chosen is not None
    assert chosen > 0.45


def test_hysteresis_ends_with_a_session():
    """A key stays down until threshold - .05, and is up again where a session begins."""
    probability = np.array([0.6, 0.5, 0.46, 0.44, 0.6, 0.5])
    session = np.array([0, 0, 0, 0, 0, 1])
    held = pressed(probability, session, np.array([0.5]))[:, 0]
    assert held.tolist() == [True, True, True, False, True, False]


def test_figures_are_those_of_sessions_that_did_not_choose():
    """Where two halves disagree, the threshold of each fails on the other one."""
    down = np.tile(np.repeat([False, True], 50), 2)
    probability = np.where(down, 0.4, 0.1) + 0.5 * (np.arange(200) >= 100)
    found = tune(frames(probability, down, np.repeat([0, 1], 100)))
    assert found.tuned
    assert found.f1 < 0.7


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=25, max_size=60))
@settings(max_examples=30)
def test_a_threshold_is_always_usable(rows):
    """Whatever the recordings, the threshold is a candidate or the safe one."""
    found = tune(frames(*zip(*rows, strict=True), session=np.arange(len(rows)) // 10))
    assert found.value in {*CANDIDATES.tolist(), SAFE}


# ---- a run and its files -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three short sessions of synthetic people."""
    path = tmp_path_factory.mktemp("windows") / "store"
    record_sessions(GAME, "synthetic", 3, path, seed=5, options={"people": 3, "seconds": 6.0})
    return Store(path)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """Run of two epochs of one step each, of a narrow model; with what the console printed."""
    import io

    folder, out = tmp_path_factory.mktemp("runs") / "older", io.StringIO()
    spec = RunSpec(
        GAME, "control-transformer", {"width": 16, "depth": 1, "frames": 8},
        {"loss_norm": "seed", "stride": 9, "validate_stride": 9},
    )  # fmt: skip
    config = TrainConfig(epochs=2, batch=16, score="seed_score", device="cpu", log_every=1)
    inputs = Inputs(spec=spec, config=config, store=store, split=Split(0.5, 0.5, 0.0))
    train(learner_spec("windows").prepare(inputs), folder, config, console=Console(out))
    return folder, out.getvalue()


def test_the_console_has_the_older_columns(run):
    """The table of epochs has the columns of the older system, in its order."""
    head = next(line for line in run[1].splitlines() if "TrLoss" in line)
    columns = ["Ep", "TrLoss", "Act", "Look", "Hbar", "Curs", "Inv", "Idle", "VlLoss", "VlF1"]
    assert head.split() == [*columns, "Score", "LR"]


def test_three_files(run):
    """Weights load by `weights_only`; the configuration has the older keys; the log a row an epoch."""
    folder, _ = run
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    assert weights["input_projection.weight"].shape == (16, 671)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    assert list(config) == [
        "version", "input_dim", "d_model", "nhead", "num_layers", "dim_feedforward", "dropout",
        "max_seq_len", "num_action_controls", "num_look_controls", "num_hotbar_slots",
        "num_cursor_controls", "num_inv_controls", "control_names", "thresholds", "look_deadzone",
        "look_smoothing_alpha", "action_history_length", "action_history_dropout",
        "game_state_dim", "feature_mean", "feature_std", "training",
    ]  # fmt: skip
    assert config["control_names"] == list(OLDER_ORDER)
    assert list(config["thresholds"]) == [*ACTIONS, *INVENTORY]
    assert [config[key] for key in ("input_dim", "num_hotbar_slots", "game_state_dim")] == [
        671, 9, 46,
    ]  # fmt: skip
    assert list(config["training"]) == [
        "epochs_trained", "best_combined_score", "per_head_metrics",
    ]  # fmt: skip
    assert len(config["feature_mean"]) == len(config["feature_std"]) == 671
    rows = json.loads((folder / LOG).read_text(encoding="utf-8"))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert max(row["val_combined_score"] for row in rows) == pytest.approx(
        config["training"]["best_combined_score"], abs=1e-6
    )


def test_weights_of_others_are_taken_by_shape_or_refused(run, tmp_path):
    """Other names with the same shapes in order are read; other shapes are refused, and named."""
    folder, _ = run
    ours = read_older(folder, SCHEMA, ENCODING)
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    (tmp_path / CONFIG).write_bytes((folder / CONFIG).read_bytes())
    torch.save(
        {f"model.{at}": value for at, value in enumerate(weights.values())}, tmp_path / WEIGHTS
    )
    theirs = read_older(tmp_path, SCHEMA, ENCODING)
    for (name, one), two in zip(
        ours.policy.named_parameters(), theirs.policy.parameters(), strict=True
    ):
        assert torch.equal(one, two), older_name(name)
    broken = {**weights, "look_head.3.bias": torch.zeros(3)}
    torch.save(broken, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"look_head.3.bias: \(2,\) expected, \(3,\) found"):
        read_older(tmp_path, SCHEMA, ENCODING)
    torch.save({"model": print}, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match="does not hold weights alone"):
        read_older(tmp_path, SCHEMA, ENCODING)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("input_dim", 559, "input_dim is 559, expected 671"),
        ("feature_std", [1.0], "feature_std must be 671 finite numbers"),
        ("thresholds", {"fly": 0.5}, "fly is not a control"),
        ("d_model", "wide", "d_model"),
    ],
)
def test_a_configuration_that_does_not_fit(run, tmp_path, key, value, message):
    """A value that this program cannot play with is named with its key."""
    folder, _ = run
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (tmp_path / CONFIG).write_text(json.dumps({**config, key: value}), encoding="utf-8")
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(CheckpointError, match=message):
        read_older(tmp_path, SCHEMA, ENCODING)


def test_play_from_three_files_alone(run, tmp_path, capsys):
    """Three files, copied elsewhere, play the course of the mock: frames are answered."""
    for name in (WEIGHTS, CONFIG, LOG):
        shutil.copy(run[0] / name, tmp_path)
    words = ["play", "gesture", "--mock", "--no-page", "--json", "--seconds", "4"]
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--checkpoint", str(tmp_path)])
    out, err = capsys.readouterr()
    assert stop.value.code == 0, err
    summary = json.loads(out)
    assert summary["latency"]["policy"]["p50"] > 0
    assert summary["counts"]["states"] > 5
    assert summary["counts"]["errors"] == 0
    assert summary["place"][-1]["seconds"] > 0
    (tmp_path / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--checkpoint", str(tmp_path)])
    assert stop.value.code != 0
    assert "does not hold weights alone" in capsys.readouterr().err


def test_every_window_is_seen_over_the_epochs(store):
    """With a stride each epoch begins elsewhere; a window is inside its session, at most once."""
    source = _Strided(store, 40, 8, stride=7, seed=3)
    seen = set()
    for _ in range(30):
        epoch = [
            (int(e), int(f))
            for batch in source.rest_of_epoch()
            for e, f in zip(batch.episode, batch.first, strict=True)
        ]
        assert len(epoch) == len(set(epoch))
        seen |= set(epoch)
    assert seen == {(e, f) for e in range(3) for f in range(int(store.lengths[e]) - 39)}


def test_wrong_settings_are_refused():
    """A setting that means nothing is refused with the choices."""
    spec = RunSpec(GAME, "control-transformer", {}, {"loss_norm": "sead"})
    with pytest.raises(UsageError, match="did you mean 'seed'"):
        learner_spec("windows").summarize(Inputs(spec=spec))
