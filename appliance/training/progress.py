"""Bars on a terminal, with rate and time left; where standard error is a file, a line each minute in which something was done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S: Final = 60.0
SPEED_OVER_S: Final = 600.0
"""A unit may take minutes."""


@contextmanager
def bar(title: str, total: int, unit: str, *, line_every_s: float = LINE_EVERY_S) -> Iterator[Advance]:
    """A bar on standard error for `total` units; no terminal: a line, `line_every_s` apart at least."""
    columns = (
        TextColumn(f"{title:18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), speed_estimate_period=SPEED_OVER_S) as progress:
        yield Advance(progress, title, total, unit, line_every_s)


class Advance:
    """Moves a bar on and keeps its rate."""

    def __init__(self, progress: Progress, title: str, total: int, unit: str, line_every_s: float) -> None:
        self._progress = progress
        self._title = title
        self._unit = unit
        self._line_every_s = line_every_s
        self._task = progress.add_task("", total=total, rate="", said="")
        self._line_due_s = time.monotonic() + self._line_every_s

    def __call__(self, count: int, said: str = "") -> None:
        """Move on by so many units; `said` stands beside the bar."""
        self._progress.advance(self._task, count)
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.2g} {self._unit}/s" if speed else ""
        self._progress.update(self._task, rate=rate, said=said)
        if not sys.stderr.isatty() and time.monotonic() >= self._line_due_s:
            self._line_due_s = time.monotonic() + self._line_every_s
            sys.stderr.write(self._line(rate, said))
            sys.stderr.flush()

    def _line(self, rate: str, said: str) -> str:
        task = self._progress.tasks[0]
        left = "" if task.time_remaining is None else f"{timedelta(seconds=round(task.time_remaining))} left"
        parts = (f"{self._title}: {task.completed:.0f} of {task.total:.0f}", rate, left, said)
        return ", ".join(part for part in parts if part) + "\n"
