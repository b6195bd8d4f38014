"""Identity of a schema: hashes, JSON, and the comparison of two schemas."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator

import pytest
from conftest import TOY, schemas
from hypothesis import given, settings
from hypothesis import strategies as st
from small_schemas import changed, regrouped, small

from shadowbox.core.schema import (
    Choice,
    Flag,
    Real,
    Schema,
    differences,
    require,
    require_same,
)
from shadowbox.errors import SchemaError, SchemaMismatch

# ---- identity ------------------------------------------------------------------------------------


def test_golden_hashes() -> None:
    """Hashes of a declaration never change, since existing stores and checkpoints carry them."""
    assert TOY.facts_hash == "40c7c20c3f2584357c6d1e6331518f0d"
    assert TOY.coding_hash == "1de304be51ad443614cb7817f294225f"


NEW_FACTS = {
    "schema name": dataclasses.replace(TOY, name="toy2"),
    "fps": dataclasses.replace(TOY, fps=30),
    "field name": changed(TOY, "player/x", name="x2"),
    "unit": changed(TOY, "player/x", unit="cm"),
    "store": changed(TOY, "player/percent", store="f4"),
    "n": changed(TOY, "player/action", n=299),
    "names": changed(TOY, "stage/id", names=("a", "b", "c", "d")),
    "seat": changed(TOY, "player/hit_by", seat=False),
    "slots": regrouped(TOY, "item", slots=4),
    "mask": regrouped(TOY, "item", mask=None),
    "per": regrouped(TOY, "player", per=None),
    "group name": regrouped(TOY, "item", name="things"),
    "order of groups": dataclasses.replace(TOY, state=TOY.state[::-1]),
    "order of fields": regrouped(TOY, "stage", fields=TOY.state[0].fields[::-1]),
    "one field less": regrouped(TOY, "stage", fields=TOY.state[0].fields[:1]),
    "kind": regrouped(TOY, "stage", fields=(TOY.state[0].fields[0], Choice("wind", 2))),
}
NEW_CODING = {
    "scale": changed(TOY, "player/x", scale=0.1),
    "low": changed(TOY, "item/x", low=0),
    "high": changed(TOY, "player/percent", high=1000),
    "predict": changed(TOY, "player/x", predict="value"),
    "reset_on": changed(TOY, "player/percent", reset_on="death"),
    "parents": changed(TOY, "player/x", parents=("player/action",)),
    "embed": changed(TOY, "player/action", embed=16),
}
NO_IDENTITY = {
    "weight": changed(TOY, "player/x", weight=3.0),
    "doc": changed(TOY, "player/x", doc="place on the stage"),
    "group doc": regrouped(TOY, "item", doc="items on the stage"),
    "mirror": changed(TOY, "player/on_ground", mirror="invert"),
}


@pytest.mark.parametrize("other", NEW_FACTS.values(), ids=NEW_FACTS)
def test_what_a_number_means_is_hashed(other: Schema) -> None:
    """A change of the meaning or place of stored numbers changes both hashes."""
    assert other.facts_hash != TOY.facts_hash
    assert other.coding_hash != TOY.coding_hash


@pytest.mark.parametrize("other", NEW_CODING.values(), ids=NEW_CODING)
def test_what_only_a_weight_depends_on_leaves_the_facts(other: Schema) -> None:
    """A change of scales or rules changes the coding hash alone; recordings stay usable."""
    assert other.facts_hash == TOY.facts_hash
    assert other.coding_hash != TOY.coding_hash


@pytest.mark.parametrize("other", NO_IDENTITY.values(), ids=NO_IDENTITY)
def test_what_changes_no_meaning_changes_no_hash(other: Schema) -> None:
    """Loss weights, texts and the mirror are in neither hash."""
    assert other != TOY
    assert other.facts_hash == TOY.facts_hash
    assert other.coding_hash == TOY.coding_hash


@given(schemas())
@settings(max_examples=80)
def test_json_holds_the_whole_declaration(schema: Schema) -> None:
    """A schema survives a JSON file with all its attributes and both hashes."""
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.facts_hash == schema.facts_hash
    assert again.coding_hash == schema.coding_hash


def test_json_holds_every_attribute_of_the_toy() -> None:
    """Units, seats, partners, docs and weights survive JSON, too."""
    full = NEW_CODING["parents"]
    full = changed(
        full,
        "player/action",
        embed=8,
        doc="what it does",
        weight=0.5,
        names=tuple(f"a{i}" for i in range(300)),
    )
    full = regrouped(full, "item", doc="items on the stage")
    again = Schema.from_json(json.loads(json.dumps(full.to_json())))
    assert again == full
    assert again.coding_hash == full.coding_hash


def test_equal_declarations_have_one_identity() -> None:
    """`scale=1` and `scale=1.0` declare the same field, also after a way through JSON."""
    whole, point = (
        small(Real("x", scale=1, low=0, high=2)),
        small(Real("x", scale=1.0, low=0.0, high=2.0)),
    )
    assert whole == point
    assert whole.facts_hash == point.facts_hash
    assert whole.coding_hash == point.coding_hash
    assert Schema.from_json(whole.to_json()).coding_hash == whole.coding_hash


# ---- damaged JSON --------------------------------------------------------------------------------


def places(data: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Paths of all values inside plain data."""
    yield path
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*path, key))


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70000),
    st.floats() | st.sampled_from([2.5, float("inf")]),
    st.sampled_from(["", "x", "real", "flag", "../x", "player", "f8"]),
    st.sampled_from([[], {}, [[]], [{}], {"a": 1}, [None]]),
)


