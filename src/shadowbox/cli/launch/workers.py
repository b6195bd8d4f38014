"""`--workers N|ray`: the backend of commands whose work is cut into tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

MOST = 256  # processes


class _Workers(NamedTuple):
    """Number of processes, or the address of a Ray cluster (empty: on this machine)."""

    number: int
    ray: str | None = None


class _WorkersType(click.ParamType[Any]):
    """A number of processes, `ray`, or `ray:ADDRESS`."""

    name = "N|ray[:ADDRESS]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Parse a value of --workers."""
        if isinstance(value, _Workers):
            return value
        text = str(value)
        if (address := address_of(text)) is not None:
            return _Workers(0, address)
        if not text.isdecimal() or not 1 <= int(text) <= MOST:
            self.fail(
                f"'{text}' is neither a number from 1 to {MOST} nor ray[:ADDRESS]", param, ctx
            )
        return _Workers(int(text))


def address_of(text: str) -> str | None:
    """Address in a text such as `ray`, `ray:HOST:PORT` or `ray://HOST:PORT`; None of other texts."""
    if text.startswith("ray://"):
        return text
    word, _, address = text.partition(":")
    return address if word == "ray" else None


WORKERS = _WorkersType()


@contextmanager
def backend(workers: _Workers | None, *, pool: bool = False) -> Iterator[Any]:
    """The backend of Ray where one is asked for, else None: the command's own way.

    `pool`: worker processes, where several are asked for.
    """
    if workers is not None and workers.ray is not None:
        from shadowbox.launch.ray import ray_tasks

        with ray_tasks(workers.ray) as found:
            yield found
    elif workers is not None and workers.number > 1 and pool:
        from shadowbox.core.work.executor import processes

        with processes(workers.number) as found:
            yield found
    else:
        yield None
