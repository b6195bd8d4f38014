"""Learning from gestures: weights by mode, lost hands, presses that last, and the whole way to play."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from shadowbox.cards.sections import Stage
from shadowbox.cli import shadowbox
from shadowbox.data.sample import Segments
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.games import load
from shadowbox.games.gesture.schema import HAND_OF, SCHEMA
from shadowbox.learners.imitation_data import class_weights, with_lasting_presses, without_parts
from shadowbox.learners.imitation_options import ImitationConfig
from shadowbox.learners.imitation_task import prepare
from shadowbox.model.codec import ControlValues, decode
from shadowbox.play import specs
from shadowbox.play.match import play
from shadowbox.train.config import TrainConfig
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train
from shadowbox.train.protocols import ParentCheckpoint

CPU = torch.device("cpu")
BY_PERSON = Split(0.7, 0.3, 0.0, key="person", seed=1)
PLAIN = {"head": "independent", "choices": "plain", "prev_control_dropout": 0.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve sessions of twelve people."""
    path = tmp_path_factory.mktemp("gesture") / "store"
    call = ["record", "gesture", "--matches", "12", "--set", "people=12", "--set", "seconds=15"]
    result = CliRunner().invoke(shadowbox, [*call, "--out", str(path)])
    assert result.exit_code == 0, result.output
    return Store(path)


def task_of(store, imitation=None, **changes):
    """The small policy on these sessions."""
    return prepare(
        store,
        TrainConfig(steps=2, batch=4, seed=3, device="cpu"),
        preset="small",
        length=48,
        split=BY_PERSON,
        imitation=imitation,
        **{"width": 16, **PLAIN, **changes},
    )


def costs_of(task, store, at=0):
    """Loss of a batch by control, without chance, and the prepared batch."""
    batch = next(iter(Segments(store, 48, 24).rest_of_epoch()))
    task.model.eval()
    with torch.no_grad():
        device = task.learner.to_device(batch, CPU)
        return task.learner.loss(task.model, device)[1], task.learner._prepared(device, False)[0]


def test_a_control_costs_the_mean_over_frames_of_its_own_mode(store):
    """With `own` a rare mode counts as much as a frequent one; `all` shares it by its frames."""
    own, prepared = costs_of(task_of(store), store)
    every, _ = costs_of(task_of(store, {"loss_norm": "all"}), store)
    screen = prepared.view["game/screen_open"][..., 0]
    inside = (prepared.counted > 0).any(-1)
    for name, on in (("control/attack", ~screen), ("control/inv_left", screen)):
        share = float((on & inside).sum() / inside.sum())
        assert 0 < share < 1
        assert float(own[name]) * share == pytest.approx(float(every[name]), rel=1e-4)
    assert float(own["control/open_inventory"]) == pytest.approx(
        float(every["control/open_inventory"]), rel=1e-5
    )


def test_idle_frames_cost_more_with_a_penalty(store):
    """The penalty weighs flags and choices up in frames without any press, and nothing else."""
    plain, prepared = costs_of(task_of(store), store)
    strict, stricter = costs_of(task_of(store, {"idle_penalty": 2.0}), store)
    used = torch.from_numpy(task_of(store).model.values.kinds != "real")
    idle = ~((prepared.targets != 0) & used).any(-1)
    ratio = stricter.counted / prepared.counted.clamp(min=1e-9)
    flag = task_of(store).model.head.names.index("control/attack")
    counted = prepared.counted[..., flag] > 0
    assert set(ratio[..., flag][counted & idle].tolist()) == {3.0}
    assert set(ratio[..., flag][counted & ~idle].tolist()) == {1.0}
    assert float(strict["control/look_yaw"]) == float(plain["control/look_yaw"])
    assert float(strict["control/attack"]) > float(plain["control/attack"])


