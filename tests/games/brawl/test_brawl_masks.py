"""Masks of actions: what is masked does nothing, in the simulator itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from shadowbox.core.files import mismatches
from shadowbox.core.view import from_seat
from shadowbox.errors import UsageError
from shadowbox.games.brawl import COMBOS, GAME
from shadowbox.games.brawl.schema import KEYS, SCHEMA
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.model.policy import build_policy
from shadowbox.play.restored_policy import ARGUMENTS

MATCHES = 128
MEMORY = ("space", "h", "l")  # keys of which a press acts, and that are remembered as held


def build(repeat, mask=True):
    """A policy whose decisions are held for `repeat` frames."""
    model = {"mask": mask, "repeat": repeat, "width": 8, "hidden_width": 8, "head_width": 8}
    inputs = Inputs(spec=RunSpec(GAME, "small", model))
    return build_policy(SCHEMA, learner_spec("selfplay")._arguments(inputs)).eval()


def tensors(view):
    """Columns as models take them."""
    return {
        key: torch.from_numpy(
            np.ascontiguousarray(v.astype(np.int64) if v.dtype.kind == "u" else v)
        )
        for key, v in view.items()
    }


def drawn(rng, held=None):
    """Random keys [N, 2, 10]: combinations of the table, most of them held on."""
    table = np.array([[key in keys for key in KEYS] for keys in COMBOS.values()])
    keys = table[rng.integers(len(table), size=(MATCHES, 2))]
    if held is None:
        return keys
    return np.where((rng.random((MATCHES, 2)) < 0.75)[..., None], held, keys)


def step(world, keys):
    """One frame with keys [N, 2, 10]: columns and events."""
    columns, events, _ = world.step({f"keys/{key}": keys[:, :, at] for at, key in enumerate(KEYS)})
    return columns, events


def situations(seed, count, first="based"):
    """States in the middle of matches between bots and random keys: (world, columns, rng)."""
    rng = np.random.default_rng(seed)
    world = GAME.world(MATCHES, time_limit=5000)
    seeds = np.arange(MATCHES) + 1000 * seed
    columns = world.reset(seeds)
    bots = [GAME.bots[name]() for name in (first, "aggressive")]
    states = [bot.start(seeds, np.full(MATCHES, at)) for at, bot in enumerate(bots)]
    wild, keys = rng.random((MATCHES, 2)) < 0.4, drawn(rng)
    for frame in range(count * 40):
        answers = []
        for at, bot in enumerate(bots):
            own, states[at] = bot.act(from_seat(SCHEMA, columns, at), states[at])
            answers.append(np.concatenate([own[f"keys/{key}"] for key in KEYS], 1))
        keys = np.where(wild[..., None], drawn(rng, keys), np.stack(answers, 1))
        columns, _ = step(world, keys)
        if frame % 40 == 39:
            snapshot = world.snapshot()
            yield world, {key: values.copy() for key, values in columns.items()}, rng
            columns = world.restore(snapshot)


def choices(policy, columns):
    """Points [K, 10], those allowed [N, K], and the largest allowed part of each masked point."""
    allowed = policy.mask(tensors(columns)).numpy()
    points = policy.head.parts[0].points.numpy() > 0.5
    inside = ~(points[None] & ~points[:, None]).any(-1)  # [K, L]: L is a part of K
    size = np.where(inside[None] & allowed[:, None], points.sum(-1), -1)
    return points, allowed, size.argmax(-1)


def bits(columns, where, but=()):
    """State of the matches `where` as one array [n, numbers], without some columns of seat 0."""
    parts = [columns[key][where, int(key in but) :].astype(float) for key in SCHEMA.state_keys]
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("repeat", [1, 4])
def test_masked_combinations_do_nothing(repeat):
    """Held as long as a decision, a masked combination leads to the state that its allowed part does.

    Only the memory of keys that are still held may differ.
    """
    policy, seen = build(repeat), np.zeros(len(COMBOS))
    held = {f"player/held_{key}" for key in MEMORY}
    for world, columns, rng in situations(repeat, 8):
        points, allowed, part = choices(policy, columns)
        start, plan = world.snapshot(), [drawn(rng) for _ in range(repeat)]
        assert allowed[:, 0].all()  # the neutral action
        for number, point in enumerate(points):
            masked = ~allowed[:, number]
            seen[number] += masked.sum()
            if not masked.any():
                continue
            ends = []
            for pressed in (np.broadcast_to(point, (MATCHES, 10)), points[part[:, number]]):
                world.restore(start)
                for keys in plan:
                    keys[masked, 0] = pressed[masked]
                    after, events = step(world, keys)
                own = events[np.isin(events["match"], np.flatnonzero(masked))]
                ends.append((bits(after, masked, held), own.tolist()))
            np.testing.assert_array_equal(ends[0][0], ends[1][0], str(point))
            assert ends[0][1] == ends[1][1]
    acts = points[:, [at for at, key in enumerate(KEYS) if key not in "ad"]].any(-1)
    assert (seen[acts] > 20).all()  # each was masked somewhere
    assert not seen[~acts].any()


def test_keys_that_count_as_held_never_help():
    """Everything that can be done after a masked combination can be done after its allowed part.

    As long as a key that the mask took is held on, leaving it out does the same; once it is
    released, the states are equal in every bit.
    """
    policy, compared = build(1), 0
    memory, weapon = np.array([key in MEMORY for key in KEYS]), KEYS.index("h")
    for world, columns, rng in situations(5, 5, "weapon_seeker"):
        points, allowed, part = choices(policy, columns)
        start = world.snapshot()
        for number in np.flatnonzero((points & memory).any(-1)):
            masked, point = ~allowed[:, number], points[number] & memory
            plan = [drawn(rng)]
            for _ in range(7):
                plan.append(drawn(rng, plan[-1]))
                plan[-1][:, 0] |= point & (rng.random(MATCHES) < 0.8)[:, None]  # held on
            plan.append(drawn(rng))
            plan[0][:, 0], plan[-1][:, 0] = points[number], plan[-1][:, 0] & ~memory
            world.restore(start)
            for keys in plan:
                one, _ = step(world, keys)
            one = bits(one, masked)
            now, held = world.restore(start), point & ~points[part[:, number]]
            for at, keys in enumerate(plan):
                held = held & keys[:, 0]
                left = held.copy()
                if at:  # with empty hands, H takes a weapon whenever it is held
                    left[:, weapon] &= now["player/weapon"][:, 0] != 0
                mimic = keys.copy()
                mimic[:, 0] &= ~left
                now, _ = step(world, mimic)
            compared += masked.sum()
            np.testing.assert_array_equal(one, bits(now, masked), str(number))
    assert compared > 1000


def test_nothing_is_masked_that_acts():
    """A fighter that stands free on the ground may jump, evade, attack, taunt and take a weapon."""
    policy, columns = build(4), GAME.world(1).reset(np.zeros(1, np.int64))
    free = {key: values.copy() for key, values in columns.items()}
    free["player/grounded"][:] = True
    free["player/state"][:] = 1
    allowed = policy.mask(tensors(free)).numpy()[0]
    points = policy.head.parts[0].points.numpy() > 0.5
    masked = {tuple(np.array(KEYS)[point]) for point in points[~allowed]}
    assert masked == {("w",)}  # an aim up without an attack
    assert build(4, mask=False).mask is None


def arguments_of(**model):
    """Arguments of a policy as a checkpoint has them."""
    spec = RunSpec(GAME, "small", {"mask": True, **model})
    return json.loads(json.dumps(learner_spec("selfplay")._arguments(Inputs(spec=spec))))


def test_a_checkpoint_keeps_the_rules():
    """Rules are plain data of a checkpoint, and one without them plays unmasked."""
    arguments = arguments_of()
    assert list(mismatches(arguments, ARGUMENTS)) == []
    assert build_policy(SCHEMA, arguments).mask is not None
    assert "masks" not in arguments_of(mask=False)
    old = {key: value for key, value in arguments["config"].items() if key != "mask"}
    assert build_policy(SCHEMA, {**arguments, "config": old}).mask is None


@pytest.mark.parametrize(
    ("when", "columns", "complaint"),
    [
        ([{"player/x": [[0, 1]]}], None, "'player/x' is not a choice or a flag"),
        ([{"player/stun": [[0, 1]]}], ["player/x"], "needs the input 'player/stun'"),
        ([{}], None, "no rule has a condition"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(when, columns, complaint):
    """A rule is about choices and flags among the policy's inputs."""
    arguments = arguments_of()
    arguments["masks"] = {"keys/j": {"when": when, "without": []}}
    arguments["input_columns"] = columns or arguments["input_columns"]
    with pytest.raises(UsageError, match=complaint):
        build_policy(SCHEMA, arguments)


@pytest.mark.parametrize("model", [{"delay": 3}, {"delays": [0, 6]}, {"head": "chain"}], ids=str)
def test_a_mask_needs_a_policy_that_sees_the_present(model):
    """A delay, or a head without a categorical distribution, excludes masks."""
    with pytest.raises(UsageError, match="mask"):
        build_policy(SCHEMA, arguments_of(**model))
