"""Self-play: rollouts that are sound, and runs that go on exactly where they stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_selfplay import GAME, MODEL, SPEC, inputs

from shadowbox.cards.sections import Stage
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.learners.plain_state import from_plain
from shadowbox.model.checkpoint import find_checkpoint, load
from shadowbox.play import rewards, specs
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.restored_policy import restore_policy
from shadowbox.report.selfplay import learner_blocks
from shadowbox.train.loop import train
from shadowbox.train.observer import CONTINUE, ObserverDecision
from shadowbox.train.protocols import ParentCheckpoint
from shadowbox.train.runs import find_run

LATE = {**MODEL, "delays": [0, 3, 5]}
MASKED = {**MODEL, "mask": True}
STAGES = (
    Stage(name="still", opponents={"constant": 1.0}, gate="play/recent.constant.high >= 0"),
    Stage(
        name="all",
        opponents={"self": 0.5, "league": 0.5},
        set={"learner.ent_coef": 0.5, "reward": {"win": 2.0}},
        regress="play/recent.self < 0",
    ),
)


def rollouts_of(task, matches=8):
    """The source of a task."""
    return task.source(matches, 0, 1)


@pytest.mark.parametrize("model", [MODEL, LATE, MASKED])
def test_the_first_ratio_is_one(model):
    """Rollout and update agree: before any step, recorded and evaluated log-probabilities are equal."""
    task = SPEC.prepare(inputs(model=model))
    batch = task.learner.to_device(rollouts_of(task).collect(), torch.device("cpu"))
    task.model.train()
    found = task.model.evaluate_actions(
        batch.columns, batch.pressed, batch.reset, dict(batch.memory)
    )
    assert (found.log_prob - batch.log_prob).abs().max() < 1e-5
    assert (found.value - batch.value).abs().max() < 1e-5
    assert batch.reset.any()  # matches ended inside
    assert batch.reset[:, 1:].any()
    assert (found.output.allowed is not None) == (model is MASKED)
    if model is MASKED:  # entropy and samples are over the allowed actions alone
        count = found.output.allowed.sum(-1)
        assert count.min() < count.max() < found.output.allowed.shape[-1]
        assert ((found.entropy[..., 0] - count.log()).abs() < 0.01).all()  # uniform at first
        (part,) = task.model.head.parts
        chosen = part.index(batch.pressed)[..., None]
        assert found.output.allowed.gather(-1, chosen).all()
        found.entropy.sum().backward()
        assert all(
            torch.isfinite(p.grad).all() for p in task.model.parameters() if p.grad is not None
        )


def test_a_long_rollout_is_two_short_ones():
    """How a run is cut into rollouts changes nothing that is played."""
    whole = rollouts_of(SPEC.prepare(inputs(opponents={"self": 0.5, "based": 0.5}, n_steps=24)))
    parts = rollouts_of(SPEC.prepare(inputs(opponents={"self": 0.5, "based": 0.5}, n_steps=12)))
    one, two = whole.collect(), [parts.collect(), parts.collect()]
    for key, values in one.columns.items():
        joined = np.concatenate([each.columns[key] for each in two], axis=1)
        np.testing.assert_array_equal(values, joined)
    assert torch.equal(one.pressed, torch.cat([each.pressed for each in two], 1))


@pytest.mark.parametrize(
    ("delays", "mask"), [(None, False), ([3], False), ([0, 5], False), (None, True)]
)
def test_training_and_play_are_the_same(delays, mask):
    """As an agent in a match, the policy presses what it pressed in the rollout of that match."""
    model = {**MODEL, "mask": mask} | ({"delays": delays} if delays else {})
    task = SPEC.prepare(inputs(opponents={"constant": 1.0}, matches=4, model=model))
    source = rollouts_of(task, 4)
    batch = source.collect()
    chosen = batch.columns["delay"][:, 0, 0] if delays else np.zeros(4)
    if delays == [0, 5]:
        assert set(chosen) == {0.0, 5.0}
    world = GAME.world(4, time_limit=15)
    seat = np.arange(4) % 2
    columns = world.reset(_first_seeds(source))
    pressed = GAME.schema.neutral(4)
    pressed = {key: pressed[key] for key in GAME.schema.control_keys}
    agents = {late: PolicyAgent(task.model).with_delay(int(late)) for late in set(chosen)}
    states = {
        (player, late): agent.start(_first_seeds(source), np.full(4, player))
        for player in (0, 1)
        for late, agent in agents.items()
    }
    bot = specs.agent("constant", GAME)
    still = bot.start(_first_seeds(source), 1 - seat)
    for frame in range(14):
        view = {key: columns[key] for key in GAME.schema.state_keys} | pressed
        answers = []
        for player in (0, 1):
            seen = from_seat(GAME.schema, view, player)
            own = {key: np.zeros_like(values[:, :1]) for key, values in pressed.items()}
            for late, agent in agents.items():
                answer, states[player, late] = agent.act(seen, states[player, late])
                own = {k: np.where((chosen == late)[:, None], answer[k], own[k]) for k in own}
            rest, _ = bot.act(seen, still)
            learner = (seat == player)[:, None]
            answers.append({key: np.where(learner, own[key], rest[key]) for key in own})
            if frame % 2 == 0:
                at = np.flatnonzero(learner[:, 0])
                values = task.model.values.of_arrays(own)[at]
                np.testing.assert_array_equal(values, batch.pressed[at, frame // 2].numpy())
        pressed = {key: np.concatenate([answers[0][key], answers[1][key]], 1) for key in pressed}
        columns, _, _ = world.step(pressed)


def _first_seeds(source):
    from shadowbox.core.game import stable_hash

    return np.array(
        [
            stable_hash("rollout", source.matches.seed, 0, m, 0) >> 2
            for m in range(source.matches.matches)
        ]
    )


def test_no_match_changes_its_opponent():
    """A match keeps its snapshot and the learner's seat to its end, while the league moves on."""
    source = rollouts_of(SPEC.prepare(inputs(opponents={"league": 1.0}, n_steps=5)))
    met, seats, names = {}, {}, set()
    play = source.matches.play

    def watched(controls):
        for match in range(8):
            game = (match, int(source.matches.games[match]))
            opponent = source.matches.snapshots.opponent(match)
            assert met.setdefault(game, opponent) == opponent
            assert (
                seats.setdefault(game, int(source.matches.seat[match]))
                == source.matches.seat[match]
            )
            names.add(opponent)
        return play(controls)

    source.matches.play = watched
    for number, _ in zip(range(14), source, strict=False):
        with torch.no_grad():  # the learner changes; its snapshots must not
            source.policy.head.linear.bias += 0.01 * number
    assert len(names) > 2
    for match in range(8):  # both seats, in turn
        assert {seats[match, game] for game in (1, 2)} == {0, 1}
    for at, name in enumerate(source.matches.snapshots.names):
        own = source.matches.snapshots.models[at].state_dict()
        kept = source.matches.league.weights(name) if name in source.matches.league.names else own
        assert all(torch.equal(own[key], values) for key, values in kept.items())


