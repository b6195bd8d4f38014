"""Imitation: every decision is a target, from any seats, and weights keep the probabilities right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from apprentice import HALF, SEES, config, make_store
from conftest import TOY, random_episode
from pads import PAD

from shadowbox.core.episode import Episode
from shadowbox.core.view import from_seat
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.errors import UsageError
from shadowbox.learners.imitation_options import ImitationConfig, actionable_frames
from shadowbox.learners.imitation_task import prepare
from shadowbox.model import checkpoint
from shadowbox.model.design import PRESETS
from shadowbox.play.policy_agent import policy_agent
from shadowbox.train.log import read_lines
from shadowbox.train.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve short matches."""
    return make_store(tmp_path_factory.mktemp("toy") / "s")


def task_of(store, **changes):
    """A tiny policy without chance in it."""
    return prepare(
        store,
        config(batch=6),
        split=HALF,
        **{"preset": "tiny", "input_columns": SEES, "length": 16, "width": 16, **changes},
    )


def batch_of(task):
    """A batch of its source, and the same on the device."""
    batch = next(iter(task.source(6, 0, 1)))
    return batch, task.learner.to_device(batch, CPU)


def test_every_decision_is_a_target_once(store):
    """The decisions of an epoch's imitation are those of the training episodes, times the seats.

    Count says how many.
    """
    task = task_of(store)
    decisions = counted = 0
    for batch in task.source(6, 0, 1).rest_of_epoch():
        prepared, many = task.learner._prepared(task.learner.to_device(batch, CPU), learning=False)
        assert (
            int((prepared.counted > 0).any(-1).sum())
            == int(many[0])
            == task.learner.num_targets(batch)
        )
        counted += int(many[0])
        decisions += len(batch)
    source = task.source(6, 0, 1)
    left_out = 2 * 16 * (source.examples % 6)
    whole = 2 * sum(int(store.lengths[e]) - 1 for e in HALF.episodes(store, "train"))
    assert whole - left_out <= counted <= whole


def test_lessons_are_the_episodes_rows(store):
    """Inputs are state_t and controls_{t-1} from the own seat, targets the own controls_t."""
    task = task_of(store)
    batch, tensors = batch_of(task)
    prepared, _ = task.learner._prepared(tensors, learning=False)
    for seat in (0, 1):
        for row in range(len(batch)):
            columns = from_seat(TOY, store.episode(int(batch.episode[row])).columns, seat)
            for t in range(16):
                at, example = int(batch.first[row]) + 1 + t, seat * len(batch) + row
                if not bool((prepared.counted[example, t] > 0).any()):
                    continue
                pressed = [columns[f"pad/{name}"][at, 0] for name in ("left", "right", "a")]
                assert prepared.targets[example, t].tolist() == pressed
                assert (
                    prepared.view["player/hit_by"][example, t].tolist()
                    == columns["player/hit_by"][at].tolist()
                )
                before = columns["pad/a"][at - 1] if at else np.zeros(2, bool)
                assert prepared.view["pad/a"][example, t].tolist() == before.tolist()
                assert bool(prepared.reset[example, t]) == (at == 0)


def test_a_policy_never_sees_what_it_is_asked(store):
    """Controls at a position change no loss of parts decided before them, nor of earlier positions."""
    task = task_of(store, preset="small")
    model = task.model.eval()
    prepared, _ = task.learner._prepared(batch_of(task)[1], learning=False)
    costs = model(prepared.view, prepared.targets, prepared.reset)
    for t in (3, 9):
        targets = prepared.targets.clone()
        targets[:, t] = 1 - targets[:, t]
        view = {key: values.clone() for key, values in prepared.view.items()}
        for at, key in enumerate(model.values.keys):  # the next frame sees them
            view[key][:, t + 1, 0] = targets[:, t, at] > 0.5
        found = model(view, targets, prepared.reset)
        assert torch.equal(found[:, :t], costs[:, :t])
        assert not torch.equal(found[:, t], costs[:, t])


