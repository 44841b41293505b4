"""A simulated scanner: puts files into an inbox in the ways that scanners and DICOM receivers do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np


class Landing(StrEnum):
    """How a file comes to lie in the inbox."""

    TEMP_RENAME = "temp-rename"  # written under another name, then renamed
    IN_PLACE = "in-place"  # written under its own name, in chunks
    HARD_LINK = "hard-link"  # written elsewhere, linked, then the first name removed
    SLOW = "slow"  # in place, with pauses between chunks


CHUNK_BYTES = 64 * 1024
SLOW_PAUSE_S = 0.05
SLOW_CHUNKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One file that has landed: its path, its index among the files given, and the clock (ns) at close or rename.

    `due_ns`: when its turn was, by the pace alone. A measurement from here on counts what a late scanner would hide.
    """

    path: Path
    sop_index: int
    closed_ns: int
    due_ns: int


def send(
    files: Sequence[Path | bytes],
    inbox: Path,
    *,
    rate_hz: float,
    landing: Landing,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], None],
    shuffle: np.random.Generator | None = None,
    prefix: str = "IM",
) -> Iterator[Sent]:
    """Send files one by one at `rate_hz` (0: as fast as it goes), in the order given or shuffled; yield each.

    The pace is held against the clock, so that a slow disk does not add up. Raises OSError where the inbox cannot
    be written, and FileExistsError where a name is taken already.
    """
    order = list(range(len(files)))
    if shuffle is not None:
        order = [int(k) for k in shuffle.permutation(len(files))]
    started_ns = clock_ns()
    for count, index in enumerate(order):
        due_ns = started_ns + (round(count / rate_hz * 1e9) if rate_hz > 0 else 0)
        if rate_hz > 0:
            wait_s = (due_ns - clock_ns()) / 1e9
            if wait_s > 0:
                sleep(wait_s)
        source = files[index]
        data = source if isinstance(source, bytes) else source.read_bytes()
        path = inbox / f"{prefix}-{index + 1:04d}.dcm"
        _LAND[landing](path, data, sleep)
        yield Sent(path=path, sop_index=index, closed_ns=clock_ns(), due_ns=due_ns)


def series_files(folder: Path) -> list[Path]:
    """Return every regular file under a folder, by name; links are not followed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _write(path: Path, data: bytes, pause: Callable[[], None], chunk: int = CHUNK_BYTES) -> None:
    with path.open("xb", buffering=0) as file:
        for start in range(0, len(data), chunk):
            file.write(data[start : start + chunk])
            pause()


def _no_pause() -> None:
    return None


def _refuse_taken(path: Path) -> None:
    """A rename would write over it without a word, and a link would leave its other name behind."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _temp_rename(path: Path, data: bytes, sleep: Callable[[float], None]) -> None:
    _refuse_taken(path)
    hidden = path.with_name(f".{path.name}.part")
    _write(hidden, data, _no_pause)
    hidden.rename(path)


def _in_place(path: Path, data: bytes, sleep: Callable[[float], None]) -> None:
    _write(path, data, _no_pause)


def _hard_link(path: Path, data: bytes, sleep: Callable[[float], None]) -> None:
    _refuse_taken(path)
    hidden = path.with_name(f".{path.name}.link")
    _write(hidden, data, _no_pause)
    os.link(hidden, path)
    hidden.unlink()


def _slow(path: Path, data: bytes, sleep: Callable[[float], None]) -> None:
    chunk = max(1, -(-len(data) // SLOW_CHUNKS))
    _write(path, data, lambda: sleep(SLOW_PAUSE_S), chunk)


_LAND: dict[Landing, Callable[[Path, bytes, Callable[[float], None]], None]] = {
    Landing.TEMP_RENAME: _temp_rename,
    Landing.IN_PLACE: _in_place,
    Landing.HARD_LINK: _hard_link,
    Landing.SLOW: _slow,
}
