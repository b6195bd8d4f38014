"""Other bodies than the recorded ones, in training: what changes, and what stays."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from shadowbox.core.schema import SchemaError
from shadowbox.errors import UsageError
from shadowbox.games.brawl.schema import SCHEMA as BRAWL
from shadowbox.games.gesture.body import person, session
from shadowbox.games.gesture.recording import episodes_of
from shadowbox.games.gesture.schema import HAND_OF, POSE_LANDMARKS, SCHEMA
from shadowbox.learners.augmentation.bodies import changed_bodies, view_changes
from shadowbox.learners.imitation_options import ImitationConfig, require_possible

ROWS = 40
SEEN = ("pose", "left_hand", "right_hand")
ELBOW, WRIST = (POSE_LANDMARKS.index(f"right_{name}") for name in ("elbow", "wrist"))


@pytest.fixture(scope="module")
def columns():
    """Segments of six people [6, ROWS, slots], of which two have lost a hand."""
    parts = [next(iter(episodes_of(session(person(4, n), 1, 4)))).columns for n in range(6)]
    found = {
        key: torch.from_numpy(np.stack([part[key][:ROWS] for part in parts]))
        for key in parts[0]
        if key.startswith(("pose", "hand", "seen"))
    }
    for key in found:
        if key.startswith("hand"):
            found[key][:2, 10:, HAND_OF["left"]] = 0
    found["seen/left_hand"][:2, 10:] = False
    return found


def changed(columns, seed=1, **settings):
    """Columns whose bodies are changed by these settings."""
    torch.manual_seed(seed)
    return changed_bodies(SCHEMA, columns, ImitationConfig(**settings))


def places(columns, group="pose"):
    """Places of the points of a skeleton, [..., slots, 3]."""
    return torch.stack([columns[f"{group}/{axis}"] for axis in "xyz"], -1)


def forearm(columns):
    """Vector from the right elbow to the wrist, [6, ROWS, 3]."""
    points = places(columns)
    return points[..., WRIST, :] - points[..., ELBOW, :]


def test_bodies_without_a_change_are_those_that_were_recorded(columns):
    """The smallest change gives the recorded places and rates back; flags and visibility are the same."""
    same = changed(columns, body_size=1e-9)
    for key, values in columns.items():
        torch.testing.assert_close(same[key], values, atol=2e-3, rtol=0)
    assert same["seen/left_hand"] is columns["seen/left_hand"]
    assert same["pose/visibility"] is columns["pose/visibility"]


def test_lost_hands_stay_lost_and_repeated_frames_repeated(columns):
    """Noise and tremor move found points alone, and a frame that a camera repeats has them once."""
    shaken = changed(columns, body_noise=0.04, body_tremor=0.05)
    assert not places(shaken, "hand")[:2, 10:, HAND_OF["left"]].any()
    assert places(shaken, "hand")[:2, :10, HAND_OF["left"]].any()
    again = (places(columns)[:, 1:] == places(columns)[:, :-1]).all((-1, -2))
    assert 0 < again.sum() < again.numel() / 2
    moved = (places(shaken)[:, 1:] != places(shaken)[:, :-1]).any(-1).any(-1)
    assert torch.equal(moved, ~again)
    spread = (places(shaken) - places(columns)).std((0, 1, 2))
    assert 1.5 < spread[2] / spread[0] < 2.5  # depth is known less well


def test_each_segment_has_a_size_and_bones_of_its_own(columns):
    """Sizes are the same for body and hands; lengths of bones last for a segment."""
    grown = changed(columns, body_size=0.2)
    ratio = forearm(grown).norm(dim=-1) / forearm(columns).norm(dim=-1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert 0.8 <= ratio.min() < 0.95 < 1.05 < ratio.max() <= 1.2
    tips = slice(HAND_OF["right"].start + 4, HAND_OF["right"].start + 5)
    seen = columns["seen/right_hand"][..., 0]
    of_hand = (
        places(grown, "hand")[..., tips, :].norm(dim=-1)
        / places(columns, "hand")[..., tips, :].norm(dim=-1)
    )[..., 0]
    torch.testing.assert_close(of_hand[seen], ratio[seen], atol=1e-3, rtol=1e-3)
    longer = changed(columns, body_lengths=0.2)
    ratio = forearm(longer).norm(dim=-1) / forearm(columns).norm(dim=-1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-4, rtol=1e-4)
    assert ratio.std() > 0.02


def test_amplitudes_change_angles_and_no_lengths(columns):
    """A segment's angles from the usual direction of a bone are all smaller or all larger, by one share."""
    usual = torch.nn.functional.normalize(
        torch.nn.functional.normalize(forearm(columns), dim=-1).sum((0, 1)), dim=0
    )
    bent = changed(columns, body_amplitude=0.4)

    def angles(of):
        way = torch.nn.functional.normalize(forearm(of), dim=-1)
        return torch.acos((way @ usual).clamp(-1, 1))

    torch.testing.assert_close(
        forearm(bent).norm(dim=-1), forearm(columns).norm(dim=-1), atol=1e-5, rtol=1e-4
    )
    before, after = angles(columns), angles(bent)
    clear = (before > 0.1) & (before < 2)
    shares = [(after[n] / before[n])[clear[n]] for n in range(6)]
    assert max(float(each.std()) for each in shares) < 1e-2
    means = torch.stack([each.mean() for each in shares])
    assert 0.6 <= means.min() < 0.9 < 1.1 < means.max() <= 1.4


