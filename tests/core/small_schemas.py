"""Small schemas, and schemas with a few attributes changed, for tests of declarations."""

from __future__ import annotations

import dataclasses

from shadowbox.core.schema import Field, Flag, Group, Schema

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