def test_each_player_sees_the_state_by_its_own_delay_and_its_keys_at_once():
    """Views are as late as the drawn delay, never reach into the match before, and own keys are new."""
    source = rollouts_of(SPEC.prepare(inputs(opponents={"self": 1.0}, model=LATE, n_steps=20)))
    past, play, turn = [], source.matches.play, source.matches.batch.turn

    def keep():
        past.append({key: v.copy() for key, v in source.matches.batch.view.items()})

    def watched_turn(*given, **named):
        found = turn(*given, **named)
        keep()
        return found

    born = np.zeros(8, int)
    checked = set()

    def watched(controls):
        fresh = source.matches.decided == 0
        born[fresh] = len(past) - 1
        for key in source.matches.late.ring:  # matches that began after the last turn
            past[-1][key][fresh] = source.matches.batch.view[key][fresh]
        seen = source.matches.seen()
        for row, (match, seat) in enumerate(
            zip(source.matches.match, source.matches.players, strict=True)
        ):
            late = int(seen["delay"][row, 0])
            at = max(len(past) - 1 - late, born[match])
            checked.add((late, len(past) - 1 - late < born[match]))
            for key in ("player/x", "keys/a"):
                then = past[at][key][match, [1 - seat]]
                own = past[at if key == "player/x" else -1][key][match, [seat]]
                np.testing.assert_array_equal(seen[key][row], np.concatenate([own, then]))
        return play(controls)

    source.matches.play, source.matches.batch.turn = watched, watched_turn
    past.append({key: np.zeros_like(v) for key, v in GAME.schema.neutral(8).items()})
    source.collect()
    assert checked >= {(0, False), (3, False), (5, False), (3, True), (5, True)}


