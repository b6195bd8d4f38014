"""`import shadowbox as sb`: a short list of names that opens quickly and leads into every room."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import shadowbox as sb

SHORT = "brawl@time_limit=120"


def test_names_are_those_of_the_list():
    """`dir` shows what `__all__` names, every name can be used, and an unknown one is refused."""
    assert {*sb.__all__} <= {*dir(sb)}
    for name in sb.__all__:
        assert callable(getattr(sb, name)), name
        assert getattr(sb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sb.nothing


def test_types_are_those_of_the_list():
    """The stub for type checkers names what `__all__` names."""
    from pathlib import Path

    stub = Path(sb.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert [name for name in sb.__all__ if f" as {name}\n" not in stub] == []


def test_it_opens_without_loading_anything():
    """`import shadowbox` alone loads neither NumPy nor torch nor numba."""
    code = "import sys, shadowbox; print(sorted({'numpy', 'torch', 'numba', 'click'} & {*sys.modules}))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_rooms_of_the_same_name_can_be_called_too():
    """After an import from the room `play`, `sb.play` still plays, and the room is still a module."""
    from shadowbox.play.match import PlayedMatch

    match = sb.play("brawl", "based", "random", seed=3, world=SHORT)
    assert isinstance(match, PlayedMatch)
    again = sb.play(sb.load_game("brawl"), "based", "random", seed=3, world=SHORT)
    for key, values in match.episode.columns.items():
        np.testing.assert_array_equal(values, again.episode.columns[key])
    assert sb.play.match.PlayedMatch is PlayedMatch


@pytest.mark.slow
def test_from_matches_to_an_evaluated_policy(tmp_path):
    """Record, train, load, play, save and evaluate, each by one call."""
    store = sb.record(
        "brawl", "aggressive", "based", out=tmp_path / "store", matches=24, seed=5, world=SHORT
    )
    assert len(store) == 24
    result = sb.train(
        store, out=tmp_path / "run", preset="tiny", steps=8, batch=4, model={"width": 16},
        settings={"length": 16}, quiet=True,
    )  # fmt: skip
    assert (result.step, result.ended) == (8, "finished")
    policy = sb.load_policy(tmp_path / "run", temperature=0.9)
    match = sb.play("brawl", policy, "based", seed=7, world=SHORT)
    page = sb.save_page(match, tmp_path / "match.html")
    assert "<match-viewer" in page.read_text(encoding="utf-8")
    evaluation = sb.evaluate(tmp_path / "run", store, matches=4, against="based")
    assert "onset_f1" in evaluation.to_json()["figures"]
