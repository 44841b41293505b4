"""What the page System sees of the disks and of the landing folder with its own eyes.

A drive of the network may keep a call waiting for minutes, so each look has a daemon thread of its own: neither the board
nor the end of the program waits for it. The look at the landing folder is the other side of the ledger's sum: it trusts
neither triage nor its words.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.core.errors import Fault
from appliance.core.times import NS_PER_S, Now
from appliance.intake.inbox import entries_below
from appliance.intake.names import path_text
from appliance.records.ledger import Ledger
from appliance.records.system_sums import recorded_paths

EVERY_S: Final = 4.0
OVERDUE_S: Final = 120.0
"""Longer than any patience of triage with a file (its sweep, its settling, a transfer that keeps its temporary name)."""
MOST_COUNTED: Final = 20_000
"""A shared folder that nobody empties is not walked to its end: then only triage's own word stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """How full the disk below a folder is. `error`: why that is not known."""

    name: str
    total_bytes: int = 0
    free_bytes: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """Files in the landing folder that have no verdict yet. `overdue`: those that have lain still for OVERDUE_S;
    `oldest_s`: how long the longest has. `error`: why nothing is known."""

    waiting: int = 0
    overdue: int = 0
    oldest_s: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLook:
    """One look. `lying` is None where no landing folder is named."""

    at_s: float
    disks: tuple[Disk, ...]
    lying: Lying | None


class FolderLooks:
    """Looks again when somebody asks and the last look is EVERY_S old. Never waits."""

    def __init__(self, ledger: Ledger, folders: dict[str, Path], inbox: Path | None, clock: Callable[[], Now]) -> None:
        """`folders`: of each name, a folder on the disk that is shown under it."""
        self._ledger = ledger
        self._folders = folders
        self._inbox = inbox
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s: float | None = None  # of the look that is under way
        self._last: FolderLook | None = None

    def last(self) -> FolderLook | None:
        """The last look; begins another one where that is due."""
        now = self._clock()
        with self._lock:
            due = self._last is None or now.monotonic_s - self._last.at_s >= EVERY_S
            if due and self._began_s is None:
                self._began_s = now.monotonic_s
                threading.Thread(target=self._look, args=(now,), name="folders", daemon=True).start()
            return self._last

    def stuck_s(self) -> float:
        """For how long a look has been under way; 0 where none is."""
        with self._lock:
            return 0.0 if self._began_s is None else self._clock().monotonic_s - self._began_s

    def _look(self, now: Now) -> None:
        look = None
        try:
            look = FolderLook(
                at_s=now.monotonic_s,
                disks=_disks(self._folders),
                lying=None if self._inbox is None else _lying(self._inbox, self._ledger, now),
            )
        finally:
            with self._lock:
                self._began_s = None
                self._last = look or self._last


def _disks(folders: dict[str, Path]) -> tuple[Disk, ...]:
    """Each disk once: folders that share one are named together."""
    names: dict[int | str, list[str]] = {}
    for name, folder in folders.items():
        try:
            names.setdefault(folder.stat().st_dev, []).append(name)
        except OSError:
            names[name] = [name]
    return tuple(_disk(", ".join(of), folders[of[0]]) for of in names.values())


def _disk(name: str, folder: Path) -> Disk:
    try:
        said = os.statvfs(folder)
    except FileNotFoundError:
        return Disk(name=name, error="the folder is not there")
    except OSError as error:
        return Disk(name=name, error=error.strerror or type(error).__name__)
    return Disk(name=name, total_bytes=said.f_blocks * said.f_frsize, free_bytes=said.f_bavail * said.f_frsize)


def _lying(inbox: Path, ledger: Ledger, now: Now) -> Lying:
    found: dict[str, float] = {}
    try:
        for entry in entries_below(inbox):
            if len(found) >= MOST_COUNTED:
                return Lying(error=f"more than {MOST_COUNTED} files lie there")
            found[path_text(os.path.relpath(entry.path, inbox))] = _still_s(entry, now)
        with ledger.reading() as r:
            recorded = recorded_paths(r)
    except OSError as error:
        return Lying(error=error.strerror or type(error).__name__)
    except Fault as fault:
        return Lying(error=fault.message)
    still = [still_s for path, still_s in found.items() if path not in recorded]
    return Lying(waiting=len(still), overdue=sum(one >= OVERDUE_S for one in still), oldest_s=max(still, default=0.0))


def _still_s(entry: "os.DirEntry[str]", now: Now) -> float:
    """Since when nothing about the file has changed. Its times of change are the kernel's, not the sender's."""
    try:
        return max(0.0, (now.wall_ns - entry.stat(follow_symlinks=False).st_ctime_ns) / NS_PER_S)
    except OSError:
        return 0.0  # gone meanwhile
