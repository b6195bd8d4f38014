"""Scene of gesture: what was not found is not drawn, and landmarks are where they were."""

from __future__ import annotations

import numpy as np
from older_npz import made

from shadowbox.core.scenes.grammar import evaluate, validate
from shadowbox.games import load
from shadowbox.games.gesture.recording import episodes_of
from shadowbox.games.gesture.schema import HAND_SLOTS, POSE_LANDMARKS, SCHEMA


def test_a_lost_hand_and_a_lost_body_are_not_drawn():
    """Each landmark that was found is a dot; a raised hand is drawn higher than a hanging one."""
    scene = load("gesture").scene()
    validate(scene, SCHEMA)
    (episode, *_) = episodes_of(made(5.0, number=3))
    row = {key: values[60].copy() for key, values in episode.columns.items()}
    found = {}
    for both in (True, False):
        row["seen/left_hand"][:] = row["seen/right_hand"][:] = row["seen/pose"][:] = True
        if not both:
            row["seen/left_hand"][:] = row["seen/pose"][:] = False
        row["pose/y"][POSE_LANDMARKS.index("left_wrist")] = -0.7
        found[both] = [shape for shape in evaluate(scene, row) if shape.get("fill") == "#2F7FC1"]
    assert len([s for s in found[True] if s["shape"] == "circle"]) == 33 + HAND_SLOTS
    assert len([s for s in found[False] if s["shape"] == "circle"]) == HAND_SLOTS // 2
    dots = [shape for shape in found[True] if shape["shape"] == "circle"]
    wrist, hip = (POSE_LANDMARKS.index(name) for name in ("left_wrist", "left_hip"))
    assert dots[wrist]["y"] < dots[hip]["y"]
    assert np.isclose(dots[hip]["y"] - dots[wrist]["y"], 2.9 * (row["pose/y"][hip] + 0.7))
