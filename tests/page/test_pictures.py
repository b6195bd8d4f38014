"""Pictures painted in Python, and the data of match pages."""

from __future__ import annotations

import numpy as np
import pytest
from matches import BRAWL, EVERYTHING, ZOO, random_match
from PIL import Image

from shadowbox.core.scenes.grammar import validate
from shadowbox.core.scenes.motion import Film
from shadowbox.errors import SchemaError
from shadowbox.page.match_page import event_list, hello, match_page
from shadowbox.page.paint import paint, paint_frame, save_gif


@pytest.fixture
def film():
    """A random match of the scene that uses all features."""
    match = random_match(ZOO)
    return Film(EVERYTHING, match.columns, match.events)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_has_the_proportions_of_the_world(film, theme):
    """Pictures have the requested width, the proportions of the bounds, and content."""
    for pixels in (
        paint_frame(film, 30, width=400, theme=theme, names=["ann", "bob"]),
        paint(EVERYTHING, film.row(30), film.happened(30), width=400, theme=theme),
    ):
        assert pixels.shape == (240, 400, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_a_picture_of_a_dream_says_so(film):
    """The picture of a dream differs at the top from that of its world: it shows the word DREAM."""
    true, dream = (
        paint_frame(film, 30, width=400, world=world) for world in ("zoo", "dream:runs/w")
    )
    assert (true[:40, 120:280] != dream[:40, 120:280]).any()


def test_a_film_plays_at_its_pace(film, tmp_path):
    """A GIF of 30 pictures at 15 a second lasts two seconds, despite its clock of hundredths."""
    save_gif((paint_frame(film, frame, width=80) for frame in range(30)), tmp_path / "film.gif", 15)
    with Image.open(tmp_path / "film.gif") as image:
        total = 0
        for at in range(image.n_frames):
            image.seek(at)
            total += image.info["duration"]
    assert total == 2000


def test_the_same_match_is_the_same_page():
    """A page holds no time and no randomness: writing it twice gives the same bytes."""
    match = random_match(ZOO)
    pages = {
        match_page("m", hello(ZOO, EVERYTHING, players=[]), ZOO.pack(match.columns), match.events)
        for _ in range(2)
    }
    assert len(pages) == 1


def test_hello_names_everybody_and_checks_the_scene():
    """Seats without a name are P1 and P2; a scene that does not fit its schema is refused."""
    assert hello(ZOO, EVERYTHING, players=["ann"])["players"] == ["ann", "P2"]
    with pytest.raises(SchemaError, match="no column"):
        hello(ZOO, BRAWL.scene(), players=[])


def test_events_keep_their_members():
    """Events on the wire have every member but `match`, as plain numbers."""
    event = event_list(random_match(ZOO).events)[0]
    assert set(event) == {"frame", "kind", "player", "other", "what", "value"}
    assert all(type(value) in (int, float) for value in event.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"marks": {"boom": "tick"}}, r"marks: keys must be event kinds \(got 'boom'\)"),
        ({"marks": {"bump": "star"}}, r"a mark must be one of tick, .*\(got 'star'\)"),
        ({"camera": {"keep": [2, 0, 1, 1], "margin": 1}}, "camera must be"),
        ({"camera": {"keep": [0, 0, 1, 1]}}, "camera must be"),
    ],
)
def test_marks_and_cameras_are_checked(change, words):
    """Marks of unknown kinds or forms, and cameras that show nothing, are refused with a reason."""
    with pytest.raises(SchemaError, match=words):
        validate({**EVERYTHING, **change}, ZOO)
