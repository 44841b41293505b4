"""What is to be measured, one part after the other, with a bar that knows what time is left, and a stop."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_RATE_EVERY_S: Final = 0.25


class Stopped(Exception):
    """Ctrl-C before the end."""


@dataclass(slots=True)
class Run:
    """One run of the benchmark: its time, its bar, its stop, and what could not be measured.

    `within_s`: when it must have ended, None for as long as it takes. `expected_s`: of all parts together.
    """

    bars: Progress
    bar: TaskID
    stop: threading.Event
    expected_s: float
    within_s: float | None = None
    began_s: float = field(default_factory=time.monotonic)
    not_measured: list[dict[str, str]] = field(default_factory=list)
    _done_s: float = 0.0
    _counted: int = 0
    _part: str = ""
    _part_began_s: float = 0.0
    _part_expected_s: float = 0.0
    _told_s: float = 0.0

    @property
    def took_s(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began_s

    @property
    def left_s(self) -> float:
        """Until it must have ended."""
        return float("inf") if self.within_s is None else self.within_s - self.took_s

    def fits(self, expected_s: float) -> bool:
        """Whether a part of this length ends in time."""
        return expected_s <= self.left_s

    def leave_out(self, what: str, why: str) -> None:
        """Says that something was not measured. Silence would read as if it did not exist."""
        self.not_measured.append({"what": what, "why": why})

    @contextmanager
    def part(self, said: str, expected_s: float) -> Iterator[None]:
        """One part: it is named beside the bar, and counts as its expected length once it ends."""
        self._part, self._part_began_s, self._counted = said, time.monotonic(), 0
        self._part_expected_s = expected_s
        self._tell()
        try:
            yield
        finally:
            self._done_s, self._part_expected_s = self._done_s + expected_s, 0.0
            self._tell()

    def count(self, measured: int = 1) -> None:
        """So many more measurements in this part. Stopped if a person has asked for the end."""
        if self.stop.is_set():
            raise Stopped
        self._counted += measured
        if time.monotonic() - self._told_s >= _RATE_EVERY_S:
            self._tell()

    def wait(self, seconds: float) -> None:
        """Does nothing for so long. Stopped if a person asks for the end."""
        self.count(0)
        if self.stop.wait(seconds):
            raise Stopped

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        passed_s = max(self._told_s - self._part_began_s, 1e-3)
        rate = f"{self._counted / passed_s:,.0f}/s" if self._counted else ""
        done_s = min(self._done_s + min(passed_s, self._part_expected_s), self.expected_s)
        left_s = self.expected_s - done_s
        self.bars.update(
            self.bar,
            completed=done_s,
            description=self._part,
            rate=rate,
            left=f"about {left_s:.0f} s left",
        )


@contextmanager
def a_run(expected_s: float, within_s: float | None, stop: threading.Event) -> Iterator[Run]:
    """A run with its bar on standard error; the bar shows on a terminal only."""
    stderr = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description:<36.36}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[rate]:>7}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=stderr, transient=True, expand=True, disable=not stderr.is_terminal) as bars:
        bar = bars.add_task("", total=expected_s, rate="", left="")
        yield Run(bars=bars, bar=bar, stop=stop, expected_s=expected_s, within_s=within_s)
