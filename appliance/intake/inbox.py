"""What lies in the inbox, what of it is ready to be read, and what has been answered.

A path is looked at because an event named it or a sweep found it. It is ready when a writer has closed it or given it
its name (then it is read at once, and must prove itself whole), or when size, times and blocks have stood still; never
while a program of this machine is seen writing it. A verdict holds for the identity it was given for; any change opens
the file again.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from appliance.core.ledger import Identity
from appliance.core.times import Now
from appliance.imaging.sniffing import is_temp_name
from appliance.intake.plain_file import has_writer, identity_of

SETTLE_S = 2.0  # longest pause of a local writer that is still writing; restarted by any change
FILLING_PATIENCE_S = 30.0  # a file that is open for writing, or has no blocks behind its size, may stand so long
TEMP_NAME_PATIENCE_S = 60.0  # a transfer that stands still so long under its temporary name is given up
SECOND_LOOK_S = 2.0
SWEEP_BUSY_S = 2.0
SWEEP_IDLE_S = 30.0
_BLOCK = 512
_OF_THE_DISK = "lost+found"  # each new file system has one, for its administrator alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A path that is ready to be read. `settled` is False while its writer has only closed it: then a file that is not
    whole is no verdict yet."""

    name: str  # below the inbox
    path: Path
    identity: Identity
    regular: bool
    landed_ns: int
    settled: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    identity: Identity | None
    still_since_s: float
    landed_ns: int
    landed_s: float
    finished: bool
    tried: bool  # read once in this identity, and not whole


@dataclass(frozen=True, slots=True)
class Answered:
    """A file with a verdict, as long as it stays what it was."""

    identity: Identity
    file_id: int
    leaves: bool  # TAKEN or DUPLICATE: it may leave an owned inbox
    since_s: float
    checked: bool  # seen unchanged at its second look
    not_before_s: float = float("-inf")  # it could not leave; not tried again before


