"""Scenes evaluated in a browser and in Python give the same rows, shapes, trails and camera."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import until
from conftest import random_columns, schemas
from hypothesis import HealthCheck, given, settings
from matches import BRAWL, EVERYTHING, ZOO, assert_same_shapes, random_match

from shadowbox.core.game import no_events
from shadowbox.core.scenes.default import default_scene, scene_of
from shadowbox.core.scenes.grammar import evaluate, validate
from shadowbox.core.scenes.motion import Film
from shadowbox.page import paint
from shadowbox.page.document import Html, shell
from shadowbox.page.match_page import MODULES, _column, bundle, event_list, hello

SCENES = {
    "brawl": (BRAWL.schema, BRAWL.scene(), len(BRAWL.event_kinds)),
    "everything": (ZOO, EVERYTHING, 2),
    "default": (BRAWL.schema, scene_of(replace(BRAWL, scene=None)), len(BRAWL.event_kinds)),
}

OPEN = """([hello, text, events]) => {
  const rows = new modules.$rows.Rows(hello);
  rows.put(0, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  const exact = events.map((event) => ({ ...event, value: Math.fround(event.value) }));
  const happened = (frame) => exact.filter((event) => event.frame === frame);
  window.film = new modules.$motion.Film(hello.scene, rows, happened);
  window.rows = rows;
}"""


@pytest.fixture(scope="module")
def modules(chromium, tmp_path_factory):
    """A page that holds the viewer's modules and nothing else."""
    names = ", ".join(f"${name}" for name in MODULES)
    path = tmp_path_factory.mktemp("modules") / "modules.html"
    path.write_text(
        shell("modules", Html(""), script=f"{bundle(MODULES)}\nwindow.modules = {{ {names} }};")
    )
    page = chromium.new_page()
    page.goto(f"file://{path}")
    until(page, "window.modules")
    yield page
    page.close()


def packed(schema, columns):
    """Columns as rows in base64."""
    return base64.b64encode(schema.pack(columns).tobytes()).decode()


@pytest.fixture(params=SCENES)
def film(request, modules):
    """A random match, opened in Python and in the browser."""
    schema, scene, kinds = SCENES[request.param]
    match = random_match(schema, kinds=kinds)
    validate(scene, schema)
    greeting = hello(schema, scene, players=["ann", "bob"], event_kinds=scene["event_kinds"])
    modules.evaluate(OPEN, [greeting, packed(schema, match.columns), event_list(match.events)])
    return Film(scene, schema.unpack(schema.pack(match.columns)), match.events)


def test_the_same_shapes_at_the_same_places(film, modules):
    """For every row of a random match the browser evaluates the shapes that Python evaluates."""
    script = "(frame) => modules.$scene.evaluate(film.scene, rows.at(frame), film.happened(frame))"
    for frame in range(film.length):
        ours = evaluate(film.scene, film.row(frame), film.happened(frame))
        assert_same_shapes(modules.evaluate(script, frame), ours)


def test_the_same_trails_rings_and_camera(film, modules):
    """Trails, rings and the camera, which depend on neighboring frames, are the same too."""
    for frame in (0, 1, 5, 12, 30, film.length - 2, film.length - 1):
        theirs = modules.evaluate("(frame) => [film.shapes(frame), film.camera(frame)]", frame)
        assert_same_shapes(theirs[0], film.shapes(frame))
        np.testing.assert_allclose(theirs[1], film.camera(frame), rtol=1e-9)


def test_the_camera_holds_every_body(film):
    """Bodies inside the bounds are inside the picture, which keeps its proportions."""
    bounds = film.scene["bounds"]
    for frame in range(film.length):
        left, top, right, bottom = film.camera(frame)
        assert np.isclose(
            (right - left) / (bottom - top), (bounds[2] - bounds[0]) / (bounds[3] - bounds[1])
        )
        for body in film._bodies(frame):
            assert left <= np.clip(body["x"], bounds[0], bounds[2]) <= right
            assert top <= np.clip(body["y"], bounds[1], bounds[3]) <= bottom


@given(schema=schemas())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_the_default_scene_of_any_schema(modules, schema):
    """A game without a scene looks the same in the browser and in Python, for any schema."""
    columns = schema.unpack(schema.pack(random_columns(schema, 3, seed=4)))
    scene = default_scene(schema, ("hit",))
    greeting = hello(schema, scene, players=[], event_kinds=("hit",))
    modules.evaluate(OPEN, [greeting, packed(schema, columns), []])
    film = Film(scene, columns, no_events())
    assert_same_shapes(modules.evaluate("film.shapes(2)"), film.shapes(2))


@given(schema=schemas())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_every_column_of_any_schema(modules, schema):
    """The browser decodes packed rows exactly as `Schema.unpack`, for any schema."""
    columns = random_columns(schema, 3, seed=1)
    greeting = {
        "row_bytes": schema.row_dtype.itemsize,
        "columns": {key: _column(schema, column) for key, column in schema.columns.items()},
        "scene": {"shapes": [], "bounds": [0, 0, 1, 1]},
    }
    modules.evaluate(OPEN, [greeting, packed(schema, columns), []])
    theirs = modules.evaluate("[0, 1, 2].map((row) => rows.at(row))")
    one_by_one = """Object.entries(rows.at(2)).every(
      ([key, slots]) => slots.every((v, slot) => v === rows.value(key, 2, slot)))"""
    assert modules.evaluate(one_by_one)
    for key, values in schema.unpack(schema.pack(columns)).items():
        assert [row[key] for row in theirs] == values.tolist()


def test_every_half_precision_number(modules):
    """All 65,536 half-precision numbers are decoded as NumPy decodes them."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    theirs = modules.evaluate(
        "Array.from({ length: 65536 }, (_, bits) => String(modules.$rows.half(bits)))"
    )
    np.testing.assert_array_equal(
        [float(text) for text in theirs], bits.view(np.float16).astype(float)
    )


def test_the_painters_share_their_colors(modules):
    """Both painters have the same names of colors with the same values."""
    assert modules.evaluate("modules.$paint.PALETTES") == paint.PALETTES


def test_modules_are_one_script():
    """The script of a page imports nothing, and each module keeps its names to itself."""
    script = bundle([*MODULES, "saved"])
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert "</script" not in script
    assert "return { evaluate, keyed, valueOf };" in script