def test_weights_of_rare_presses_are_counted_in_their_own_mode(store):
    """A weight is frames up over frames down in the control's mode, at most the cap."""
    values, episodes = ControlValues(SCHEMA), np.arange(len(store))
    found = class_weights(store, episodes, (0,), values, ImitationConfig(pos_weight_cap=50))
    weights = {name: float(number) for name, _, number in (text.partition("=") for text in found)}
    rows = [store.episode(int(at)).columns for at in episodes]
    column = {
        key: np.concatenate([each[key][:-1, 0] for each in rows])
        for key in ("control/attack", "control/inv_left", "game/screen_open")
    }
    screen = column["game/screen_open"]
    for key, on in (("control/attack", ~screen), ("control/inv_left", screen)):
        down = int((column[key] & on).sum())
        assert weights[key] == pytest.approx(min((on.sum() - down) / down, 50), rel=1e-3)
    capped = class_weights(store, episodes, (0,), values, ImitationConfig(pos_weight_cap=3))
    assert max(float(text.partition("=")[2]) for text in capped) == 3.0
    model = task_of(store, {"pos_weight_cap": 3.0}).model
    part = next(part for part in model.head.parts if part.name == "flags")
    output = torch.zeros(1, len(part.keys))  # as the weighted loss learns a chance of one half
    chance = dict(zip(part.keys, part.mean(output, output)[0].tolist(), strict=True))
    assert chance["control/swap_offhand"] == pytest.approx(1 / 4)
    with pytest.raises(UsageError, match="is not a control with a weight above 0"):
        task_of(store, pos_weights=["control/fly=2"])


def test_short_presses_can_be_made_to_last(store):
    """A press lasts at least as long as asked, a longer one as long as it did."""
    slot = torch.tensor([0, 3, 0, 0, 0, 0, 5, 5, 5, 5, 0, 0])[None, :, None]
    made = with_lasting_presses({"control/hotbar": slot}, {"control/hotbar": 3})
    assert made["control/hotbar"][0, :, 0].tolist() == [0, 3, 3, 3, 0, 0, 5, 5, 5, 5, 0, 0]
    with pytest.raises(UsageError, match="no button or choice 'control/look_yaw'"):
        task_of(store, {"lasting": ["control/look_yaw=3"]})


def test_the_loss_of_single_controls_can_weigh_more(store):
    """Six times the loss of the hotbar is added once more five times; unknown controls are refused."""
    batch = next(iter(Segments(store, 48, 8, shuffle=False).rest_of_epoch()))
    costs = {}
    for name, weights in {"plain": (), "more": ["control/hotbar=6"]}.items():
        task = task_of(store, {"control_weights": weights})
        given = task.learner.to_device(batch, CPU)
        costs[name] = task.learner.loss(task.model.eval(), given)
    total, parts = costs["plain"]
    torch.testing.assert_close(costs["more"][0], total + 5 * parts["hotbar"])
    with pytest.raises(UsageError, match="has no control 'control/hot'"):
        task_of(store, {"control_weights": ["control/hot=2"]})
    with pytest.raises(UsageError, match="a weight above 0"):
        task_of(store, {"control_weights": ["control/hotbar=x"]})


def test_a_hand_that_drops_out_is_gone_as_if_it_was_never_found(store):
    """Its landmarks are zero exactly while its flag is off; others stay as they were."""
    batch = next(iter(Segments(store, 48, 8, shuffle=False).rest_of_epoch()))
    columns = decode(SCHEMA, torch.from_numpy(batch.rows))
    torch.manual_seed(0)
    lost = without_parts(SCHEMA, columns, 0.6)
    for hand, rows in HAND_OF.items():
        gone = columns[f"seen/{hand}_hand"][..., 0] & ~lost[f"seen/{hand}_hand"][..., 0]
        assert 0.05 < gone.float().mean() < 0.6
        for key in ("hand/x", "hand/vz"):
            assert not lost[key][..., rows][gone].any()
            assert torch.equal(lost[key][..., rows][~gone], columns[key][..., rows][~gone])
    assert all(lost[key] is values for key, values in columns.items() if key.startswith("game/"))


