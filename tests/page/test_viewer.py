"""The element <match-viewer> in a browser: files, live matches, keys, touch, small screens."""

from __future__ import annotations

import base64
import re

import pytest
from browser import until
from matches import BRAWL, EVERYTHING, ZOO, assert_same_shapes, random_match

from shadowbox.core.scenes.motion import Film
from shadowbox.page.match_page import event_list, hello, match_page

UNKIND = "</script><img src=x onerror=alert(1)>&lt;b&gt;"


@pytest.fixture
def match():
    """A match of brawl."""
    return random_match(BRAWL.schema, 90, kinds=len(BRAWL.event_kinds))


def greet(players=("ann", "bob"), world="brawl"):
    """The hello of a brawl match."""
    return hello(
        BRAWL.schema,
        BRAWL.scene(),
        players=players,
        world=world,
        event_kinds=BRAWL.event_kinds,
        event_whats=BRAWL.event_whats,
    )


@pytest.fixture
def saved(tmp_path, match):
    """Function that writes a page of the match and returns its path."""

    def write(greeting=None, shown=match):
        path = tmp_path / "match.html"
        schema = BRAWL.schema if shown is match else ZOO
        rows = schema.pack(shown.columns)
        path.write_text(
            match_page(
                "a match", greeting or greet(), rows, shown.events, result=shown.meta["result"]
            )
        )
        return path

    return write


def state(page):
    """Summary that the viewer gives of its screen."""
    return page.evaluate("__viewer.state")


def ready(page):
    """Wait until the page has drawn a frame."""
    until(page, "window.__viewer?.drawn?.length > 0")
    return page


def test_a_file_shows_the_frame_that_was_scrubbed_to(saved, visit, match):
    """After a drag on the timeline of a file, shapes and numbers are those of that frame."""
    page = ready(visit(saved(), part="#0"))
    strip = page.locator(".strip").bounding_box()
    page.mouse.move(strip["x"] + 8, strip["y"] + 20)
    page.mouse.down()
    page.mouse.move(strip["x"] + 0.6 * strip["width"], strip["y"] + 20)
    page.mouse.up()
    shown = state(page)
    assert 50 <= shown["frame"] <= 58
    assert not shown["playing"]
    film = Film(BRAWL.scene(), BRAWL.schema.unpack(BRAWL.schema.pack(match.columns)), match.events)
    assert_same_shapes(page.evaluate("__viewer.drawn"), film.shapes(shown["frame"]))
    damage = match.columns["player/damage"][shown["frame"]]
    assert shown["numbers"] == [[f"{value:.0f}"] for value in damage]
    pressed = page.locator(".pad.p1 .key.down").all_inner_texts()
    expected = [
        key.split("/")[1]
        for key in BRAWL.schema.control_keys
        if match.columns[key][shown["frame"], 0]
    ]
    assert [key.lower() for key in pressed] == expected
    assert int(page.locator(".strip").get_attribute("aria-valuenow")) == shown["frame"]
    assert painted(page) > 1000


def painted(page):
    """Number of pixels of the stage that are not paper."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector(".stage canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] !== data[0] || data[i + 2] !== data[2]) count += 1;
          }
          return count;
        }"""
    )


def test_it_plays_to_the_end_and_says_who_won(saved, visit):
    """A file opened without a frame plays to its end and then shows the result.

    Play begins again from the start.
    """
    page = ready(visit(saved()))
    assert state(page)["playing"]
    until(page, "!__viewer.playing && __viewer.frame === 90")
    assert page.locator(".verdict").inner_text() == "bob wins · knock-out"
    page.keyboard.press(" ")
    assert state(page)["frame"] < 30
    assert page.locator(".verdict").inner_text() == ""


def test_keys(saved, visit):
    """Each key does what the list of keys says."""
    page = ready(visit(saved(), part="#40"))
    press = page.keyboard.press
    for key, frame in (
        ("ArrowRight", 41),
        ("ArrowLeft", 40),
        ("Shift+ArrowRight", 70),
        ("Shift+ArrowLeft", 40),
        ("End", 90),
    ):
        press(key)
        assert state(page)["frame"] == frame, key
    press("Home")
    assert state(page)["frame"] == 0
    press("[")
    assert state(page)["speed"] == 0.5
    press("]")
    press("]")
    assert state(page)["speed"] == 2
    page.evaluate("__viewer.seek(40)")
    for key, tag in (("h", "hitbox"), ("t", "trail")):
        count = f"__viewer.drawn.filter((shape) => shape.tag === '{tag}').length"
        page.evaluate(f"for (let f = 40; f < 90 && !({count}); f++) __viewer.seek(f)")
        assert page.evaluate(count) > 0
        press(key)
        assert page.evaluate(count) == 0
        press(key)
        assert page.evaluate(count) > 0
    press(" ")
    assert state(page)["playing"]
    press(" ")
    assert not state(page)["playing"]
    press("?")
    assert page.locator("dialog").is_visible()
    press("Escape")
    assert not page.locator("dialog").is_visible()
    press("f")
    until(page, "document.fullscreenElement === __viewer")