@pytest.mark.parametrize("seats", [(0,), (1,), (1, 0)])
def test_any_seats(store, seats):
    """The cost of some seats is the mean of the costs of each of them."""
    alone = []
    for seat in seats:
        task = task_of(store, head="independent", imitation={"seats": (seat,)})
        alone.append(task.learner.loss(task.model.eval(), batch_of(task)[1])[0].item())
    task = task_of(store, head="independent", imitation={"seats": seats})
    together = task.learner.loss(task.model.eval(), batch_of(task)[1])[0].item()
    assert together == pytest.approx(np.mean(alone), rel=1e-5)


def test_the_mirror_shows_the_other_side(store):
    """About every second segment is mirrored while learning, targets and all, and none while scoring."""
    task = task_of(store, imitation={"mirror": True})
    _, tensors = batch_of(task)
    straight, _ = task.learner._prepared(tensors, learning=False)
    torch.manual_seed(0)
    prepared, _ = task.learner._prepared(tensors, learning=True)
    left, right = (task.model.values.names.index(f"pad/{name}") for name in ("left", "right"))
    swapped = straight.targets.clone()
    swapped[..., [left, right]] = straight.targets[..., [right, left]]
    mirrored = [
        row for row in range(12) if not torch.equal(prepared.targets[row], straight.targets[row])
    ]
    assert 0 < len(mirrored) < 12
    for row in range(12):
        assert torch.equal(
            prepared.targets[row], (swapped if row in mirrored else straight.targets)[row]
        )


def test_weights_by_state(store):
    """Frames where all `actionable_when` conditions hold weigh 1, others `non_actionable_weight`."""
    task = task_of(
        store,
        imitation={
            "actionable_when": ["player/hit_by=1", "player/on_ground=1"],
            "non_actionable_weight": 0.25,
        },
    )
    prepared, _ = task.learner._prepared(batch_of(task)[1], learning=False)
    on = (prepared.view["player/hit_by"][..., 0] == 1) & prepared.view["player/on_ground"][..., 0]
    decided = (prepared.counted > 0).any(-1)
    expected = torch.where(on, 1.0, 0.25)[..., None].expand_as(prepared.counted)
    assert torch.equal(prepared.counted[decided], expected[decided])


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("player/hit_by != 1", lambda hit, ground: hit != 1),
        ("player/hit_by in 1 .. 2", lambda hit, ground: (hit == 1) | (hit == 2)),
        ("player/hit_by in (0, 2)", lambda hit, ground: (hit == 0) | (hit == 2)),
        ("player/hit_by not in (0, 2 .. 9)", lambda hit, ground: hit == 1),
        ("player/hit_by < 1 or player/on_ground = 1", lambda hit, ground: (hit < 1) | ground),
    ],
)
def test_actionable_conditions(condition, holds):
    """Conditions know other values, lists, ranges, and both joined; they are about the own slot."""
    hit, ground = torch.tensor([[0, 9], [1, 9], [2, 9]]), torch.tensor([[True], [False], [True]])
    view = {"player/hit_by": hit, "player/on_ground": ground}
    found = actionable_frames(view, [condition])
    assert found.tolist() == holds(hit[:, 0], ground[:, 0]).tolist()


def test_thinned_segments_cost_the_same_on_average(tmp_path):
    """Dropping static segments and weighing the others up leaves the mean loss unchanged."""
    with Writer(tmp_path / "s", TOY) as writer:
        for seed in range(8):
            made = random_episode(TOY, 120, seed=seed)
            columns = dict(made.columns)
            for key in TOY.control_keys:
                columns[key] = np.zeros_like(columns[key])
            if seed % 4 == 0:
                columns["pad/a"][50:60] = True
            writer.add(Episode(columns, made.meta, made.events))
    quiet = Store(tmp_path / "s")
    plain, thin = (
        task_of(quiet, head="independent", imitation={"static_segment_keep": share})
        for share in (1.0, 0.25)
    )
    batch = next(iter(thin.source(24, 0, 1)))
    tensors = thin.learner.to_device(batch, CPU)
    torch.manual_seed(0)
    sizes = [len(thin.learner._prepared(tensors, learning=True)[0].targets) for _ in range(100)]
    losses = [thin.learner.loss(thin.model.eval(), tensors)[0].item() for _ in range(400)]
    assert max(sizes) < 48
    exact = plain.learner.loss(thin.model, tensors)[0].item()
    assert abs(np.mean(losses) - exact) < 4 * np.std(losses) / 20