def test_inputs_are_normalized_by_the_training_side_alone(store):
    """Mean 0 and deviation 1 over frames of training people in which a hand was found; 0 if it was not."""
    model = task_of(store, normalize=True, relative_positions=False).model
    episodes = BY_PERSON.episodes(store, "train")
    rows = store.rows_together(episodes, last=False)
    columns = decode(SCHEMA, torch.from_numpy(rows.view(np.uint8).reshape(len(rows), -1)))
    with torch.no_grad():
        x = model.embed(columns)
    names = [name for name, _, _ in model.embed.describe()]
    seen = columns["seen/right_hand"][:, 0]
    at = names.index(f"hand/x[{HAND_OF['right'].start + 4}]")
    assert x[seen, at].mean() == pytest.approx(0, abs=1e-3)
    assert x[seen, at].std() == pytest.approx(1, abs=1e-2)
    assert not x[~seen, at].any()
    assert model.state_dict()["embed.center"].shape == model.embed.scale.shape
    other = prepare(
        store, TrainConfig(steps=2, batch=4, device="cpu"), preset="small", length=48,
        split=Split(0.3, 0.7, 0.0, key="person", seed=1), normalize=True, width=16,
        relative_positions=False, **PLAIN,
    ).model  # fmt: skip
    assert not torch.equal(other.embed.center, model.embed.center)


def test_the_state_is_noisier_and_of_another_size_in_training_alone(store):
    """Normalized reals change, each segment by its own size; flags, lost hands and play do not."""
    noise = {"normalize": True, "state_noise": 0.4, "state_scale": 0.2}
    task = task_of(store, relative_positions=False, **noise)
    batch = next(iter(Segments(store, 48, 16, shuffle=False).rest_of_epoch()))
    prepared, _ = task.learner._prepared(task.learner.to_device(batch, CPU), learning=False)
    model, reals = task.model.eval(), task.model.embed.reals_width
    memory = model.initial(len(prepared.reset))

    def features():
        with torch.no_grad():
            return model._features(prepared.view, memory, prepared.reset, None).x

    clean = features()
    assert torch.equal(clean, features())
    model.train()
    noisy = features()
    assert torch.equal(noisy[..., reals:], clean[..., reals:])
    known = clean[..., :reals] != 0
    assert not noisy[..., :reals][~known].any()
    sizes = (noisy * clean)[..., :reals].sum((1, 2)) / clean[..., :reals].square().sum((1, 2))
    assert sizes.min() < 0.95 < 1.05 < sizes.max()
    assert 0.7 < sizes.min() < sizes.max() < 1.3
    with pytest.raises(UsageError, match="for a policy with normalize"):
        task_of(store, state_noise=0.1)


def test_some_segments_go_on_from_the_policys_own_presses(store):
    """With scheduled sampling previous controls change in whole segments, from their second row on."""
    task = task_of(store, prev_control_own=0.5)
    batch = next(iter(Segments(store, 48, 16, shuffle=False).rest_of_epoch()))
    prepared, _ = task.learner._prepared(task.learner.to_device(batch, CPU), learning=False)
    seen = {}
    model = task.model.train()
    features = model._features
    model._features = lambda view, *rest: seen.update(view) or features(view, *rest)
    torch.manual_seed(1)
    model(prepared.view, prepared.targets, prepared.reset)
    changed = (seen["control/attack"] != prepared.view["control/attack"])[..., 0]
    assert 0 < int(changed.any(1).sum()) < len(changed)
    assert not changed[:, 0].any()
    assert seen["pose/x"] is prepared.view["pose/x"]
    blind = task_of(store, previous_controls=False).model
    assert not any(name.startswith("control/") for name, _, _ in blind.describe())
    with pytest.raises(UsageError, match="which this policy does not see"):
        task_of(store, previous_controls=False, prev_control_own=0.5)


def test_a_policy_is_trained_on_people_and_plays_the_place(store, tmp_path):
    """Record, train by person, play: in a mode only its own controls are pressed, by thresholds."""
    out = tmp_path / "run"
    settings = [f"{name}={str(value).lower()}" for name, value in PLAIN.items()]
    call = [
        "train",
        str(store.path),
        "--out",
        str(out),
        "--steps",
        "3",
        "--batch",
        "4",
        "--length",
        "32",
    ]
    call += ["--shares", "70/30/0", "--by", "person", "--preset", "small"]
    result = CliRunner().invoke(
        shadowbox, [*call, *(word for each in settings for word in ("--with", each))]
    )
    assert result.exit_code == 0, result.output
    game = load("gesture")
    agent = specs.agent(f"policy:{out}@threshold=0.5", game)
    world = specs.world("py:shadowbox.games.gesture.place.world:place_world@seconds=1", game, 1)
    [match] = play(game, world, [agent], ["policy"], np.array([5]))
    columns = match.episode.columns
    screen = columns["game/screen_open"][:, 0]
    assert len(screen) == 31
    assert not columns["control/attack"][screen].any()
    assert not columns["control/inv_left"][~screen].any()


