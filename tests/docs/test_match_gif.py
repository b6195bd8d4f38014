"""The animation of the front page: small, alive, and painted by our own script."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

ROOT = Path(__file__).resolve().parents[2]
GIF = ROOT / "docs" / "match.gif"


def test_the_animation_is_small_enough_for_a_front_page():
    """docs/match.gif has less than 3 MB and at least 640 pixels across."""
    assert GIF.stat().st_size < 3_000_000
    with Image.open(GIF) as image:
        assert image.format == "GIF"
        assert image.width >= 640


def test_the_animation_plays_at_the_pace_of_the_game_and_repeats():
    """Its 6 to 9 seconds have 20 to 30 frames each and repeat forever, and most frames show something new."""
    with Image.open(GIF) as image:
        assert image.is_animated
        assert image.info["loop"] == 0
        durations, moved, earlier = [], 0, None
        for at in range(image.n_frames):
            image.seek(at)
            durations.append(image.info["duration"])
            pixels = np.asarray(image.convert("RGB"))
            moved += earlier is not None and bool((pixels != earlier).any())
            earlier = pixels
    seconds = sum(durations) / 1000
    assert 6 <= seconds <= 9
    assert 20 <= len(durations) / seconds <= 30.01
    assert moved > 0.9 * len(durations)


@pytest.mark.slow
def test_the_script_of_the_animation_paints_one(tmp_path):
    """docs/match_gif.py plays its match and paints as many frames as it is asked for."""
    paint = runpy.run_path(str(ROOT / "docs" / "match_gif.py"))["paint"]
    assert paint(tmp_path / "short.gif", before=4, after=3, width=80) == 7
    with Image.open(tmp_path / "short.gif") as image:
        assert image.n_frames == 7
        assert image.width == 80
