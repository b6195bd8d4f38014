"""Other readers of `.slp` files, each run in a process of its own: their values and their speed.

    python peers.py dump peppi FOLDER FILE...
        write every column by its dotted name to FOLDER/0.npz, ...; refusals to FOLDER/0.txt, ...
    python peers.py time pyslippi OUT.json FILE...
        write the rows read per CPU-second of this process

Runs under any Python that has peppi-py or py-slippi, without Shadowbox. A separate process is
needed because peppi-py requires its own pyarrow, and because a file that makes peppi-py panic ends
the whole process.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

READERS = {"peppi": "peppi_py", "pyslippi": "slippi"}  # -> the module to import
# variable that names the interpreter; else `.venv-peers` of the current folder, else this one
PYTHON = "SHADOWBOX_PEERS"
ROUNDS = 3


@cache
def interpreter(reader: str) -> str | None:
    """Path of a Python that can import a reader; None if there is none."""
    own = Path(".venv-peers/bin/python")
    named = os.environ.get(PYTHON)
    for python in [named] if named else [str(own), sys.executable]:
        if (
            shutil.which(python)
            and not _run([python, "-c", f"import {READERS[reader]}"]).returncode
        ):
            return python
    return None


def ask(reader: str, *arguments: str) -> str | None:
    """Run this file for a reader. Return None on success, else the last line of its errors."""
    python = interpreter(reader)
    if python is None:
        return (
            f"no Python found that can import {READERS[reader]}; "
            f"set {PYTHON} to an interpreter that can"
        )
    process = _run([python, __file__, arguments[0], reader, *arguments[1:]])
    if not process.returncode:
        return None
    return (process.stderr.strip().splitlines() or [f"ended with code {process.returncode}"])[-1]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def peppi_columns(path: str) -> dict[str, Any]:
    """Every row of every port, and the list of items, under the names that peppi gives them."""
    from peppi_py._peppi import read_slippi

    game = read_slippi(path, False)
    return {
        "start": json.dumps(game.start),
        "end": json.dumps(game.end),
        **dict(_flat(game.frames, "frames")),
    }


def _flat(column: Any, name: str) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    if column.null_count:
        yield f"{name}?", column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_struct(column.type):
        for at in range(column.type.num_fields):
            yield from _flat(column.field(at), f"{name}.{column.type.field(at).name}")
    elif pa.types.is_list(column.type):
        yield f"{name}#", np.diff(column.offsets.to_numpy())
        yield from _flat(column.flatten(), name)
    else:
        yield name, column.fill_null(0).to_numpy(zero_copy_only=False)


def slippi_columns(path: str) -> dict[str, Any]:
    """Columns of py-slippi's frames under peppi's names; NaN where py-slippi holds None."""
    from slippi import Game

    frames = Game(path).frames
    columns: dict[str, list[Any]] = {"frames.id": [frame.index for frame in frames]}
    for port in range(4):
        for who in ("leader", "follower"):
            for frame in frames:
                data = frame.ports[port] and getattr(frame.ports[port], who)
                if data is None:
                    continue
                for side in ("pre", "post"):
                    for name, value in _SLIPPI[side].items():
                        key = f"frames.ports.P{port + 1}.{who}.{side}.{name}"
                        columns.setdefault(key, []).append(_number(value(getattr(data, side))))
    for frame in frames:
        for item in frame.items:
            for name, value in _SLIPPI["item"].items():
                columns.setdefault(f"frames.item.{name}", []).append(_number(value(item)))
    return {name: np.array(values, np.float64) for name, values in columns.items()}


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


_SLIPPI: dict[str, dict[str, Any]] = {
    "pre": {
        "random_seed": lambda row: row.random_seed,
        "state": lambda row: row.state,
        "position.x": lambda row: row.position.x,
        "position.y": lambda row: row.position.y,
        "direction": lambda row: row.direction,
        "joystick.x": lambda row: row.joystick.x,
        "joystick.y": lambda row: row.joystick.y,
        "cstick.x": lambda row: row.cstick.x,
        "cstick.y": lambda row: row.cstick.y,
        "triggers": lambda row: row.triggers.logical,
        "triggers_physical.l": lambda row: row.triggers.physical.l,
        "triggers_physical.r": lambda row: row.triggers.physical.r,
        "buttons": lambda row: row.buttons.logical,
        "buttons_physical": lambda row: row.buttons.physical,
        "raw_analog_x": lambda row: row.raw_analog_x,
        "percent": lambda row: row.damage,
    },
    "post": {
        "character": lambda row: row.character,
        "state": lambda row: row.state,
        "position.x": lambda row: row.position.x,
        "position.y": lambda row: row.position.y,
        "direction": lambda row: row.direction,
        "percent": lambda row: row.damage,
        "shield": lambda row: row.shield,
        "stocks": lambda row: row.stocks,
        "last_attack_landed": lambda row: row.last_attack_landed,
        "last_hit_by": lambda row: row.last_hit_by,
        "combo_count": lambda row: row.combo_count,
        "state_age": lambda row: row.state_age,
        "flags": lambda row: row.flags,
        "misc_as": lambda row: row.hit_stun,
        "airborne": lambda row: row.airborne,
        "ground": lambda row: row.ground,
        "jumps": lambda row: row.jumps,
        "l_cancel": lambda row: row.l_cancel,
    },
    "item": {
        "type": lambda row: row.type,
        "state": lambda row: row.state,
        "direction": lambda row: row.direction,
        "velocity.x": lambda row: row.velocity.x,
        "velocity.y": lambda row: row.velocity.y,
        "position.x": lambda row: row.position.x,
        "position.y": lambda row: row.position.y,
        "damage": lambda row: row.damage,
        "timer": lambda row: row.timer,
        "id": lambda row: row.spawn_id,
    },
}


def dump(reader: str, folder: Path, paths: list[str]) -> None:
    """Write one archive for each file, or a text file with the reason for refusing it."""
    columns = peppi_columns if reader == "peppi" else slippi_columns
    for number, path in enumerate(paths):
        try:
            np.savez(folder / f"{number}.npz", **columns(path))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # peppi-py raises one when it panics
            (folder / f"{number}.txt").write_text(
                f"{type(error).__name__}: {error}", encoding="utf-8"
            )


def speed(reader: str, paths: list[str]) -> dict[str, Any]:
    """Rows per CPU-second over the files that the reader can read; median of several rounds."""
    refused: list[str] = []

    def rows(path: str) -> int:
        try:
            if reader == "peppi":
                from peppi_py import read_slippi

                frames = read_slippi(path).frames
                return len(frames.id) if frames else 0
            from slippi import Game

            return len(Game(path).frames)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # peppi-py raises one when it panics
            refused.append(path)
            return 0

    rows(paths[0])  # triggers imports that happen on the first call
    rates = []
    for _ in range(ROUNDS if reader == "peppi" else 1):
        refused.clear()
        began = time.process_time()
        total = sum(map(rows, paths))
        rates.append(total / (time.process_time() - began))
    return {"frames_per_cpu_s": statistics.median(rates), "frames": total, "refused": len(refused)}


def main(arguments: list[str]) -> None:
    """Run the task `dump` or `time`, with arguments as in the docstring of this file."""
    task, reader, out, *paths = arguments
    if task == "dump":
        dump(reader, Path(out), paths)
    else:
        Path(out).write_text(json.dumps(speed(reader, paths)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
