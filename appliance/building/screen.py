"""What a person sees of a build."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Screen:
    """What the person sees: a bar on a terminal, else a line a stage."""

    def __init__(self) -> None:
        self._console = Console()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Shows progress until the block ends."""
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as self._bar:
            yield
        self._bar = self._task = None

    def tell(self, stage: str, count: int, total: int) -> None:
        """So much of this stage is done. `total` 0: nobody knows how much there is."""
        if self._bar is None:
            if stage != self._stage:
                self.say(f"{stage} ...")
        elif stage != self._stage or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(stage, total=total or None, completed=count)
        else:
            self._bar.update(self._task, completed=count)
        self._stage = stage

    def say(self, words: str) -> None:
        """One line."""
        click.echo(words)
