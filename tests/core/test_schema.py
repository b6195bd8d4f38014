"""The one list of fields: packed rows, identity, comparison, and the mistakes that a declaration can hold."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import TOY, random_columns, schemas
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowbox.core.schema import (
    BITS,
    ROW_ALIGNMENT,
    Choice,
    Field,
    Flag,
    Group,
    Real,
    Schema,
    differences,
    require,
    require_same,
)
from shadowbox.errors import SchemaError, SchemaMismatch

PAD = Group("pad", (Flag("a"),), slots=2, per="player")


def small(*fields: Field, **group: object) -> Schema:
    """A schema of one state group `g` with these fields, and one button for two players."""
    return Schema("small", 60, (Group("g", fields, **group),), PAD)


def changed(schema: Schema, key: str, **attributes: object) -> Schema:
    """The same schema with some attributes of one field replaced."""

    def of(group: Group) -> Group:
        fields = (
            dataclasses.replace(f, **attributes) if f"{group.name}/{f.name}" == key else f
            for f in group.fields
        )
        return dataclasses.replace(group, fields=tuple(fields))

    return dataclasses.replace(
        schema, state=tuple(map(of, schema.state)), controls=of(schema.controls)
    )


def regrouped(schema: Schema, group: str, /, **attributes: object) -> Schema:
    """The same schema with some attributes of one state group replaced."""
    return dataclasses.replace(
        schema,
        state=tuple(
            dataclasses.replace(g, **attributes) if g.name == group else g for g in schema.state
        ),
    )


# ---- columns ---------------------------------------------------------------------------------------------------


def test_columns_stand_in_order_of_declaration_with_controls_last() -> None:
    """The order of columns is the order a reader input_columns in the declaration."""
    assert list(TOY.columns) == [
        "stage/id", "stage/wind",
        "player/x", "player/percent", "player/on_ground", "player/facing_right", "player/action", "player/hit_by",
        "item/alive", "item/x", "item/kind",
        "pad/left", "pad/right", "pad/a",
    ]  # fmt: skip
    assert TOY.control_keys == ("pad/left", "pad/right", "pad/a")
    assert (*TOY.state_keys, *TOY.control_keys) == tuple(TOY.columns)


def test_memory_types_follow_kinds() -> None:
    """Reals are f32 even where they are stored as f16, flags bool, choices the smallest unsigned type that holds them."""
    found = {key: column.dtype for key, column in TOY.columns.items()}
    assert found["player/x"] == found["player/percent"] == np.float32
    assert found["player/on_ground"].kind == "b"
    assert found["stage/id"] == np.uint8
    assert found["player/action"] == np.uint16


@pytest.mark.parametrize(
    ("n", "store"),
    [(1, "u1"), (256, "u1"), (257, "u2"), (1 << 16, "u2"), ((1 << 16) + 1, "u4"), (1 << 32, "u4")],
)
def test_a_choice_takes_the_smallest_type_that_holds_its_last_value(n: int, store: str) -> None:
    """The step to a wider type comes exactly when n - 1 no longer fits."""
    schema = small(Choice("c", n))
    columns = schema.neutral(1)
    columns["g/c"][:] = n - 1
    assert schema.columns["g/c"].field.store == store
    assert schema.unpack(schema.pack(columns))["g/c"][0, 0] == n - 1


def test_players_are_counted_from_the_controls() -> None:
    """A schema that does not say how many play has one player for each slot of its controls."""
    assert small(Flag("f")).players == 2


def test_neutral_is_zero_everywhere() -> None:
    """The neutral frame has every column, of its own type and slots, and nothing in it."""
    neutral = TOY.neutral(3, 2)
    assert list(neutral) == list(TOY.columns)
    for key, values in neutral.items():
        assert values.shape == (3, 2, TOY.columns[key].slots)
        assert values.dtype == TOY.columns[key].dtype
        assert not values.any()


# ---- packed rows -----------------------------------------------------------------------------------------------


@given(schemas(), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 99), st.data())
@settings(max_examples=150)
def test_what_is_packed_comes_back(
    schema: Schema, lead: list[int], seed: int, data: st.DataObject
) -> None:
    """Pack and unpack are inverse for any schema, any leading axes, rows or their bytes, and any selection of keys."""
    flat = random_columns(schema, max(1, math.prod(lead)), seed)
    columns = {
        key: values[: math.prod(lead)].reshape(*lead, -1 if math.prod(lead) else values.shape[-1])
        for key, values in flat.items()
    }
    rows = schema.pack(columns)
    assert rows.shape == tuple(lead)
    assert rows.dtype == schema.row_dtype

    as_bytes = rows[..., None].view(np.uint8)
    assert as_bytes.shape == (*lead, schema.row_dtype.itemsize)
    keys = data.draw(st.lists(st.sampled_from(list(schema.columns)), unique=True))
    for found, wanted in (
        (schema.unpack(rows), list(schema.columns)),
        (schema.unpack(as_bytes), list(schema.columns)),
        (schema.unpack(rows, keys), keys),
    ):
        assert list(found) == wanted
        for key, values in found.items():
            assert values.dtype == schema.columns[key].dtype
            assert values.shape == columns[key].shape
            np.testing.assert_array_equal(values, columns[key])


@given(schemas())
@settings(max_examples=150)
def test_a_row_holds_its_values_and_less_than_eight_bytes_more(schema: Schema) -> None:
    """A row is as long as its values, with flags as bits, rounded up to a multiple of eight bytes."""
    widths = {"f4": 4, "u4": 4, "f2": 2, "u2": 2, "u1": 1}
    flags = sum(c.slots for c in schema.columns.values() if isinstance(c.field, Flag))
    values = sum(
        c.slots * widths[c.field.store]
        for c in schema.columns.values()
        if not isinstance(c.field, Flag)
    )
    content = values + math.ceil(flags / 8)
    assert schema.content_bytes == content
    assert schema.row_dtype.itemsize % ROW_ALIGNMENT == 0
    assert 0 <= schema.row_dtype.itemsize - content < 8


@given(schemas(), st.integers(0, 99))
@settings(max_examples=50)
def test_padding_is_zero(schema: Schema, seed: int) -> None:
    """Bytes that mean nothing are always zero, so that equal frames have equal bytes and one digest."""
    rows = schema.pack(random_columns(schema, 3, seed))
    assert not rows.view(np.uint8).reshape(3, -1)[:, schema.content_bytes :].any()


@given(schemas())
@settings(max_examples=50)
def test_every_value_starts_where_its_type_may_stand(schema: Schema) -> None:
    """Wider classes come first, so each member lies at a multiple of its own width and blocks touch each other."""
    end = 0
    for block in schema.blocks:
        assert block.offset == end
        assert block.store == "bit" or block.offset % int(block.store[1]) == 0
        end += block.nbytes


def test_plain_numpy_reads_a_row() -> None:
    """Reals and choices of a stored row are members by their column's name, without this package."""
    columns = random_columns(TOY, 5, 1)
    rows = TOY.pack(columns)
    assert rows["player/percent"].dtype == np.float16
    np.testing.assert_array_equal(rows["player/x"], columns["player/x"])
    np.testing.assert_array_equal(rows["player/action"], columns["player/action"])


