"""The page of a dream: what a browser draws and decides without a server is what Python does."""

from __future__ import annotations

import numpy as np
import pytest
from browser import until

from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.export import web
from shadowbox.export.check_world import dream_of, recorded_steps, world_parity
from shadowbox.export.onnx import session
from shadowbox.export.runtime import runtime_files, runtime_script
from shadowbox.export.web import export_web
from shadowbox.games import load
from shadowbox.play import specs
from shadowbox.play.agent import Replay
from shadowbox.play.match import play

AGAINST = "policy:champion@delay=6"
STARTED = "window.__session !== undefined"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of the page, what was said of it, and its networks by name."""
    try:
        runtime_files()
    except ShadowboxError as error:
        pytest.skip(f"NO RUNTIME: the page of a dream was not tried: {error}")
    out, models, convert = tmp_path_factory.mktemp("page"), {}, web.to_onnx

    def kept(step):
        models[step.name] = convert(step)
        return models[step.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "to_onnx", kept)
        facts = export_web("dream:brawl", out, against=AGAINST)
    return out, facts, models


@pytest.fixture(scope="module")
def recorded():
    """A dream in which two bots have played for 320 frames, with all that they were drawn from."""
    return recorded_steps("dream:brawl", load("brawl"), ["based", "expert"], 320, seed=5)


@pytest.mark.slow
def test_frames_drawn_by_the_file_are_those_of_the_world(exported):
    """A match whose every frame the file draws goes as the one that PyTorch draws."""
    game, names = load("brawl"), ("based", "expert")
    run, spec = session(exported[2]["world"]), "dream:brawl@frames=90"
    ours, theirs = (
        next(play(game, world, [specs.agent(each, game) for each in names], names, np.array([3])))
        for world in (dream_of(run, spec, game, 1), specs.world(spec, game, 1))
    )
    assert ours.episode.rows == theirs.episode.rows == 91
    for key, values in theirs.episode.columns.items():
        np.testing.assert_allclose(ours.episode.columns[key], values, atol=1e-3, err_msg=key)


@pytest.mark.slow
def test_the_page_is_one_small_file(exported):
    """The folder has at most 25 MB, and one file."""
    out, facts, _ = exported
    assert [path.name for path in out.iterdir()] == ["index.html"]
    assert (out / "index.html").stat().st_size == facts["bytes"] <= 25e6


@pytest.mark.slow
def test_an_exported_world_draws_as_pytorch(exported, recorded):
    """Of 320 recorded frames at most one differs, at the edge of a draw; the others by 1e-5."""
    _, _, models = exported
    found = world_parity(session(models["world"]), recorded[1], 320)
    assert found.rows == 320
    assert found.equal >= 319
    assert found.largest <= 1e-5


@pytest.mark.slow
def test_a_browser_draws_recorded_frames_again(exported, recorded, visit):
    """From the state, keys, seed and number of a frame the page draws the frame that Python drew."""
    dream, recorder = recorded
    page = visit(exported[0] / "index.html")
    until(page, STARTED)
    game, apart = load("brawl"), 0
    for step in (0, 3, 6, 9):
        asked, expected = records(game, dream, recorder, step)
        drawn = page.evaluate("(asked) => window.__redraw(asked)", asked)
        for own, other in zip(drawn, expected, strict=True):
            same = own["flags"] == other["flags"] and own["choices"] == other["choices"]
            same &= np.allclose(own["reals"], other["reals"], rtol=1e-5, atol=1e-4)
            apart += not same
            assert np.allclose(own["memory"]["h0"], other["memory"], atol=2e-5)
    assert apart <= 1  # of 128, at the edge of a draw


def records(game, dream, recorder, step):
    """One recorded step of all matches as the page takes it, and what came of it."""
    given, results = recorder.steps[step]
    seeds, numbers = recorder.drawn_by[step]
    kinds = ("reals", "flags", "choices")
    rows = dream.layout.views([given[kind] for kind in kinds])
    after = [results[f"after/{kind}"].copy() for kind in kinds]
    for key, (wrong, right) in game.repairs(dream.layout.views(after)).items():
        dream.layout.views(after)[key][wrong] = right
    asked = [
        {
            "row": {key: values[at].tolist() for key, values in rows.items()},
            "pressed": {key: given[key][at].tolist() for key in game.schema.control_keys},
            "memory": {"h0": given["memory/h0"][at].tolist()},
            "seed": int(seeds[at]),
            "number": int(numbers[at]),
        }
        for at in range(dream.matches)
    ]
    expected = [
        {
            **{
                kind: each[at].astype(float).tolist()
                for kind, each in zip(kinds, after, strict=True)
            },
            "memory": results["after/h0"][at].tolist(),
        }
        for at in range(dream.matches)
    ]
    return asked, expected


@pytest.mark.slow
def test_a_match_in_the_page_is_the_match_in_python(exported, visit):
    """With the same seed and the person's keys, Python plays the match that the browser played."""
    page = visit(exported[0] / "index.html", part="?seed=3")
    until(page, STARTED)
    assert "A dream" in page.inner_text(".about")
    assert page.inner_text("match-viewer .dream") == "DREAM"
    page.keyboard.down("d")
    until(page, "__session.times.length > 20")
    page.keyboard.press("Space", delay=200)
    until(page, "__session.times.length > 45")
    page.keyboard.up("d")
    packed = page.evaluate("[...__viewer.rows.bytes.subarray(0, 46 * __viewer.rows.width)]")
    game = load("brawl")
    rows = np.array(packed, np.uint8).view(game.schema.row_dtype)
    browser = game.schema.unpack(rows)
    keys = {key: browser[key][:45] for key in game.schema.control_keys}
    assert keys["keys/d"][:, 0].all()
    agents = [Replay(keys), specs.agent(AGAINST, game)]
    world = specs.world("dream:brawl", game, 1)
    names = ["you", AGAINST]
    (played,) = play(game, world, agents, names, np.array([3]), most=45)
    python = played.episode.columns
    for key in game.schema.columns:
        if key in game.schema.control_keys:
            assert np.array_equal(python[key][:45], browser[key][:45]), key
        else:
            assert np.allclose(python[key][:46], browser[key][:46], rtol=1e-3, atol=1e-3), key


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(exported, visit, scheme):
    """On a phone nothing is wider than the screen, and every control has a key for fingers."""
    page = visit(
        exported[0] / "index.html",
        width=390, height=844, color_scheme=scheme, has_touch=True,
    )  # fmt: skip
    until(page, STARTED)
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    keys = page.locator("#touch button")
    assert keys.count() == 10
    assert all(key.bounding_box()["height"] >= 44 for key in keys.all())
    keys.first.dispatch_event("pointerdown")
    until(page, "__session.times.length > 3")


def test_the_runtime_becomes_a_constant():
    """The exports of the runtime's module are members of one constant of the page's script."""
    made = runtime_script("var a=1,b=2;export{a as env,b as Tensor,a as default};\n//# x")
    assert made.startswith("const $ort = (() => {\nvar a=1,b=2;")
    assert made.endswith("return { env: a, Tensor: b };\n})();")


@pytest.mark.parametrize(
    ("what", "options", "reason"),
    [
        ("dream:brawl", {"world": "", "against": "based"}, "expected a policy"),
        ("policy:champion", {"world": "brawl"}, "expected one learned world"),
        ("dream:brawl@start=any", {}, "leave start=any out"),
    ],
)
def test_what_a_page_cannot_do_is_refused(tmp_path, what, options, reason):
    """Bots, simulators and starts inside of matches are refused before anything is converted."""
    with pytest.raises(UsageError, match=reason):
        export_web(what, tmp_path / "page", **options)
    assert not (tmp_path / "page").exists()