def test_whose_decisions_they_are(tmp_path):
    """With `by_player` each seat carries its player's number, and the strength if the metadata has it."""
    with Writer(tmp_path / "s", TOY) as writer:
        for seed, players in enumerate(
            (("ann", "bob"), ("bob", "ann"), ("bob", "cid"), ("ann", "cid"))
        ):
            writer.add(
                random_episode(TOY, 40, seed=seed, players=list(players), strength=[1.5, None])
            )
    store = Store(tmp_path / "s")
    everything = Split(
        0.5,
        0.5,
        0.0,
        seed=next(
            s for s in range(99) if len(Split(0.5, 0.5, 0.0, seed=s).episodes(store, "train")) == 2
        ),
    )
    task = prepare(
        store,
        config(batch=2),
        split=everything,
        preset="tiny",
        length=16,
        imitation={"by_player": True},
        strength=True,
    )
    batch, tensors = next(iter(task.source(2, 0, 1))), None
    tensors = task.learner.to_device(batch, CPU)
    prepared, _ = task.learner._prepared(tensors, learning=False)
    names = ("", *task.model.config.players)
    for seat in (0, 1):
        for row, episode in enumerate(batch.episode.tolist()):
            at = seat * len(batch) + row
            player = store.meta_of(episode)["players"][seat]
            assert names[int(prepared.style["player"][at])] in (player, "")
            assert prepared.style["strength"][at].tolist() == (
                [1.5, 1.0] if seat == 0 else [0.0, 0.0]
            )


