"""Both painters give the same picture: the browser's canvas and Pillow, pixel by pixel."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from browser import until
from matches import BRAWL
from PIL import Image
from test_painters import OPEN, packed

from shadowbox.core.scenes.motion import Film
from shadowbox.page.document import Html, shell
from shadowbox.page.match_page import MODULES, bundle, event_list, hello
from shadowbox.page.paint import PALETTES, paint_frame
from shadowbox.play.match import play
from shadowbox.play.specs import agent

WIDTH, HEIGHT = 960, 541
DIFFERENT = 48  # of 255: smoothed edges differ by less
MOST = 0.02  # of the pixels
MOST_NEAR = 0.05  # of those around the fighters, which are few and have many edges
PAINT = """([position, palette, width, height]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const { $paint } = modules;
  $paint.paint(context, film.shapes(position), film.camera(position), palette);
  return canvas.toDataURL("image/png").split(",")[1];
}"""


@pytest.fixture(scope="module")
def match():
    """A match of two bots, on the stage with blocks of two heights."""
    world = BRAWL.world(1)
    agents = [agent(name, BRAWL) for name in ("expert", "aggressive")]
    (played,) = play(BRAWL, world, agents, ("expert", "aggressive"), np.array([4]))
    return played.episode


@pytest.fixture(scope="module")
def modules(chromium, match, tmp_path_factory):
    """A page with the viewer's modules, which has opened the match."""
    names = ", ".join(f"${name}" for name in MODULES)
    path = tmp_path_factory.mktemp("modules") / "modules.html"
    script = f"{bundle(MODULES)}\nwindow.modules = {{ {names} }};"
    path.write_text(shell("modules", Html(""), script=script))
    page = chromium.new_page()
    page.goto(f"file://{path}")
    until(page, "window.modules")
    greeting = hello(BRAWL.schema, BRAWL.scene(), players=[], event_kinds=BRAWL.event_kinds)
    page.evaluate(OPEN, [greeting, packed(BRAWL.schema, match.columns), event_list(match.events)])
    yield page
    page.close()


def moments(match):
    """Start, a blow and the hit, between two frames after it, armed, and a knock-out."""
    kinds = {kind: number for number, kind in enumerate(BRAWL.event_kinds)}
    frames = {
        kind: match.events["frame"][match.events["kind"] == kinds[kind]]
        for kind in ("hit", "pickup", "knockout")
    }
    hit, out = int(frames["hit"][3]), int(frames["knockout"][0])
    armed = int(frames["pickup"][0]) + 20 if len(frames["pickup"]) else hit + 40
    return [0, hit - 1.5, hit, hit + 2.25, armed + 0.5, out - 2, out + 6.5]


def near_figures(film, position):
    """Mask of the pixels around the fighters, where a wrong stroke would be seen."""
    left, top, right, _ = film.camera(position)
    scale = WIDTH / (right - left)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for shape in film.shapes(position):
        if shape.get("tag") == "figure":
            x, y = (shape["x"] - left) * scale, (shape["y"] - top) * scale
            half = 0.8 * scale
            mask[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)] = (
                True
            )
    return mask


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_painters_agree_on_golden_frames(match, modules, theme):
    """Of a real match's start, hits, weapons and knock-out at most 2 % of the pixels differ."""
    film = Film({**BRAWL.scene(), "hud": []}, match.columns, match.events)
    for position in moments(match):
        png = modules.evaluate(PAINT, [position, PALETTES[theme], WIDTH, HEIGHT])
        theirs = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), int)
        ours = paint_frame(film, position, width=WIDTH, theme=theme).astype(int)
        assert theirs.shape == ours.shape
        different = np.abs(theirs - ours).max(axis=2) > DIFFERENT
        around = near_figures(film, position)
        assert different.mean() <= MOST, f"{100 * different.mean():.2f} % at {position}"
        assert different[around].mean() <= MOST_NEAR


def test_a_moment_lies_between_its_frames(match):
    """Half-way between two frames a figure is between its places; a jump is not interpolated."""
    film = Film(BRAWL.scene(), match.columns, match.events)
    x = match.columns["player/x"]
    near = [(f, p) for f in range(60) for p in (0, 1) if 0.05 < abs(x[f + 1, p] - x[f, p]) < 1]
    frame, player = near[0]
    heads = [s for s in film.shapes(frame + 0.5) if s.get("tag") == "figure"]
    color = f"p{player + 1}"
    middle = np.mean([s["x"] for s in heads if s.get("fill") == color and s["shape"] == "polygon"])
    assert min(x[frame, player], x[frame + 1, player]) < middle
    assert middle < max(x[frame, player], x[frame + 1, player])


def test_the_camera_looks_only_backwards(match):
    """Rows after a frame do not change its picture, so that live and stored matches look the same."""
    short = {key: values[:201] for key, values in match.columns.items()}
    early = match.events[match.events["frame"] <= 200]
    whole = Film(BRAWL.scene(), match.columns, match.events)
    begun = Film(BRAWL.scene(), short, early)
    assert begun.camera(200) == whole.camera(200)
    assert begun.shapes(200) == whole.shapes(200)
