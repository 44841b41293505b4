"""How files leave an owned inbox: never before they are safe, and never without a second look."""

import errno
import logging
import os
import shutil
from hashlib import sha256
from pathlib import Path

from appliance.core.errors import Fault
from appliance.core.times import Now
from appliance.imaging.sniffing import MAX_FILE
from appliance.intake.inbox import Answered, Inbox
from appliance.intake.names import name_of
from appliance.intake.plain_file import has_writer, identity_of, read_regular
from appliance.records.files import SAFE, files_still_landed, mark_removed
from appliance.records.ledger import Ledger

log = logging.getLogger(__name__)

AGAIN_S = 60.0  # between tries, where a folder gives no right to remove
REST_S = 600.0  # a file that cannot be taken leaves an owned inbox after this long unchanged


class Leaving:
    """Takes out of an owned inbox what has its verdict. A shared one is left as it is."""

    def __init__(self, *, inbox: Inbox, owned: bool, set_aside_folder: Path, ledger: Ledger) -> None:
        self._inbox = inbox
        self._owned = owned
        self._set_aside_folder = set_aside_folder
        self._ledger = ledger
        self._said: set[int] = set()
        self._left: list[int] = []  # they have left, and the ledger does not say so yet
        self._unproven: dict[str, str] = {}  # by name: the sha256 that its bytes must have before it may leave

    def reconcile(self, now: Now) -> None:
        """Looks at every file with a verdict that still lies in the inbox.

        Remembered if nothing about it has changed, and if its bytes are those in the store it may leave; else looked at
        anew.
        """
        with self._ledger.reading() as read:
            rows = files_still_landed(read)
        for file_id, row in rows:
            name = name_of(row.path)
            path = self._inbox.root / name
            leaves = row.verdict in SAFE
            try:
                same = identity_of(path.lstat()) == row.identity
            except (FileNotFoundError, NotADirectoryError):
                self._left.append(file_id)
                continue
            except OSError:
                # Its folder may not be entered now. It lies there still, and its verdict holds until it can be looked at.
                self._inbox.remember(name, row.identity, file_id=file_id, leaves=leaves, now=now)
                self._unproven[name] = row.sha256
                continue
            if not same:
                continue
            if not (leaves and self._owned) or self._has_bytes(path, row.sha256):
                self._inbox.remember(name, row.identity, file_id=file_id, leaves=leaves, now=now)

    @staticmethod
    def _has_bytes(path: Path, file_sha256: str) -> bool:
        try:
            data, _ = read_regular(path, MAX_FILE)
        except Fault:
            return False
        return sha256(data).hexdigest() == file_sha256

    def let_go(self, now: Now) -> None:
        """Second looks: what is safe and unchanged leaves an owned inbox; what cannot be taken moves aside after a while."""
        unchanged = self._inbox.second_looks(now)
        if self._owned:
            self._let_leave(unchanged, now)
        if self._left:
            with self._ledger.writing() as write:
                mark_removed(write, self._left)
            self._left = []

    def _let_leave(self, unchanged: list[tuple[str, Answered]], now: Now) -> None:
        self._left += [answered.file_id for name, answered in unchanged if self._remove(name, answered, now)]
        self._left += [
            answered.file_id
            for name, answered in self._inbox.resting(now, REST_S)
            if self._move_aside(name, answered.file_id, now)
        ]

    def _remove(self, name: str, answered: Answered, now: Now) -> bool:
        """Looks once more directly before: a receiver that reuses names may have put another file there meanwhile."""
        path = self._inbox.root / name
        try:
            expected = self._unproven.pop(name, None)
            if identity_of(path.lstat()) != answered.identity or (expected and not self._has_bytes(path, expected)):
                self._inbox.look_again(name, now)
                return False
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            self._stays(name, answered.file_id, error, now)
            return False
        self._inbox.forget(name)
        return True

    def _stays(self, name: str, file_id: int, error: OSError, now: Now) -> None:
        """It cannot leave. Nothing is lost by that: it is tried again, and said once."""
        self._inbox.stays(name, now, AGAIN_S)
        if file_id not in self._said:
            self._said.add(file_id)
            log.warning("a file cannot leave the inbox", extra={"facts": {"file": file_id, "said": error.strerror}})

    def _move_aside(self, name: str, file_id: int, now: Now) -> bool:
        """A plain file moves unless somebody writes it; a link, pipe or device stays, for a person to see."""
        path = self._inbox.root / name
        if path.is_symlink() or not path.is_file() or has_writer(path):
            self._inbox.stays(name, now, REST_S)
            return False
        try:
            self._set_aside_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _move(path, self._set_aside_folder / f"file-{file_id}")
        except OSError as error:
            self._stays(name, file_id, error, now)
            return False
        self._inbox.forget(name)
        return True


def _move(path: Path, target: Path) -> None:
    """Also to another file system."""
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_durably(path, target)
        path.unlink(missing_ok=True)


def _copy_durably(path: Path, target: Path) -> None:
    with open(path, "rb") as source, open(target, "wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