def test_an_opponent_of_the_past_is_late_too():
    """Snapshots of a policy with delays are told a delay and see the state by it."""
    source = rollouts_of(SPEC.prepare(inputs(opponents={"league": 1.0}, model=LATE)))
    met, act = [], None

    def watched(view, noise):
        met.append(view["delay"][:, 0].tolist())
        return act(view, noise)

    act, source.matches.snapshots.act = source.matches.snapshots.act, watched
    source.collect()
    assert {late for each in met for late in each} == {0.0, 3.0, 5.0}
    assert met[0] == met[1]  # one delay for a whole match


def test_held_out_bots_are_refused_without_a_card_too():
    """A learner built in Python is not given a held-out bot either, whatever its options."""
    task = SPEC.prepare(inputs(opponents={"self": 0.5, "charger@delay=3": 0.5}))
    with pytest.raises(UsageError, match="'charger@delay=3' is held out"):
        rollouts_of(task)


def test_the_policy_sees_itself():
    """Features change when only the own state changes."""
    policy = SPEC.prepare(inputs()).model.eval()
    view = {
        key: torch.from_numpy(v.astype(np.int64) if v.dtype.kind == "u" else v)
        for key, v in GAME.schema.neutral(1).items()
    }
    moved = {**view, "player/x": view["player/x"] + torch.tensor([[3.0, 0.0]])}
    noise, memory = torch.zeros(1, policy.draws), policy.initial(1)
    values = [policy.decide(each, memory, noise).value for each in (view, moved)]
    assert not torch.equal(*values)


@pytest.mark.parametrize("reward", sorted(GAME.rewards))
def test_a_loss_pays_less_than_a_win(reward):
    """With the same trajectory and the outcome flipped, a loss pays less than a win."""
    from shadowbox.core.game import EVENT

    paid = rewards.resolve_reward(reward, GAME)
    view = {key: values.copy() for key, values in GAME.schema.neutral(1).items()}
    earlier = paid.before(view)
    after = {**view, "match/over": np.ones((1, 1), bool)}
    event = np.zeros(1, EVENT)
    event["kind"] = GAME.event_kinds.index("win")
    sums = []
    for winner in (0, 1):
        event["player"], event["other"] = winner, 1 - winner
        sums.append(paid(earlier, after, event)[0][0])
    assert sums[0][0] > sums[1][0]
    assert sums[0][0] > sums[0][1]


def test_stages_change_what_is_met():
    """A gate that holds brings the next stage: its opponents, its settings and its reward."""
    task = SPEC.prepare(inputs(stages=STAGES, snapshot_every=5))
    source = rollouts_of(task)
    assert source.matches.shares == {"constant": 1.0}
    for _ in range(2):
        source.collect()
    assert task.learner.take_lines(False) == {}
    figures = task.learner.take_lines(True)["play"]
    assert figures["stage"] == (0.0, 1.0)
    assert source.matches.shares == {"self": 0.5, "league": 0.5}
    assert task.learner.config.ent_coef == source.config.ent_coef == 0.5
    assert source.matches.batch.reward.weights == {"win": 2.0}
    source.step = 4  # between two snapshots: the league begins with one
    assert len(source.collect()) == 12  # 8 matches, 4 of them seen from both seats


