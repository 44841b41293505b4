"""`bleedwatch simulate`: replays a folder of files into a landing folder, the ways a scanner writes."""

import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.core.errors import CannotStart
from appliance.phantoms.scanner import Landing, send, series_files


def simulate(series_dir: Path, inbox: Path, *, rate_hz: float, shuffled: bool, way: str, seed: int) -> None:
    """Sends every file below `series_dir`, with a bar on standard error.

    CannotStart for an empty folder, and where a name is taken in the inbox: what was sent before it stays there.
    """
    files = series_files(series_dir)
    if not files:
        raise CannotStart(f"{series_dir} holds no file. Name the folder of a series.")
    if rate_hz <= 0:
        raise CannotStart("--rate must be above 0.")
    shuffle = np.random.default_rng(seed) if shuffled else None
    columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("send", total=len(files))
        # The steady clock: a scanner that is played does not sleep an hour because the time of day was set back.
        landing = send(
            files,
            inbox,
            rate_hz=rate_hz,
            landing=Landing(way),
            clock_ns=time.monotonic_ns,
            sleep=time.sleep,
            shuffle=shuffle,
        )
        try:
            for _ in landing:
                progress.advance(bar)
        except FileExistsError as taken:
            said = f"{taken.filename} is there already and was left as it is."
            raise CannotStart(f"{said} Empty the landing folder, or send to another one.") from None