@given(st.data())
@settings(max_examples=200)
def test_from_json_lets_only_schema_errors_out(data: st.DataObject) -> None:
    """Damaged plain data raises SchemaError, or gives a schema that packs, hashes and describes."""
    plain = json.loads(json.dumps(TOY.to_json()))
    for _ in range(data.draw(st.integers(1, 2))):
        paths = list(places(plain))
        sizes = [
            path
            for path in paths
            if path and path[-1] in ("players", "fps", "slots", "n", "low", "high", "scale")
        ]
        path = data.draw(st.sampled_from(paths) | st.sampled_from(sizes or paths))
        if not path:
            plain = data.draw(WRONG)
            break
        inside = plain
        for step in path[:-1]:
            inside = inside[step]
        match data.draw(st.sampled_from(["replace", "delete", "add"])):
            case "replace":
                inside[path[-1]] = copy.deepcopy(data.draw(WRONG))
            case "delete":
                del inside[path[-1]]
            case "add" if isinstance(inside, dict):
                inside["additional"] = copy.deepcopy(data.draw(WRONG))
    try:
        schema = Schema.from_json(plain)
    except SchemaError:
        return
    assert schema.unpack(schema.pack(schema.neutral(2))).keys() == schema.columns.keys()
    assert len(schema.facts_hash) == len(schema.coding_hash) == 32
    assert len(schema.table().splitlines()) == 2 + len(schema.columns)


@pytest.mark.parametrize("where", ["top", "group", "field"])
def test_from_json_refuses_what_it_does_not_know(where: str) -> None:
    """An unknown entry is refused at every depth, since a newer Shadowbox may define it."""
    plain = TOY.to_json()
    {"top": plain, "group": plain["state"][0], "field": plain["state"][0]["fields"][0]}[where][
        "color"
    ] = 1
    with pytest.raises(SchemaError):
        Schema.from_json(plain)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("players",), math.inf),
        (("players",), 2.5),
        (("fps",), math.inf),
        (("fps",), math.nan),
        (("state", 2, "slots"), 2.5),
        (("state", 2, "slots"), "3"),
        (("state", 1, "fields", 4, "n"), 3.5),
        (("state", 1, "fields", 0, "weight"), "much"),
        (("state", 1, "fields", 1, "unit"), None),
        (("name",), None),
    ],
)
def test_from_json_refuses_values_of_another_type(where: tuple[object, ...], value: object) -> None:
    """A value of a wrong type (a fractional size, a unit that is a number) is refused at once."""
    inside = plain = TOY.to_json()
    for step in where[:-1]:
        inside = inside[step]
    inside[where[-1]] = value
    with pytest.raises(SchemaError):
        Schema.from_json(plain)