def test_names_are_text(saved, visit):
    """Markup in the names of a player and a world is shown as text and does not run."""
    page = ready(visit(saved(greet((UNKIND, "bob"), world=UNKIND)), part="#90"))
    assert page.locator(".side.p1 .name").inner_text() == UNKIND
    assert page.locator(".corner code").inner_text() == UNKIND
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_the_controllers_fold_away(saved, visit, width):
    """A phone shows controllers behind a button, needs no sideways scrolling, and fits fingers."""
    page = ready(visit(saved(), part="#40", width=width, height=844, has_touch=True))
    assert not page.locator(".pads").is_visible()
    page.locator(".fold").tap()
    assert page.locator(".pads").is_visible()
    assert page.locator(".fold").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("match-viewer button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44


def test_on_a_laptop_everything_is_in_the_window(saved, visit):
    """At 1366 x 768 the viewer needs no scrolling, and controllers are open without a button.

    The stage is 16:9.
    """
    page = ready(visit(saved(), part="#40"))
    viewer, stage = (page.locator(name).bounding_box() for name in ("match-viewer", ".stage"))
    assert viewer["y"] + viewer["height"] <= 768
    assert stage["width"] / stage["height"] == pytest.approx(16 / 9, rel=0.01)
    assert page.locator(".pads").is_visible()
    assert not page.locator(".fold").is_visible()


def test_everything_has_a_name(saved, visit):
    """Every button, the timeline and the stage have a name for screen readers."""
    page = ready(visit(saved(), part="#40"))
    named = page.locator("button, [role=slider], [role=img], dialog, section")
    assert named.count() > 12
    assert all(one.get_attribute("aria-label") for one in named.all())


def test_reduced_motion_is_still(saved, visit):
    """With reduced motion a match does not start by itself, and trails and camera are off."""
    page = ready(visit(saved(), reduced_motion="reduce"))
    assert not state(page)["playing"]
    page.evaluate("__viewer.seek(60)")
    moving = page.evaluate("__viewer.film.shapes(60).length")
    assert state(page)["shapes"] < moving
    assert page.evaluate("__viewer.drawn.every((shape) => shape.tag !== 'trail')")


@pytest.mark.parametrize(("world", "dreams"), [("brawl", 0), ("dream:runs/w", 1)])
def test_a_dream_says_so(saved, visit, world, dreams):
    """The stage is labeled DREAM where the world is a dream, and only there."""
    page = ready(visit(saved(greet(world=world)), part="#0"))
    assert page.get_by_text("DREAM", exact=True).count() == dreams


def test_events_by_name(saved, visit, match):
    """The legend counts every kind of event; a press toggles a kind on the timeline."""
    page = ready(visit(saved(), part="#0"))
    counts = {
        kind: int((match.events["kind"] == number).sum())
        for number, kind in enumerate(BRAWL.event_kinds)
    }
    expected = [f"{kind} {count}" for kind, count in counts.items() if count]
    assert [
        " ".join(text.split()) for text in page.locator(".legend button").all_inner_texts()
    ] == expected
    chip = page.get_by_role("button", name=re.compile(r"^land \d+ on the timeline$"))
    before = page.evaluate("document.querySelector('.strip canvas').toDataURL()")
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.querySelector('.strip canvas').toDataURL()") != before


def test_sticks_bars_and_words(saved, visit):
    """Controllers of any game: sticks for pairs of reals, bars for reals, words for choices."""
    zoo = random_match(ZOO, 20)
    greeting = hello(ZOO, EVERYTHING, players=["ann"], event_kinds=["bump", "spark"])
    page = ready(visit(saved(greeting, zoo), part="#7"))
    assert page.locator(".pad.p2 .stick").inner_text() == "main"
    assert page.locator(".pad.p2 .level").inner_text() == "trigger"
    word = ("calm", "wild")[zoo.columns["pad/mode"][7, 1]]
    assert page.locator(".pad.p2 .word").inner_text() == f"mode {word}"
    share = page.evaluate(
        "document.querySelector('.pad.p2 .level i').style.getPropertyValue('--share')"
    )
    assert float(share) == pytest.approx(float(zoo.columns["pad/trigger"][7, 1]))


class Live:
    """A live match whose rows are sent by hand."""

    def __init__(self, page, match):
        self.page, self.match = page, match
        self.rows = BRAWL.schema.pack(match.columns)
        page.evaluate("(hello) => __viewer.begin(hello)", greet())

    def send(self, first, end):
        """Send rows and events of the frames [first, end)."""
        text = base64.b64encode(self.rows[first:end].tobytes()).decode()
        code = """([at, text]) =>
          __viewer.append(at, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)))"""
        self.page.evaluate(code, [first, text])
        events = self.match.events
        events = events[(events["frame"] >= first) & (events["frame"] < end)]
        self.page.evaluate("(events) => __viewer.happened(events)", event_list(events))


@pytest.fixture
def live(saved, visit, match):
    """A page whose viewer has begun a live match."""
    return Live(ready(visit(saved(), part="#0")), match)


def test_a_live_match_is_followed_to_its_end(live):
    """The picture follows the newest row without passing it; the result is shown at the end."""
    for first in range(0, 60, 10):
        live.send(first, first + 10)
        live.page.wait_for_timeout(150)
        shown = state(live.page)
        assert shown["following"]
        assert shown["frame"] < shown["length"] == first + 10
    until(live.page, "__viewer.frame >= 54")
    live.send(60, 91)
    live.page.evaluate("(result) => __viewer.end(result)", live.match.meta["result"])
    until(live.page, "__viewer.frame === 90 && !__viewer.playing")
    assert live.page.locator(".verdict").inner_text() == "bob wins · knock-out"


def test_who_plays_sees_the_newest_row(live):
    """The first row is drawn at once; with behind="0" the picture is always the newest row."""
    live.page.evaluate("__viewer.setAttribute('behind', '0')")
    live.send(0, 1)
    assert state(live.page)["shapes"] > 0
    live.send(1, 11)
    live.page.wait_for_timeout(100)
    assert state(live.page)["frame"] == 10


def test_who_scrubs_back_stays_there(live):
    """New rows do not move a picture that was scrubbed back; the live button returns to them."""
    live.send(0, 60)
    live.page.evaluate(  # in one go: it plays on until the key is there
        """() => {
            const key = { key: "ArrowRight", code: "ArrowRight", bubbles: true };
            __viewer.seek(5);
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
        }"""
    )
    before = state(live.page)["frame"]
    assert 6 <= before < 20
    live.send(60, 80)
    shown = state(live.page)
    assert (shown["frame"], shown["following"], shown["length"]) == (before, False, 80)
    live.page.get_by_role("button", name="Back to the live picture").click()
    until(live.page, "__viewer.frame >= 76 && __viewer.following")
    assert not live.page.locator("button.live").is_visible()


def test_left_out_rows_stand_still(live):
    """Missing rows repeat the last one before them and are counted; late rows find their place."""
    live.send(0, 20)
    live.send(30, 40)
    assert state(live.page)["skipped"] == 10
    damage = "(frame) => __viewer.rows.at(frame)['player/damage'][0]"
    ours = live.match.columns["player/damage"][:, 0]
    assert [live.page.evaluate(damage, frame) for frame in (19, 25, 30)] == [
        ours[19],
        ours[19],
        ours[30],
    ]
    live.page.evaluate("__viewer.film.shapes(30)")  # its trail comes from the rows that stood still
    live.send(20, 30)
    assert live.page.evaluate(damage, 25) == ours[25]
    film = Film(BRAWL.scene(), BRAWL.schema.unpack(live.rows), live.match.events)
    assert_same_shapes(live.page.evaluate("__viewer.film.shapes(30)"), film.shapes(30))


@pytest.mark.parametrize(("first", "size"), [(-1, 192), (0.5, 192), (1e9, 192), (0, 191)])
def test_rows_that_cannot_be_are_refused(live, first, size):
    """An impossible place and incomplete rows are refused with a reason; earlier rows stay."""
    live.send(0, 20)
    refused = """([at, size]) => {
      try { __viewer.append(at, new Uint8Array(size)) } catch (error) { return error.message }
    }"""
    assert "row" in live.page.evaluate(refused, [first, size])
    assert state(live.page)["length"] == 20