def test_what_was_not_recorded_is_no_target(tmp_path):
    """A control that some training episodes lack is no target there.

    The terms that need it do not count.
    """
    with Writer(tmp_path / "s", PAD) as writer:
        for seed in range(8):
            made = random_episode(PAD, 40, seed=seed)
            columns = dict(made.columns)
            gone = frozenset({"stick/push"}) if seed % 2 else frozenset()
            for key in gone:
                columns[key] = np.zeros_like(columns[key])
            writer.add(Episode(columns, made.meta, made.events, gone))
    store = Store(tmp_path / "s")
    task = prepare(store, config(batch=6), split=HALF, preset="tiny", length=16)
    batch, tensors = batch_of(task)
    prepared, _ = task.learner._prepared(tensors, learning=False)
    term = task.model.head.names.index("push.change")
    for row, episode in enumerate(batch.episode.tolist()):
        there = "stick/push" not in store.absent_in(episode)
        assert bool(prepared.counted[row, :, term].any()) == there
        assert prepared.counted[row, :, 0].any()


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "policy-mlp"])
def test_every_preset_learns(store, preset):
    """Some steps on one batch make its loss smaller, and each score comes with its baselines."""
    task = task_of(store, preset=preset)
    _, tensors = batch_of(task)
    adam = torch.optim.Adam(task.model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss, terms = task.learner.loss(task.model, tensors)
        assert set(terms) == set(task.learner.losses)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    scores = task.learner.score(task.model.eval(), tensors)
    assert {
        "loss/copy_last",
        "change_nll/rate",
        "onset_f1_greedy/copy_last",
        "press_ratio_expected/never_press",
        "btn_pressed_acc/copy_last",
    } <= set(scores)
    assert float(scores["onset_f1_greedy/copy_last"].top.sum()) == 0
    assert float(scores["press_ratio_expected/never_press"].top.sum()) == 0


def test_the_seeds_metrics_have_the_seeds_names(tmp_path):
    """The older policy is scored by `stick_mae` and `btn_pressed_acc`, beside the score of copying."""
    with Writer(tmp_path / "s", PAD) as writer:
        for seed in range(8):
            writer.add(random_episode(PAD, 40, seed=seed))
    store = Store(tmp_path / "s")
    task = prepare(
        store, config(batch=6), split=HALF, preset="policy-mlp", length=16, width=16, trunk_width=8
    )
    assert task.learner.seats == (0,)
    _, tensors = batch_of(task)
    scores = task.learner.score(task.model.eval(), tensors)
    assert {
        "stick_mae",
        "stick_mae/copy_last",
        "btn_pressed_acc",
        "btn_pressed_acc/never_press",
    } <= set(scores)
    assert (
        float(scores["stick_mae/copy_last"].top.sum() / scores["stick_mae/copy_last"].bottom.sum())
        > 0.2
    )


@pytest.mark.parametrize(
    ("imitation", "message"),
    [
        ({"seat": (0,)}, "no setting 'seat': did you mean 'seats'"),
        ({"seats": (2,)}, "toy has no seat 2"),
        ({"static_segment_keep": 1.5}, "a share above 0 and at most 1"),
        (
            {"actionable_when": ["player/stun=0"]},
            "actionable_when 'player/stun=0' is not a condition on toy.*unknown field 'player/stun'",
        ),
        ({"actionable_when": ["no_decrease(player/hit_by)"]}, "is about a series of values"),
        ({"actionable_when": ["player/hit_by in 3 .. 2"]}, "the range 3 .. 2 is empty"),
    ],
)
def test_lessons_that_cannot_be_are_refused(store, imitation, message):
    """Unknown settings, seats and conditions, in words."""
    with pytest.raises(UsageError, match=message):
        task_of(store, imitation=imitation)


def test_lessons_are_plain_data():
    """Lists from a card become what the settings hold."""
    assert ImitationConfig.of({"seats": [1], "mirror": True}) == ImitationConfig(
        seats=(1,), mirror=True
    )


def test_a_strategy_encoder_is_trained_along(tmp_path):
    """Its tasks are losses with weights, whose gradients reach it; unknown opponents cost nothing."""
    with Writer(tmp_path / "named", TOY) as writer:
        for seed in range(12):
            names = ["cal", "fern"] if seed % 2 else ["fern", "unknown"]
            writer.add(random_episode(TOY, 40, seed=seed, players=names))
    store = Store(tmp_path / "named")
    task = task_of(store, preset="small", strategy="gru", imitation={"strategy_coef": 0.5})
    learner, model = task.learner, task.model.train()
    assert model.config.opponents == ("cal", "fern")
    assert learner.losses["next_controls"] == 0.5
    assert learner.losses["identity"] == 0.1
    batch = batch_of(task)[1]
    total, found = learner.loss(model, batch)
    assert total.item() == pytest.approx(
        sum(weight * found[name].item() for name, weight in learner.losses.items()), rel=1e-5
    )
    total.backward()
    for head in (model.strategy.next_controls, model.strategy.identity):
        assert head.weight.grad.abs().max() > 0
    batch.opponent.fill_(-1)
    assert learner.loss(model, batch)[1]["identity"] == 0.0


def test_a_policy_with_an_encoder_trains_and_plays(store, tmp_path):
    """A run logs the encoder's tasks, and the policy of its checkpoint decides with its memory."""
    options = config(batch=6, steps=3, log_every=1)
    task = prepare(
        store, options, split=HALF, preset="small", input_columns=SEES, length=16, width=16,
        strategy="banded",
    )  # fmt: skip
    train(task, tmp_path / "run", options)
    lines = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if "norm" in line]
    assert all(line["next_controls"] > 0 for line in lines)
    agent = policy_agent(checkpoint.find_checkpoint(tmp_path / "run"), TOY)
    state = agent.start(np.arange(2), np.zeros(2, int))
    _, after = agent.act(TOY.neutral(2), state)
    assert after["memory"][0]["strategy.known"][:2].tolist() == [1, 1]
