"""Pixels at rest: the files as received, and their Hounsfield values beside them.

No text from a header is ever a path: names are hashes. A file is on disk for good before `put` returns.
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from appliance.core.reads import Hounsfield

PREAMBLE = 128
_HASH_CHARACTERS = 16


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]


def shelf_name(*, study_uid: str, series_uid: str, sop_uid: str, file_sha256: str) -> str:
    """Where a file stands below the store's root."""
    return (
        f"{_short_hash(study_uid)}/{_short_hash(series_uid)}/"
        f"{_short_hash(sop_uid)}-{file_sha256[:_HASH_CHARACTERS]}.dcm"
    )


def read_hounsfield(root: Path, name: str) -> Hounsfield:
    """The Hounsfield values of a stored file below the store's root, int16 [rows, columns]; writes nothing.

    OSError or ValueError if they are gone or torn.
    """
    values: Hounsfield = np.load(_hounsfield_path(root, name), allow_pickle=False)
    if values.dtype != np.int16 or values.ndim != 2:
        raise ValueError("not a slice of Hounsfield values")
    return values


def _hounsfield_path(root: Path, name: str) -> Path:
    return (root / name).with_suffix(".npy")


def without_preamble(data: bytes) -> bytes:
    """The same file with its 128 free bytes cleared: they may hold a program of another kind (CVE-2019-11687)."""
    if data[PREAMBLE : PREAMBLE + 4] != b"DICM":
        return data
    return bytes(PREAMBLE) + data[PREAMBLE:]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Shelf:
    """The store folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._drafts = root / ".drafts"
        self._drafts.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._known_folders: set[Path] = set()

    def sweep_drafts(self) -> None:
        """Removes what a crash left half written. No row speaks of a draft."""
        for draft in self._drafts.iterdir():
            draft.unlink(missing_ok=True)

    def put(self, data: bytes, name: str) -> None:
        """Copies a file durably: fsync, rename, fsync of the folder. Overwriting is harmless, the name holds the hash."""
        place = self.root / name
        self._make_folder(place.parent)
        with self._draft(place) as draft:
            draft.write(without_preamble(data))
            draft.flush()
            os.fsync(draft.fileno())
        Path(draft.name).replace(place)
        _sync_folder(place.parent)

    def put_hounsfield(self, hu: Hounsfield, name: str) -> None:
        """Writes int16 [rows, columns] as .npy beside the file. Not synced: it can be made again from the file."""
        place = self.hounsfield_path(name)
        with self._draft(place) as draft:
            np.save(draft, hu, allow_pickle=False)
        Path(draft.name).replace(place)

    def hounsfield_path(self, name: str) -> Path:
        """Where the Hounsfield values of a stored file stand."""
        return _hounsfield_path(self.root, name)

    def hounsfield(self, name: str) -> Hounsfield:
        """int16 [rows, columns]. OSError or ValueError if they are gone or torn."""
        return read_hounsfield(self.root, name)

    def _draft(self, place: Path) -> BinaryIO:
        return open(self._drafts / f"{secrets.token_hex(8)}{place.suffix}", "xb")

    def _make_folder(self, folder: Path) -> None:
        if folder in self._known_folders:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync_folder(folder.parent)
        _sync_folder(self.root)
        self._known_folders.add(folder)
