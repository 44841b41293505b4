"""Room that is kept on the disk of the ledger, and given up when that is full: so that a bleed can still be written."""

import logging
import os
from pathlib import Path
from typing import Final

from appliance.core.times import Now

log = logging.getLogger(__name__)

FULL_BELOW_BYTES: Final = 2**20
"""A disk with less room is full: the ledger may need so much for what it writes next."""
RESERVED_PART: Final = 8
"""Of what is given up, slices leave an eighth alone: the ledger needs it for their alert."""
LOOK_EVERY_S: Final = 10.0
_BLOCK_BYTES: Final = 512


class Ballast:
    """One file, whose blocks are given to it without being written."""

    def __init__(self, path: Path, size: int) -> None:
        """`size` in bytes: best a whole head CT and its alert."""
        self._path = path
        self._draft = path.with_suffix(".tmp")
        self._size = size
        self._looked_s = float("-inf")
        self._made = False  # by this program: some file systems never say that they have given blocks

    @property
    def given_up(self) -> bool:
        """It is not there: the disk is full, or has been."""
        return not self._path.exists()

    @property
    def _is_whole(self) -> bool:
        """Its blocks are given to it: a copy that was put back from a backup may have none."""
        found = self._path.stat()
        return found.st_size == self._size <= found.st_blocks * _BLOCK_BYTES

    def keep(self, now: Now) -> None:
        """Makes it where it is missing and the disk has room for it once more beside. Looks now and then."""
        if now.monotonic_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now.monotonic_s
        try:
            if (self.given_up or not (self._made or self._is_whole)) and self.free_bytes() >= 2 * self._size:
                self._make()
        except OSError as error:
            log.warning("the ballast could not be made", extra={"facts": {"said": error.strerror}})

    def holds_back(self, folder: Path, size: int) -> bool:
        """Whether so many bytes more in this folder would take from what is left for the ledger. OSError as `free_bytes`."""
        if not self.given_up or folder.stat().st_dev != self._path.parent.stat().st_dev:
            return False
        return self.free_bytes() < self._size // RESERVED_PART + size

    def give_up_if_full(self, needed: int = FULL_BELOW_BYTES) -> bool:
        """Deletes it if the disk has no room for so many bytes. Returns whether that has made room."""
        try:
            if self.free_bytes() >= max(needed, FULL_BELOW_BYTES):
                return False
            self._draft.unlink(missing_ok=True)  # of a program that was killed while it made one
            if self.given_up:
                return False
            self._path.unlink()
        except OSError as error:
            log.error("the ballast could not be given up", extra={"facts": {"said": error.strerror}})
            return False
        log.error("the disk is full: the ballast is given up", extra={"facts": {"bytes": self._size}})
        return True

    def free_bytes(self) -> int:
        """What this user can still write. OSError if the folder is gone."""
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    def _make(self) -> None:
        try:
            with open(self._draft, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
            self._draft.replace(self._path)
            self._made = True
        except OSError:
            self._draft.unlink(missing_ok=True)
            raise