def test_flags_are_bits_at_their_announced_places() -> None:
    """Bit `flag_bits[key] + slot`, counted from the little end, is the flag of that slot."""
    columns = random_columns(TOY, 20, 2)
    raw = TOY.pack(columns)[BITS]
    assert raw.shape == (20, 2)  # 2 + 2 + 3 + 3 * 2 flags are 13 bits
    assert sorted(TOY.flag_bits.values()) == [0, 2, 4, 7, 9, 11]
    for key, first in TOY.flag_bits.items():
        for slot in range(TOY.columns[key].slots):
            at = first + slot
            np.testing.assert_array_equal((raw[:, at // 8] >> (at % 8)) & 1, columns[key][:, slot])


def test_bytes_become_rows_without_a_copy() -> None:
    """Looking at bytes as rows shares their memory."""
    packed = np.zeros((4, TOY.row_dtype.itemsize), np.uint8)
    rows = TOY.as_rows(packed)
    rows["stage/id"] = 3
    assert packed.any()
    assert TOY.as_rows(rows) is rows


@pytest.mark.parametrize("width", [0, 8, 39, 80])
def test_bytes_of_another_width_are_refused(width: int) -> None:
    """Nothing guesses a layout: bytes that are not one row wide are an error, twice as wide ones too."""
    with pytest.raises((ValueError, SchemaError)):
        TOY.unpack(np.zeros((2, width), np.uint8))


# ---- identity --------------------------------------------------------------------------------------------------


def test_golden_hashes() -> None:
    """Hashes of a declaration never move: stores and checkpoints that exist carry them."""
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
    "doc": changed(TOY, "player/x", doc="where it stands"),
    "group doc": regrouped(TOY, "item", doc="what lies around"),
    "mirror": changed(TOY, "player/on_ground", mirror="invert"),
}


@pytest.mark.parametrize("other", NEW_FACTS.values(), ids=NEW_FACTS)
def test_what_a_number_means_is_hashed(other: Schema) -> None:
    """A change of what stored numbers mean, or of where they stand, changes both hashes."""
    assert other.facts_hash != TOY.facts_hash
    assert other.coding_hash != TOY.coding_hash


@pytest.mark.parametrize("other", NEW_CODING.values(), ids=NEW_CODING)
def test_what_only_a_weight_depends_on_leaves_the_facts(other: Schema) -> None:
    """A change of how a model sees values changes the coding hash, and old recordings stay usable."""
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
    """Units, seats, partners, docs and weights survive too."""
    full = NEW_CODING["parents"]
    full = changed(
        full,
        "player/action",
        embed=8,
        doc="what it does",
        weight=0.5,
        names=tuple(f"a{i}" for i in range(300)),
    )
    full = regrouped(full, "item", doc="what lies around")
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


# ---- from_json refuses what is no schema -----------------------------------------------------------------------


def places(data: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The paths of all values inside plain data."""
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
    """Damaged plain data is a SchemaError.

    What is accepted all the same can be used to pack, hash and describe.
    """
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
    """An unknown word is refused at every depth: a newer Shadowbox may mean something by it."""
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
    """A size that is no whole number, or a unit that is no text, is refused at once and not when it is used."""
    inside = plain = TOY.to_json()
    for step in where[:-1]:
        inside = inside[step]
    inside[where[-1]] = value
    with pytest.raises(SchemaError):
        Schema.from_json(plain)


# ---- mistakes in a declaration ---------------------------------------------------------------------------------

MISTAKES = {
    "fps": (lambda: Schema("s", 0, (), PAD), ["fps is 0"]),
    "controls": (
        lambda: Schema("s", 60, (), Group("pad", (Flag("a"),))),
        ["'pad' must be declared per='player'"],
    ),
    "group twice": (lambda: Schema("s", 60, (PAD,), PAD), ["group 'pad' is declared twice"]),
    "field twice": (lambda: small(Flag("f"), Flag("f")), ["field of 'g' 'f' is declared twice"]),
    "group name": (
        lambda: Schema("s", 60, (Group("G g", (Flag("f"),)),), PAD),
        ["group 'G g': a name is lower-case"],
    ),
    "field name": (lambda: small(Flag("1st")), ["g/1st: a name is lower-case"]),
    "no fields": (lambda: small(), ["group 'g' has no fields"]),
    "no slots": (lambda: small(Flag("f"), slots=0), ["group 'g': 0 slots"]),
    "per": (lambda: small(Flag("f"), per="team"), ["per='team', it is None or 'player'"]),
    "unequal shares": (
        lambda: small(Flag("f"), slots=3, per="player"),
        ["3 slots cannot be shared equally by 2 players"],
    ),
    "mask": (lambda: small(Flag("f"), mask="alive"), ["its mask 'alive' is no flag"]),
    "mask is no flag": (lambda: small(Choice("c", 2), mask="c"), ["its mask 'c' is no flag"]),
    "predict": (
        lambda: small(Flag("f", predict="delta")),
        ["g/f: predict='delta', a flag has value, no"],
    ),
    "parent": (lambda: small(Flag("f", parents=("g/z",))), ["g/f: parent 'g/z' is no column"]),
    "mirror word": (
        lambda: small(Flag("f", mirror="negate")),
        ["g/f: mirror='negate', a flag has keep, invert"],
    ),
    "mirror one way": (lambda: small(Flag("f", mirror="h"), Flag("h")), ["g/f: mirror='h'"]),
    "mirror other kind": (
        lambda: small(Flag("f", mirror="h"), Real("h", mirror="f")),
        ["g/f: mirror='h'", "g/h: mirror='f'"],
    ),
    "mirror other n": (
        lambda: small(Choice("f", 2, mirror="h"), Choice("h", 3, mirror="f")),
        ["g/f: mirror='h'"],
    ),
    "store": (lambda: small(Real("x", store="f8")), ["g/x: store='f8', it is f2 or f4"]),
    "empty range": (lambda: small(Real("x", low=2, high=1)), ["g/x: range 2 .. 1 is empty"]),
    "point range": (lambda: small(Real("x", low=1, high=1)), ["g/x: range 1 .. 1 is empty"]),
    "range beyond f2": (
        lambda: small(Real("x", high=70000, store="f2")),
        ["70000", "does not fit into f2"],
    ),
    "nan range": (
        lambda: small(Real("x", low=math.nan, high=1)),
        ["g/x: low=nan, it is None or a number"],
    ),
    "lopsided negate": (
        lambda: small(Real("x", low=-1, high=2, mirror="negate")),
        ["g/x: mirror='negate' leaves the range -1 .. 2"],
    ),
    "scale": (lambda: small(Real("x", scale=0)), ["g/x: scale is 0"]),
    "no choice": (lambda: small(Choice("c", 0)), ["g/c: a choice of 0"]),
    "huge choice": (lambda: small(Choice("c", (1 << 32) + 1)), ["g/c: a choice of 4294967297"]),
    "names": (lambda: small(Choice("c", 3, names=("a", "b"))), ["g/c: 2 names for a choice of 3"]),
    "seat": (
        lambda: small(Choice("c", 4, seat=True)),
        ["g/c: seat=True needs n=2 or n=3", "not 4"],
    ),
    "all at once": (
        lambda: Schema(
            "s", -1, (Group("g", (Flag("F"), Choice("c", 0), Real("x", scale=-1))),), PAD
        ),
        ["fps is -1", "g/F:", "g/c: a choice of 0", "g/x: scale is -1"],
    ),
}


@pytest.mark.parametrize(("declare", "said"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_of_a_declaration_is_named(declare: object, said: list[str]) -> None:
    """The error says which field is wrong and what is possible, for all mistakes of a schema at once."""
    with pytest.raises(SchemaError) as caught:
        declare()
    for part in said:
        assert part in str(caught.value)


def test_what_is_just_allowed_is_allowed() -> None:
    """Limits themselves are inside: the largest f2, both forms of a seat, a mirrored symmetric range, a single choice."""
    schema = small(
        Real("x", high=65504, store="f2"),
        Real("y", low=-3, high=3, mirror="negate"),
        Choice("one", 1),
        Choice("who", 2, seat=True),
        Choice("whom", 3, seat=True),
        Choice("all", 1 << 32),
    )
    assert [key.partition("/")[2] for key in schema.state_keys] == [
        "x",
        "y",
        "one",
        "who",
        "whom",
        "all",
    ]


# ---- comparing -------------------------------------------------------------------------------------------------


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
    """Each difference names the column, the attribute, what was expected and what was found, and is refused so."""
    assert line in differences(TOY, found)
    with pytest.raises(SchemaMismatch) as caught:
        require(TOY, found, "store data/x")
    assert str(caught.value).startswith("store data/x")
    assert line in str(caught.value)
    with pytest.raises(SchemaMismatch):
        require_same(TOY, found, "store data/x")


@pytest.mark.parametrize("found", NEW_CODING.values(), ids=NEW_CODING)
def test_coding_is_compared_only_for_weights(found: Schema) -> None:
    """A reader of recordings accepts other scales and rules.

    A reader of weights refuses them by name.
    """
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
    """A reader uses the fields it knows; appending needs the very same rows."""
    more = regrouped(TOY, "stage", fields=(*TOY.state[0].fields, Flag("lit")))
    require(TOY, more, "here", coding=True)
    with pytest.raises(SchemaMismatch, match="stage/lit: not expected, found"):
        require_same(TOY, more, "here")


@pytest.mark.parametrize("what", ["order of groups", "order of fields", "schema name"])
def test_the_same_fields_in_another_order_are_other_rows(what: str) -> None:
    """Readers find fields by name.

    A writer whose rows would lie otherwise is refused, and told that it is the order.
    """
    found = NEW_FACTS[what]
    require(TOY, found, "here")
    with pytest.raises(SchemaMismatch, match="another order, or the name differs"):
        require_same(TOY, found, "here")


def test_long_values_are_shortened() -> None:
    """Hundreds of names do not flood the message."""
    named = changed(TOY, "player/action", names=tuple(f"action{i}" for i in range(300)))
    (line,) = differences(named, TOY)
    assert line.startswith("player/action: names ")
    assert len(line) < 200


def test_the_table_describes_every_column() -> None:
    """The docs' table has one line a column with its kind, slots, storage, unit and range."""
    head, rule, *lines = TOY.table().splitlines()
    assert len(lines) == len(TOY.columns)
    assert {line.count("|") for line in (head, rule, *lines)} == {10}
    by_key = {
        line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:-1]] for line in lines
    }
    assert list(by_key) == list(TOY.columns)
    assert by_key["player/percent"] == [
        "real",
        "2 (per player)",
        "f2",
        "%",
        "0 .. 999",
        "delta",
        "keep",
        "",
    ]
    assert by_key["stage/id"] == ["choice of 4", "1", "u1", "", "0 .. 3", "no", "keep", ""]
    assert by_key["pad/left"] == ["flag", "2 (per player)", "bit", "", "", "value", "right", ""]
    # unbounded: no range is claimed
    assert small(Real("x")).table().splitlines()[2].split("|")[6].strip() == ""
