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
    """Sends every file below `series_dir`, with a bar on standard error. CannotStart for an empty folder."""
    files = series_files(series_dir)
    if not files:
        raise CannotStart(f"{series_dir} holds no file. Name the folder of a series.")
    if rate_hz <= 0:
        raise CannotStart("--rate must be above 0.")
    shuffle = np.random.default_rng(seed) if shuffled else None
    columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("send", total=len(files))
        for _ in send(
            files,
            inbox,
            rate_hz=rate_hz,
            landing=Landing(way),
            clock_ns=time.time_ns,
            sleep=time.sleep,
            shuffle=shuffle,
        ):
            progress.advance(bar)
