"""Recordings from files, folders and archives, which are never trusted: found, and opened safely.

Nothing is unpacked to disk. Sizes that an archive declares are checked before a byte is unpacked,
and unpacked bytes are counted: a decompression bomb costs no more memory than one recording, and no
more time than its budget.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

from shadowbox.data.archives.compressed import COMPRESSED
from shadowbox.data.archives.limits import BROKEN, Recording
from shadowbox.data.archives.seven_zip import SEVEN_ZIP, blocks_of
from shadowbox.data.archives.zip_and_tar import TAR, ZIP, tarred, zipped
from shadowbox.data.exchange.parquet import PARQUET
from shadowbox.errors import RecordingError, UsageError

MOST_ENDINGS = 5  # that a message lists
ARCHIVES = (*ZIP, *TAR, *SEVEN_ZIP)


def find_recordings(
    paths: Sequence[Path], endings: Sequence[str], missing: Mapping[str, str] | None = None
) -> list[Path]:
    """Files to read, in a fixed order: the named ones, and in folders those with a fitting name.

    Files with a `missing` ending are among them, so that they are refused by name.
    """
    files: list[Path] = []
    wanted = (*allowed_endings(endings), *(missing or {}))
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; name a file or a folder")
        files += _below(path, wanted) if path.is_dir() else [path]
    return list(dict.fromkeys(files))


def allowed_endings(endings: Sequence[str]) -> tuple[str, ...]:
    """Endings of recordings, of compressed ones, of archives, and of exported episodes."""
    return (*_with_compressed(endings), *ARCHIVES, PARQUET)


def is_archive(path: Path) -> bool:
    """True for an archive, by the end of its name."""
    return path.name.lower().endswith(ARCHIVES)


def _with_compressed(endings: Sequence[str]) -> tuple[str, ...]:
    return (*endings, *(ending + packed for ending in endings for packed in COMPRESSED))


def held_files(paths: Sequence[Path]) -> str:
    """Description of the files in folders by the ends of their names, for a message."""
    names = (file.name for path in paths for file in _below(path, ("",)))
    counts = Counter("".join(PurePosixPath(name).suffixes[-2:]) or "no ending" for name in names)
    most = [f"{count:,} {ending[:20]}" for ending, count in counts.most_common(MOST_ENDINGS)]
    more = ["others"] if len(counts) > MOST_ENDINGS else []
    return f"found: {', '.join([*most, *more])}" if counts else "found no file at all"


def _below(folder: Path, endings: Sequence[str]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (
            Path(place) / name for name in sorted(files) if name.lower().endswith(tuple(endings))
        )


def recordings(
    path: Path,
    endings: Sequence[str],
    *,
    missing: Mapping[str, str] | None = None,
    finished: AbstractSet[str] = frozenset(),
) -> Iterator[Recording]:
    """Recordings at a path: the file itself, or the members of the archive.

    `missing`: endings that a game knows and cannot read, each with the next step. `finished`: blocks
    of archives that came in before.
    """
    name = path.name.lower()
    if not path.is_file():
        yield Recording(str(path), refused="not a regular file")
    elif is_archive(path):
        yield from _members(path, endings, finished)
    elif name.endswith((*_with_compressed(endings), PARQUET)):
        yield Recording(str(path), path)
    elif step := next((step for end, step in (missing or {}).items() if name.endswith(end)), ""):
        yield Recording(str(path), refused=step)
    else:
        allowed = ", ".join(allowed_endings(endings))
        yield Recording(str(path), refused=f"expected a name that ends with one of {allowed}")


def _members(path: Path, endings: Sequence[str], finished: AbstractSet[str]) -> Iterator[Recording]:
    """Recordings in an archive, in its order; its problems are refusals."""
    name, wanted, found = path.name.lower(), _with_compressed(endings), False
    try:
        if name.endswith(SEVEN_ZIP):
            members = blocks_of(path, wanted, finished)
        else:
            members = zipped(path, wanted) if name.endswith(ZIP) else tarred(path, wanted)
        for member in members:
            found = True
            yield member
        if not found:
            yield Recording(
                str(path), refused=f"no file in the archive ends with one of {', '.join(endings)}"
            )
    except BROKEN as error:
        yield Recording(
            str(path), refused=f"the archive is damaged: {error or type(error).__name__}"
        )
    except RecordingError as error:
        yield Recording(str(path), refused=str(error))
