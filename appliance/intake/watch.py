"""Events of the file system, as hints. The sweep is the truth: an event is never proof and never needed."""

import contextlib
import logging
import queue
import threading
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import FileClosedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_OVERFLOW_LOGGER = "watchdog.observers.inotify_c"
_CHANGES = frozenset({"created", "modified", "closed", "moved", "attrib"})


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this path soon. `finished`: a writer has closed it, or it has just got this name."""

    path: Path
    finished: bool


class _ToQueue(FileSystemEventHandler):
    """Puts paths on a queue, and nothing else: an exception here would end watchdog's thread for good."""

    def __init__(self, hints: queue.SimpleQueue[Hint], woken: threading.Event) -> None:
        self._hints = hints
        self._woken = woken

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory or event.event_type not in _CHANGES:
            return
        moved = isinstance(event, FileMovedEvent)
        finished = moved or isinstance(event, FileClosedEvent)
        name = event.dest_path if moved else event.src_path
        with contextlib.suppress(ValueError, TypeError):
            self._hints.put(
                Hint(Path(name if isinstance(name, str) else bytes(name).decode("utf-8", "surrogateescape")), finished)
            )
            self._woken.set()


class _Overflow(logging.Handler):
    """watchdog tells of a lost event in its log alone."""

    def __init__(self, lost: threading.Event, woken: threading.Event) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost
        self._woken = woken

    def emit(self, _record: logging.LogRecord) -> None:
        self._lost.set()
        self._woken.set()


class Watcher:
    """Watches a folder and all below it. `woken` is set whenever there is something to do."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
        self.woken = threading.Event()
        self._lost = threading.Event()
        self._handler = _ToQueue(self._hints, self.woken)
        self._overflow = _Overflow(self._lost, self.woken)
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """OSError if the folder is not there or the system watches too many already."""
        logging.getLogger(_OVERFLOW_LOGGER).addHandler(self._overflow)
        observer = Observer()
        observer.schedule(self._handler, str(self._root), recursive=True)
        observer.start()
        self._observer = observer

    def stop(self) -> None:
        """Ends the thread."""
        logging.getLogger(_OVERFLOW_LOGGER).removeHandler(self._overflow)
        if self._observer:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None

    def is_alive(self) -> bool:
        """watchdog says that it lives after its emitter has died, so both are asked."""
        return (
            self._observer is not None
            and self._observer.is_alive()
            and all(emitter.is_alive() for emitter in self._observer.emitters)
        )

    def take_hints(self) -> list[Hint]:
        """Everything that has been said since the last call."""
        taken: list[Hint] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._hints.get_nowait())
        return taken

    def has_lost_events(self) -> bool:
        """True once after an overflow: sweep now."""
        lost = self._lost.is_set()
        self._lost.clear()
        return lost