class Inbox:
    """The memory of one inbox folder. Holds no file open and decides nothing from a name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._waiting: dict[str, _Waiting] = {}
        self._answered: dict[str, Answered] = {}
        self._in_work: dict[str, float] = {}  # by when they landed
        self.closed_folders = 0
        """Folders that the last sweep could not look into: what lies there is not seen."""

    # -- what is heard and seen -----------------------------------------------------------------

    def hint(self, path: Path, *, finished: bool, now: Now) -> None:
        """An event has named a path."""
        try:
            name = str(path.relative_to(self.root))
        except ValueError:
            return
        before = self._waiting.get(name)
        self._waiting[name] = _Waiting(
            identity=before.identity if before else None,
            still_since_s=now.monotonic_s,
            landed_ns=now.wall_ns if finished or before is None else before.landed_ns,
            landed_s=now.monotonic_s if finished or before is None else before.landed_s,
            finished=finished or (before is not None and before.finished),
            tried=False if finished else (before is not None and before.tried),
        )

    def sweep(self, now: Now) -> int:
        """Finds what no event has named. Returns how many entries lie in the inbox; OSError if it cannot be listed."""
        seen: set[str] = set()
        closed: list[str] = []
        for entry in entries_below(self.root, closed.append):
            name = os.path.relpath(entry.path, self.root)
            seen.add(name)
            if name in self._waiting or name in self._in_work:
                continue
            answered = self._answered.get(name)
            try:
                same = answered is not None and answered.identity == identity_of(entry.stat(follow_symlinks=False))
            except OSError:
                continue  # gone, or a fault of this one entry: those behind it must be found all the same
            if not same:
                self.hint(Path(entry.path), finished=False, now=now)
        hidden = tuple(f"{os.path.relpath(folder, self.root)}{os.sep}" for folder in closed)
        for gone in self._answered.keys() - seen:
            if not gone.startswith(hidden):  # what lies in a closed folder lies there still
                del self._answered[gone]
        self.closed_folders = len(closed)
        return len(seen)

    # -- what is ready ---------------------------------------------------------------------------

    def ready(self, now: Now, most: int) -> list[Candidate]:
        """Up to `most` paths that may be read now. They count as in work until `answer` or `not_yet` is called."""
        found: list[Candidate] = []
        for name in list(self._waiting):
            if len(found) >= most:
                break
            candidate = self._look(name, now)
            if candidate:
                self._in_work[name] = self._waiting.pop(name).landed_s
                found.append(candidate)
        return found

    def _look(self, name: str, now: Now) -> Candidate | None:
        if name in self._in_work:
            return None
        waiting = self._waiting[name]
        path = self.root / name
        try:
            status = path.lstat()
        except OSError:
            del self._waiting[name]  # renamed or taken away before anybody could read it
            return None
        identity = identity_of(status)
        answered = self._answered.get(name)
        if answered and answered.identity == identity:
            del self._waiting[name]
            return None
        if identity != waiting.identity:
            waiting = replace(waiting, identity=identity, still_since_s=now.monotonic_s, tried=False)
            self._waiting[name] = waiting
        regular = stat.S_ISREG(status.st_mode)
        settled = _is_settled(path, status, now.monotonic_s - waiting.still_since_s)
        at_once = waiting.finished and not waiting.tried and regular and status.st_size > 0
        if not settled and not (at_once and not is_temp_name(path.name) and not has_writer(path)):
            return None
        return Candidate(
            name=name, path=path, identity=identity, regular=regular, landed_ns=waiting.landed_ns, settled=settled
        )

    def not_yet(self, candidate: Candidate, now: Now) -> None:
        """It was read fast and is not whole: it is looked at again once it stands still."""
        landed_s = self._in_work.pop(candidate.name, now.monotonic_s)
        heard = self._waiting.get(candidate.name)
        self._waiting[candidate.name] = _Waiting(
            identity=candidate.identity,
            still_since_s=heard.still_since_s if heard else now.monotonic_s,
            landed_ns=candidate.landed_ns,
            landed_s=landed_s,
            finished=heard is not None and heard.finished,
            tried=not (heard and heard.finished),
        )

    # -- what has been answered -------------------------------------------------------------------

    def answer(self, candidate: Candidate, *, file_id: int, leaves: bool, now: Now) -> None:
        """A verdict stands in the ledger."""
        self._in_work.pop(candidate.name, None)
        self._answered[candidate.name] = Answered(
            identity=candidate.identity, file_id=file_id, leaves=leaves, since_s=now.monotonic_s, checked=False
        )

    def remember(self, name: str, identity: Identity, *, file_id: int, leaves: bool, now: Now) -> None:
        """After a restart: the ledger holds a verdict for this file."""
        self._answered[name] = Answered(
            identity=identity, file_id=file_id, leaves=leaves, since_s=now.monotonic_s, checked=False
        )

    def second_looks(self, now: Now) -> list[tuple[str, Answered]]:
        """Files that are still what they were `SECOND_LOOK_S` after their verdict and may leave. A changed one is
        opened again; one that somebody still writes is looked at later."""
        unchanged: list[tuple[str, Answered]] = []
        for name, answered in list(self._answered.items()):
            if answered.checked or now.monotonic_s < max(answered.since_s + SECOND_LOOK_S, answered.not_before_s):
                continue
            if not self._still_is(name, answered, now):
                continue
            if answered.leaves and has_writer(self.root / name):
                self._answered[name] = replace(answered, since_s=now.monotonic_s)
                continue
            self._answered[name] = replace(answered, checked=True)
            if answered.leaves:
                unchanged.append((name, answered))
        return unchanged

    def resting(self, now: Now, rest_s: float) -> list[tuple[str, Answered]]:
        """Files with a verdict that do not leave by themselves and have lain unchanged for `rest_s`."""
        return [
            (name, answered)
            for name, answered in list(self._answered.items())
            if not answered.leaves
            and now.monotonic_s >= max(answered.since_s + rest_s, answered.not_before_s)
            and self._still_is(name, answered, now)
        ]

    def _still_is(self, name: str, answered: Answered, now: Now) -> bool:
        """Whether a file is what its verdict was given for. If not, the verdict is forgotten and the file opened again."""
        try:
            if identity_of((self.root / name).lstat()) == answered.identity:
                return True
        except (FileNotFoundError, NotADirectoryError):
            del self._answered[name]
            return False
        except OSError:
            return False  # its folder may not be entered now
        del self._answered[name]
        self.hint(self.root / name, finished=False, now=now)
        return False

    def stays(self, name: str, now: Now, for_s: float) -> None:
        """It could not leave: it is tried again after `for_s`."""
        answered = self._answered[name]
        self._answered[name] = replace(answered, checked=False, not_before_s=now.monotonic_s + for_s)

    def look_again(self, name: str, now: Now) -> None:
        """Another file has come under this name: it is opened like any other."""
        self._answered.pop(name, None)
        self.hint(self.root / name, finished=False, now=now)

    def forget(self, name: str) -> None:
        """It has left the inbox."""
        self._answered.pop(name, None)

    @property
    def waiting(self) -> int:
        """Paths that nobody has answered for yet."""
        return len(self._waiting) + len(self._in_work)

    def is_busy(self) -> bool:
        """True while something lands or is being read."""
        return bool(self._waiting or self._in_work)

    def all_read_until_s(self, now: Now) -> float:
        """The moment until which everything that landed has been read: now, or when the oldest unread file landed.

        A file whose writer takes longer than `FILLING_PATIENCE_S` holds nobody up.
        """
        unread = list(self._in_work.values())
        for name, waiting in self._waiting.items():
            if is_temp_name(PurePath(name).name):
                continue  # its rename is a landing of its own; under this name it is awaited by nobody
            in_line = waiting.identity is None or (waiting.finished and not waiting.tried)
            if in_line or now.monotonic_s - waiting.still_since_s < FILLING_PATIENCE_S:
                unread.append(max(waiting.landed_s, waiting.still_since_s - FILLING_PATIENCE_S))
        return min(unread, default=now.monotonic_s)


def _is_settled(path: Path, status: os.stat_result, still_s: float) -> bool:
    if still_s < SETTLE_S:
        return False
    if not stat.S_ISREG(status.st_mode):
        return True
    if is_temp_name(path.name):
        return still_s >= TEMP_NAME_PATIENCE_S
    being_filled = status.st_blocks * _BLOCK < status.st_size or has_writer(path)
    return not being_filled or still_s >= FILLING_PATIENCE_S


def entries_below(root: Path, closed: Callable[[str], object] = lambda _folder: None) -> Iterator[os.DirEntry[str]]:
    """Every entry below a folder that is no folder. Links are entries, never followed. OSError for the root alone.

    `closed` is told of each folder below it that cannot be listed, or whose entries cannot be opened.
    """
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry
            shut = not os.access(folder, os.X_OK)  # its names can be read, and nothing behind them
        except OSError as error:
            if folder == str(root):
                raise
            shut = not isinstance(error, FileNotFoundError | NotADirectoryError)  # those: taken away meanwhile
        if shut and Path(folder) != root / _OF_THE_DISK:
            closed(folder)


def closed_below(root: Path) -> int:
    """How many folders below this one cannot be looked into. OSError where it cannot be listed itself."""
    closed: list[str] = []
    for _ in entries_below(root, closed.append):
        pass
    return len(closed)