# ---- comparing -----------------------------------------------------------------------------------


def test_equal_schemas_do_not_differ() -> None:
    """A schema and its copy have no differences and are accepted both ways."""
    again = Schema.from_json(TOY.to_json())
    assert differences(TOY, again) == []
    assert differences(TOY, again, coding=True) == []
    require(TOY, again, "here", coding=True)
    require_same(TOY, again, "here")


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (NEW_FACTS["unit"], "player/x: unit 'm' expected, 'cm' found"),
        (NEW_FACTS["n"], "player/action: n 300 expected, 299 found"),
        (NEW_FACTS["store"], "player/percent: store 'f2' expected, 'f4' found"),
        (NEW_FACTS["seat"], "player/hit_by: seat True expected, False found"),
        (NEW_FACTS["kind"], "stage/wind: a real expected, a choice found"),
        (NEW_FACTS["one field less"], "stage/wind: expected, not found"),
        (NEW_FACTS["fps"], "fps: 60 expected, 30 found"),
        (NEW_FACTS["slots"], "item/x: slots 3 expected, 4 found"),
        (NEW_FACTS["mask"], "item/x: mask 'alive' expected, None found"),
        (NEW_FACTS["per"], "player/x: per 'player' expected, None found"),
    ],
)
def test_a_difference_is_said_in_words(found: Schema, line: str) -> None:
    """A difference names column, attribute, expected and found value, and is refused with them."""
    assert line in differences(TOY, found)
    with pytest.raises(SchemaMismatch) as caught:
        require(TOY, found, "store data/x")
    assert str(caught.value).startswith("store data/x")
    assert line in str(caught.value)
    with pytest.raises(SchemaMismatch):
        require_same(TOY, found, "store data/x")


@pytest.mark.parametrize("found", NEW_CODING.values(), ids=NEW_CODING)
def test_coding_is_compared_only_for_weights(found: Schema) -> None:
    """Other scales and rules are accepted by readers of recordings and refused for weights."""
    require(TOY, found, "here")
    require_same(TOY, found, "here")
    lines = differences(TOY, found, coding=True)
    assert len(lines) == 1
    with pytest.raises(SchemaMismatch):
        require(TOY, found, "here", coding=True)


def test_all_differences_are_listed() -> None:
    """One message names every field that differs."""
    found = changed(changed(TOY, "player/x", unit="cm"), "player/action", n=2)
    assert [line.split(":")[0] for line in differences(TOY, found)] == ["player/x", "player/action"]


def test_additional_fields_are_ignored_by_readers_and_refused_by_writers() -> None:
    """A reader ignores additional fields; appending needs exactly the same rows."""
    more = regrouped(TOY, "stage", fields=(*TOY.state[0].fields, Flag("lit")))
    require(TOY, more, "here", coding=True)
    with pytest.raises(SchemaMismatch, match="stage/lit: not expected, found"):
        require_same(TOY, more, "here")


@pytest.mark.parametrize("what", ["order of groups", "order of fields", "schema name"])
def test_the_same_fields_in_another_order_are_other_rows(what: str) -> None:
    """Fields in another order are found by readers, and refused by writers with that reason."""
    found = NEW_FACTS[what]
    require(TOY, found, "here")
    with pytest.raises(SchemaMismatch, match="another order, or the name differs"):
        require_same(TOY, found, "here")


def test_long_values_are_shortened() -> None:
    """Values with hundreds of names are shortened in a message."""
    named = changed(TOY, "player/action", names=tuple(f"action{i}" for i in range(300)))
    (line,) = differences(named, TOY)
    assert line.startswith("player/action: names ")
    assert len(line) < 200
