"""The audit as a page: self-contained, complete, and deaf to what names in a store say."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import TOY, random_episode

from shadowbox.core.schema import Schema
from shadowbox.data.audit import audit
from shadowbox.data.store import Store
from shadowbox.data.write import Writer
from shadowbox.report.audit import audit_page

HOSTILE = "<script>alert(1)<&'\"> onload=x"


def stored(path: Path, schema: Schema = TOY, episodes: int = 3) -> Store:
    """A store of small random episodes."""
    with Writer(path, schema) as writer:
        for seed in range(episodes):
            writer.add(random_episode(schema, 20 + seed, seed))
    return Store(path)


def tags(text: str) -> list[str]:
    """The opening tags that a browser sees."""
    found: list[str] = []

    class Seen(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            found.append(tag)

    Seen().feed(text)
    return found


def test_the_page_is_one_file_that_fetches_nothing(tmp_path: Path) -> None:
    """No address of another place; its one script, which explains names, is inside."""
    text = audit_page(audit(stored(tmp_path / "s")))
    for sign in ("http://", "https://", "src=", "url(", "@import", "import "):
        assert sign not in text
    assert text.count("<script") == 1
    assert set(tags(text)) & {"img", "iframe", "object", "embed"} == set()


def test_the_page_has_every_column_and_baseline(tmp_path: Path) -> None:
    """Each column, each control of each player, and each free score with its interval is there."""
    found = audit(stored(tmp_path / "s", episodes=6))
    text = audit_page(found)
    for key in TOY.columns:
        assert key in text
    for control in ("pad/left[0]", "pad/left[1]", "pad/a[1]"):
        assert control in text
    for name in ("copy last", "constant velocity", "never press", "look up"):
        assert name in text
    score = found["baselines"]["columns"]["player/x"]["copy_last"]
    assert f"{score['value']:.4g}" in text
    assert f"{score['low']:.4g} .. {score['high']:.4g}" in text
    assert found["fingerprint"] in text


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    """A path, a game's name and a unit with markup in them are text on the page."""
    plain = TOY.to_json()
    plain["name"] = HOSTILE
    plain["state"][1]["fields"][0]["unit"] = HOSTILE
    hostile = stored(tmp_path / HOSTILE.replace("/", "|"), Schema.from_json(plain))
    text = audit_page({**audit(hostile), "events": {HOSTILE: 2}})
    harmless = audit_page({**audit(stored(tmp_path / "s")), "events": {"hit": 2}})
    assert tags(text) == tags(harmless)
    assert text.count("&lt;script&gt;alert(1)") >= 4  # title, heading, game, unit, event


def test_verdicts_are_said(tmp_path: Path) -> None:
    """Verified files, copies and columns that never change stand at the top."""
    with Writer(tmp_path / "s", TOY) as writer:
        for _ in range(3):
            episode = random_episode(TOY, 10, 1)
            episode.columns["pad/a"][:] = False
            writer.add(episode)
    found = audit(Store(tmp_path / "s"))
    text = audit_page({**found, "verified": True})
    assert "2 episodes have the content of an earlier one" in text
    assert "1 columns never change" in text
    assert "byte for byte" in text
    assert "byte for byte" not in audit_page(found)
    assert "do not fit into this machine" in audit_page(
        {**found, "memory": {**found["memory"], "fits": False}}
    )


@pytest.mark.parametrize("episodes", [0, 1])
def test_small_stores_have_a_page_too(tmp_path: Path, episodes: int) -> None:
    """A store without episodes, or with a single one, is described and not an error."""
    text = audit_page(audit(stored(tmp_path / "s", episodes=episodes)))
    assert "Every column" in text


def test_a_column_that_no_recording_had_is_said_to_be_absent(tmp_path: Path) -> None:
    """Where there is no value there is a dash and a word, never a zero."""
    episode = random_episode(TOY, 10, 1)
    episode.columns["stage/wind"][:] = 0
    with Writer(tmp_path / "s", TOY) as writer:
        writer.add(dataclasses.replace(episode, absent=frozenset({"stage/wind"})))
    text = audit_page(audit(Store(tmp_path / "s")))
    (line,) = [
        part for part in text.split("<tr>") if part.startswith("<td>stage/wind</td><td>real")
    ]
    assert line.count(">-<") == 4
    assert "100.0 %" in line
    assert "absent" in line
