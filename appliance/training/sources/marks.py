"""What tells one state of a source from another: a changed table, a file more or less."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path


def mark_of(files: Iterable[Path], *tables: Path) -> str:
    """A digest of what the tables hold and of each file's name and size, in their order; files that are not there count too."""
    digest = sha256()
    for table in tables:
        digest.update(sha256(table.read_bytes()).digest())
    for path in files:
        size = path.stat().st_size if path.is_file() else -1
        digest.update(f"{path.name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def mark_of_words(words: Iterable[object]) -> str:
    """A digest of what stands in a ledger."""
    return sha256("\n".join(map(repr, words)).encode()).hexdigest()