@pytest.mark.slow
def test_a_policy_goes_on_learning_from_one_person_and_gains(store, tmp_path):
    """On takes of an odd person that neither saw, the fine-tuned policy predicts better than its parent."""
    call = ["record", "gesture", "--matches", "10", "--set", "people=1", "--set", "seconds=15"]
    call += ["--set", "people_of=test", "--seed", "9", "--out", str(tmp_path / "odd")]
    result = CliRunner().invoke(shadowbox, call)
    assert result.exit_code == 0, result.output
    given = {"preset": "small", "length": 48, "width": 32, "normalize": True, **PLAIN}
    given |= {"relative_positions": False, "previous_controls": False}
    config = TrainConfig(steps=120, batch=8, lr=3e-3, warmup=10, seed=3, device="cpu", threads=1)
    train(prepare(store, config, split=BY_PERSON, **given), tmp_path / "people", config)
    config = replace(config, steps=40, lr=1e-3, freeze=("trunk.enter", "trunk.norm"))
    split, odd = Split(0.5, 0.2, 0.3), Store(tmp_path / "odd")
    task = prepare(odd, config, split=split, **given)
    train(task, tmp_path / "own", config, parent=ParentCheckpoint(f"{tmp_path / 'people'}@latest"))
    batch = next(iter(Segments(odd, 48, 64, episodes=split.episodes(odd, "test")).rest_of_epoch()))
    cost = {}
    for run in ("people", "own"):
        policy = specs.agent(f"policy:{tmp_path / run}@latest", load("gesture")).policy
        with torch.no_grad():
            cost[run] = float(task.learner.loss(policy, task.learner.to_device(batch, CPU))[0])
    assert cost["own"] < 0.95 * cost["people"], cost


MOVES = ["control/attack", "control/hotbar", "control/cursor_x"]


def test_stages_freeze_controls_and_parts_exactly(store, tmp_path):
    """In a stage frozen controls keep their rows of the head bit for bit; the gate opens the next."""
    stages = (
        Stage(name="moves", freeze=MOVES, gate="stage/steps >= 2"),
        Stage(name="all", freeze=["trunk"], set={"learner.idle_penalty": 1.0}),
    )
    config = TrainConfig(steps=5, batch=4, seed=3, log_every=1, device="cpu", threads=1)
    task = prepare(
        store, config, preset="small", length=48, split=BY_PERSON, stages=stages, width=16, **PLAIN
    )
    model, seen = task.model, []
    head = model.head.linear
    loss = task.learner.loss

    def noted(*arguments):
        seen.append((head.weight.detach().clone(), model.trunk.enter.weight.detach().clone()))
        return loss(*arguments)

    task.learner.loss = noted
    train(task, tmp_path / "run", config)
    width = dict(zip(("reals", "flags"), model.head.widths, strict=False))
    attack = width["reals"] + list(model.head.parts[1].keys).index("control/attack")
    cursor = list(model.head.parts[0].keys).index("control/cursor_x")
    jump = attack - 1
    # steps 1 and 2 belong to the first stage, the others to the second
    for row in (attack, cursor, -1):
        assert torch.equal(seen[0][0][row], seen[2][0][row])
        assert not torch.equal(seen[2][0][row], seen[4][0][row])
    assert not torch.equal(seen[0][0][jump], seen[1][0][jump])
    assert not torch.equal(seen[0][1], seen[2][1])
    assert torch.equal(seen[2][1], seen[4][1])
    lines = [
        line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "stage"
    ]
    assert [line["number"] for line in lines] == [0, 0, 1, 1, 1]
    unknown = (Stage(name="a", freeze=["arm"]),)
    with pytest.raises(UsageError, match="neither a control nor a part"):
        prepare(store, config, preset="small", split=BY_PERSON, stages=unknown, **PLAIN)
