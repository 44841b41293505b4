"""A warm pool of limited readers, driven by the caller's own loop: no thread, no waiting but in `wait`.

A file that kills its reader, or holds it past the deadline, costs that reader alone; another is started in its place.
"""

import selectors
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.reads import ReadFile
from appliance.intake.reader_protocol import MAX_PIXELS, unpacked_read
from appliance.processes.children import GarbledFrame, LimitedChild

READERS: Final = 2
READ_AHEAD: Final = 4  # files worth handing in: two in the readers' hands, two that follow at once
DEADLINE_S: Final = 10.0  # for one file
START_S: Final = 60.0  # for a reader to load its decoders, on a busy box too
RESTART_AFTER_S: Final = 1.0  # between failed starts
FILES_A_READER: Final = 5_000  # then a fresh one: native decoders leak

_MODULE: Final = "appliance.intake.reader_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """A reader did not come to an end with a file. `why`: "crashed", "deadline" or "garbled"."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one job."""

    job: Any
    result: ReadFile | Died


@dataclass(slots=True)
class _Job:
    job: Any
    data: bytes
    name: str
    size: int | None


@dataclass(slots=True, eq=False)
class _Reader:
    """One child. `until_s` is the deadline of its start or of its file; None while it is idle."""

    child: LimitedChild
    until_s: float | None
    ready: bool = False
    job: _Job | None = None
    files: int = 0
    watched: int = selectors.EVENT_READ


class ReaderPool:
    """Reads files in limited children. `now_s` is always the caller's monotonic clock."""

    def __init__(self, now_s: float, readers: int = READERS, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._selector = selectors.EpollSelector()
        self._waiting: deque[_Job] = deque()
        self._finished: list[Answer] = []
        self._readers: list[_Reader] = []
        self._missing = readers
        self._start_again_s = now_s
        self.failed_starts = 0  # in a row; more than a few mean that this box cannot read files
        self._start_missing(now_s)

    def __enter__(self) -> "ReaderPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> int:
        """Files that are waiting or being read."""
        return len(self._waiting) + sum(reader.job is not None for reader in self._readers)

    @property
    def ready(self) -> int:
        """Readers that have loaded their decoders."""
        return sum(reader.ready for reader in self._readers)

    def submit(self, job: Any, data: bytes, name: str = "", size: int | None = None, *, now_s: float) -> None:
        """Takes a file. `job` comes back with its answer; `name` and `size` are as for `read_bytes`."""
        self._waiting.append(_Job(job, data, name, size))
        self._dispatch(now_s)

    def fileno(self) -> int:
        """Readable when `poll` has something to do: for the selector of a loop."""
        return self._selector.fileno()

    def wait(self, timeout_s: float) -> None:
        """Until something has come, or so long."""
        if not self._finished:
            self._selector.select(timeout_s)

    def poll(self, now_s: float) -> list[Answer]:
        """The answers that have come. Moves bytes, keeps deadlines, starts and ends readers."""
        for key, _ in self._selector.select(0):
            if key.data in self._readers:
                self._pump(key.data, now_s)
        for reader in list(self._readers):
            if reader.until_s is not None and now_s >= reader.until_s:
                self._drop(reader, "deadline", now_s)
        self._start_missing(now_s)
        self._dispatch(now_s)
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Ends all readers at once."""
        for reader in self._readers:
            self._unwatch(reader)
            reader.child.kill()
        self._readers.clear()
        self._missing = 0
        self._selector.close()

    def _start_missing(self, now_s: float) -> None:
        while self._missing and now_s >= self._start_again_s:
            try:
                child = LimitedChild([sys.executable, "-m", _MODULE], MAX_PIXELS)
            except OSError:  # no process or no memory just now: files wait
                self.failed_starts += 1
                self._start_again_s = now_s + RESTART_AFTER_S
                return
            self._missing -= 1
            reader = _Reader(child, now_s + START_S)
            self._selector.register(child.answer_fd, selectors.EVENT_READ, reader)
            self._readers.append(reader)

    def _dispatch(self, now_s: float) -> None:
        for reader in self._readers:
            if not self._waiting:
                return
            if reader.ready and reader.job is None:
                reader.job = job = self._waiting.popleft()
                reader.until_s = now_s + self._deadline_s
                reader.files += 1
                reader.child.send({"id": reader.files, "name": job.name, "size": job.size}, job.data)
                self._watch_writing(reader)

    def _pump(self, reader: _Reader, now_s: float) -> None:
        try:
            gone = not reader.child.pump_out()
            frames = reader.child.pump_in()
            for frame in frames or ():
                self._take(reader, frame.head, lambda frame=frame: unpacked_read(frame))
        except GarbledFrame:
            self._drop(reader, "garbled", now_s)
            return
        if frames is None or gone:
            self._drop(reader, "crashed", now_s)
            return
        self._watch_writing(reader)
        if reader.job is None and reader.files >= FILES_A_READER:
            self._drop(reader, "", now_s)

    def _take(self, reader: _Reader, head: dict[str, Any], read: Any) -> None:
        if not reader.ready:
            if head.get("ready") is not True:
                raise GarbledFrame
            reader.ready, reader.until_s, self.failed_starts = True, None, 0
            return
        if reader.job is None or head.get("id") != reader.files:
            raise GarbledFrame
        self._finished.append(Answer(job=reader.job.job, result=read()))
        reader.job, reader.until_s = None, None

    def _drop(self, reader: _Reader, why: str, now_s: float) -> None:
        """Ends a reader. The next is started at once, or a little later if this one never became ready."""
        self._unwatch(reader)
        reader.child.kill()
        self._readers.remove(reader)
        self._missing += 1
        if not reader.ready:
            self.failed_starts += 1
            self._start_again_s = now_s + RESTART_AFTER_S
        if reader.job is not None:
            self._finished.append(Answer(job=reader.job.job, result=Died(why=why)))

    def _watch_writing(self, reader: _Reader) -> None:
        """The request's end is watched only while a part of it is unsent."""
        wanted = reader.child.wants_to_write
        is_watched = bool(reader.watched & selectors.EVENT_WRITE)
        if wanted and not is_watched:
            self._selector.register(reader.child.request_fd, selectors.EVENT_WRITE, reader)
        elif is_watched and not wanted:
            self._selector.unregister(reader.child.request_fd)
        reader.watched = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)

    def _unwatch(self, reader: _Reader) -> None:
        self._selector.unregister(reader.child.answer_fd)
        if reader.watched & selectors.EVENT_WRITE:
            self._selector.unregister(reader.child.request_fd)