def test_rates_are_those_of_the_changed_places():
    """With frames at exact times, a rate is the difference of two changed places."""
    torch.manual_seed(3)
    made = {f"seen/{name}": torch.ones(2, ROWS, 1, dtype=torch.bool) for name in SEEN}
    for group, slots in (("pose", 33), ("hand", 42)):
        path = torch.randn(2, ROWS, slots, 3).cumsum(1) / 50 + torch.randn(2, 1, slots, 3)
        rate = torch.diff(path, dim=1, prepend=path[:, :1]) * SCHEMA.fps
        made |= {f"{group}/{axis}": path[..., at] for at, axis in enumerate("xyz")}
        made |= {f"{group}/v{axis}": rate[..., at] for at, axis in enumerate("xyz")}
    other = changed(
        made, body_size=0.2, body_lengths=0.1, body_turn=0.3, body_tremor=0.05, body_noise=0.02,
        body_amplitude=0.3,
    )  # fmt: skip
    for key in ("pose/x", "pose/z", "hand/y"):
        group, axis = key.split("/")
        steps = torch.diff(other[key], dim=1) * SCHEMA.fps
        torch.testing.assert_close(other[f"{group}/v{axis}"][:, 1:], steps, atol=2e-2, rtol=1e-3)


def test_games_without_a_skeleton_and_skeletons_with_a_circle_are_refused():
    """Settings of bodies need a schema with bones, whose points hang from the origin in the end."""
    with pytest.raises(UsageError, match="brawl declares no skeleton"):
        require_possible(BRAWL, ImitationConfig(body_noise=0.1))
    with pytest.raises(UsageError, match="body_turn is 2"):
        ImitationConfig(body_turn=2)
    [pose] = [group for group in SCHEMA.state if group.name == "pose"]
    circle = ((1,), (0,), *pose.bones[2:])
    rest = tuple(group for group in SCHEMA.state if group is not pose)
    with pytest.raises(SchemaError, match="without a circle"):
        dataclasses.replace(SCHEMA, state=(dataclasses.replace(pose, bones=circle), *rest))


def test_a_checkpoint_is_calibrated_on_the_bodies_of_its_training(columns, tmp_path):
    """Views change as the run says, by a seed; a run without changes and a lone checkpoint change nothing."""
    from shadowbox.train.log import FACTS, VERSION

    checkpoint = tmp_path / "run" / "checkpoints" / "00000010"
    checkpoint.mkdir(parents=True)
    assert view_changes(checkpoint, SCHEMA) is None
    facts = {"format": "shadowbox run", "version": VERSION, "imitation": {"body_size": 0.0}}
    (tmp_path / "run" / FACTS).write_text(json.dumps(facts))
    assert view_changes(checkpoint, SCHEMA) is None
    facts["imitation"] = {"body_size": 0.2, "mirror": False}
    (tmp_path / "run" / FACTS).write_text(json.dumps(facts))
    change = view_changes(checkpoint, SCHEMA)
    view = {key: values[3].numpy() for key, values in columns.items()}
    before = torch.get_rng_state()
    one, again, other = change(view, 7), change(view, 7), change(view, 8)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(one[key], again[key]) for key in view)
    assert not np.allclose(one["pose/x"], view["pose/x"])
    assert not np.allclose(one["pose/x"], other["pose/x"])
    assert view_changes(checkpoint, BRAWL) is None
