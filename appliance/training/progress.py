"""Bars on a terminal, with rate and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar on standard error for `total` units."""
    columns = (
        TextColumn(f"{title:18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        yield Advance(progress, total, unit)


class Advance:
    """Moves a bar on and keeps its rate."""

    def __init__(self, progress: Progress, total: int, unit: str) -> None:
        self._progress = progress
        self._unit = unit
        self._task = progress.add_task("", total=total, rate="", said="")

    def __call__(self, count: int, said: str = "") -> None:
        """Move on by so many units; `said` stands beside the bar."""
        self._progress.advance(self._task, count)
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.1f} {self._unit}/s" if speed else ""
        self._progress.update(self._task, rate=rate, said=said)
