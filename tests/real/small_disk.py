"""A disk of a few MiB that a test fills to the last byte, and a ledger that another program holds."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2

_FILL: Final = "fill"


@contextlib.contextmanager
def small_disk(folder: Path, *, mib: int) -> Iterator[Path]:
    """A file system of its own in memory, mounted until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Writes until not one byte more goes on the disk."""
    with open(folder / _FILL, "ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


def empty(folder: Path) -> None:
    """There is room again."""
    (folder / _FILL).unlink()


@contextlib.contextmanager
def held_by_another(ledger: Path) -> Iterator[None]:
    """Another program writes and does not come to an end."""
    other = dbapi2.connect(str(ledger), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