def test_terms_add_up_to_the_return():
    """Every finished match says its return by term, zeros too, and goes on so after a restart."""
    given = {"opponents": {"self": 0.5, "based": 0.5}, "n_steps": 20}
    task, again = (SPEC.prepare(inputs(**given)) for _ in range(2))
    source, other = rollouts_of(task), rollouts_of(again)
    source.collect()
    other.load(source.state())
    for each in (source, other):
        each.collect()
    finished = source.matches.take_finished()
    assert finished == other.matches.take_finished()
    assert len(finished) > 8
    assert any(each["return"] for each in finished)
    for each in finished:
        assert set(each["terms"]) == set(source.matches.batch.reward.weights)
        assert each["return"] == pytest.approx(sum(each["terms"].values()))
    source.matches.batch.set_reward(rewards.resolve_reward({"win": 1.0, "damage": 1.0}, GAME))
    source.collect()
    lines = task.learner.take_lines(True)["play"]
    terms = [total for name, (total, _) in lines.items() if name.startswith("return.")]
    assert len(terms) >= 2
    assert sum(terms) == pytest.approx(lines["return"][0])


def test_weights_move_with_the_run():
    """A weight in shares of the budget moves from rollout to rollout, in a stage too, and resumes."""
    moving = {"attack_press": {"from": 4.0, "to": 0.0, "by": 0.5}}
    stage = Stage(name="one", set={"reward": {"attack_press": {"from": 0.0, "to": 8.0, "by": 1.0}}})
    reward = rewards.resolve_reward(moving, GAME)
    for stages, weights in (((), [4.0, 2.0, 0.0, 0.0]), ((stage,), [0.0, 2.0, 4.0, 6.0])):
        given = replace(inputs(steps=4, opponents={"constant": 1.0}, stages=stages), reward=reward)
        source, seen = rollouts_of(SPEC.prepare(given)), []
        for number in range(4):
            if number == 2:
                state = source.state()
                source = rollouts_of(SPEC.prepare(given))
                source.load(state)
            source.step += 1
            source.collect()
            found = source.matches
            seen.append(found.batch.reward.weight("attack_press", found.learning_step))
        assert seen == weights


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ({"from": 1.0}, "'to' is wrong or missing"),
        ({"from": 1.0, "to": 0.0, "unti": 0.5}, "'unti' is wrong or missing"),
        ({"from": 1.0, "to": 0.0, "by": 2.0}, "by is 2.0, a share"),
    ],
)
def test_a_schedule_is_refused_by_name(weight, complaint):
    """A weight that moves says from, to and by."""
    with pytest.raises(UsageError, match=complaint):
        rewards.resolve_reward({"closing": weight}, GAME)


def test_a_stage_cannot_change_the_loop():
    """Settings of the loop belong to the whole run and are refused in a stage."""
    stage = Stage(name="fast", set={"train.lr": 0.1})
    with pytest.raises(UsageError, match=r"train\.lr"):
        SPEC.prepare(inputs(stages=(stage,)))


class _Stopper:
    """Pauses a run after a number of lines."""

    def __init__(self, lines):
        self.left = lines

    def __call__(self, progress):
        self.left -= 1
        return ObserverDecision("pause", "enough") if self.left == 0 else CONTINUE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "stages", "model"), [(1, (), LATE), (4, (), MODEL), (5, STAGES, MODEL)]
)
def test_resuming_is_exact(tmp_path, stop, stages, model):
    """A run that was stopped and resumed ends with the bits of one that was not."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run in (whole, cut):
        given = inputs(run, stages=stages, model=model)
        observer = _Stopper(stop) if run == cut else None
        train(SPEC.prepare(given), run, given.config, observer=observer)
    given = inputs(cut, stages=stages, model=model)
    train(SPEC.prepare(given), cut, given.config, resume=True)
    states = [
        torch.load(find_checkpoint(f"{run}@latest") / "trainer.pt", weights_only=True)["ranks"][0][
            "source"
        ]
        for run in (whole, cut)
    ]
    assert _same(*map(from_plain, states))
    weights = [
        (find_checkpoint(f"{run}@latest") / "model.safetensors").read_bytes()
        for run in (whole, cut)
    ]
    assert weights[0] == weights[1]
    if stages:  # it went on in the second stage
        stage = [
            json.loads(line).get("stage")
            for line in (cut / "metrics.jsonl").read_text().splitlines()
        ]
        assert [each for each in stage if each is not None][-1] == 1.0
    manifests = [(run / "league.json").read_bytes() for run in (whole, cut)]
    assert manifests[0] == manifests[1]


def _same(one, other):
    """Whether states are equal; bytes between the fields of a record do not count."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.all(np.asarray(one) == np.asarray(other)))


@pytest.mark.slow
def test_the_page_of_a_run(tmp_path):
    """The page of a run shows results by opponent and the league, whatever its files say."""
    given = inputs(tmp_path, steps=3, n_steps=24)
    train(SPEC.prepare(given), tmp_path, given.config)
    blocks = "".join(learner_blocks(find_run(tmp_path)))
    assert "Results by opponent" in blocks
    assert "based" in blocks
    assert "step-00000002" in blocks
    (tmp_path / "league.json").write_text('{"champion": 1, "snapshots": [{"name": "<b>"}]}')
    assert "cannot be read" in "".join(learner_blocks(find_run(tmp_path)))


def test_the_opponent_of_each_row_is_a_target():
    """Named agents have numbers, the policy itself and its snapshots none; their loss is logged."""
    model = {**MODEL, "strategy": "gru"}
    task = SPEC.prepare(inputs(model=model, stages=(Stage(name="x", opponents={"random": 1.0}),)))
    assert task.model.config.opponents == ("based", "constant", "random")
    source = rollouts_of(SPEC.prepare(inputs(model=model)))
    batch = source.collect()
    names = [*source.matches.names, *["self"] * source.matches.both]
    expected = {"based": 0, "constant": 1}
    assert batch.opponent.tolist() == [expected.get(str(name), -1) for name in names]
    assert {"identity", "next_controls"} <= set(SPEC.prepare(inputs(model=model)).learner.losses)
    alone = SPEC.prepare(inputs(model=model, opponents={"self": 1.0}))
    assert "identity" not in alone.learner.losses


def test_a_child_reads_a_delay_more_or_less_than_its_parent(tmp_path):
    """Weights are taken over with a delay that is new, or without one that is gone: both act alike."""
    rows = GAME.schema.neutral(1)
    view = {
        k: torch.from_numpy(v.astype(np.int64) if v.dtype.kind == "u" else v)
        for k, v in rows.items()
    }
    for name, before, after in (("grows", MODEL, LATE), ("shrinks", LATE, MODEL)):
        runs = [tmp_path / f"{name}-{which}" for which in ("parent", "child")]
        parent = None
        for run, model in zip(runs, (before, after), strict=True):
            asked = inputs(steps=1, model=model, run=run)
            config = replace(asked.config, keep_every=100)
            train(SPEC.prepare(asked), run, config, parent=parent)
            parent = ParentCheckpoint(f"{run}@latest")
        values = []
        for spec in (f"{runs[0]}@latest", f"{runs[1]}@step=0"):
            policy = restore_policy(load(find_checkpoint(spec)), GAME.schema)
            noise = torch.zeros(1, policy.draws)
            values.append(policy.decide(view, policy.initial(1), noise).value)
        torch.testing.assert_close(*values)
