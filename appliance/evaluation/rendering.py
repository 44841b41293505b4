"""Phantom patients drawn ahead of whoever reads them, by processes of their own, in the order that was asked for.

Of n processes each draws every n-th patient, and waits with it until it is fetched: no pipe holds an exam, so that no more
than one for each process is kept.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from appliance.core.errors import CannotStart
from appliance.phantoms.exam import PhantomExam
from appliance.phantoms.patients import render_patient
from appliance.phantoms.unseen import Unseen
from appliance.processes.children import die_with

PIXEL_MM: Final = 1.0
SIZE: Final = 240
"""Of a picture: a field of 24 cm."""

MOST_PROCESSES: Final = 6
"""Drawing takes as long as scoring, or a few times that: more would only wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A patient to be drawn, after a label map or by formula; not `bleeding`: as the twin alone."""

    seed: int
    label_map: Path | None
    hard: bool
    bleeding: bool
    unseen: Unseen | None = None


def spare_processes() -> int:
    """How many may draw beside the one that scores: a core for each, one at least."""
    return min(max(1, len(os.sched_getaffinity(0)) - 1), MOST_PROCESSES)


@contextmanager
def rendered(orders: Sequence[Order], processes: int) -> Iterator[Iterator[PhantomExam]]:
    """The exams of `orders`, one by one. All processes end with the block, whatever they are at.

    Fetching raises CannotStart: a label map that is none, or a process that was killed.
    """
    context = get_context("spawn")  # a fork would take the engine's threads with it, and hang
    pipes: list[Connection] = []
    children = []
    try:
        for first in range(min(processes, len(orders))):
            here, there = context.Pipe(duplex=False)
            child = context.Process(target=_draw, args=(there, orders[first::processes], os.getpid()), daemon=True)
            child.start()
            there.close()  # or its end would not be seen here
            pipes.append(here)
            children.append(child)
        yield (_fetched(pipe) for _, pipe in zip(orders, cycle(pipes)))
    finally:
        for child in children:
            child.kill()  # it holds nothing that could be left half done
        for child in children:
            child.join()
        for pipe in pipes:
            pipe.close()


def _fetched(pipe: Connection) -> PhantomExam:
    try:
        made: PhantomExam | CannotStart = pipe.recv()  # from a process of ours, which reads nothing of others but maps
    except EOFError:
        raise CannotStart(
            "A process that draws patients was killed. Is there enough memory? Each takes up to 1 GiB."
        ) from None
    if isinstance(made, CannotStart):
        raise made
    return made


def _draw(pipe: Connection, orders: Sequence[Order], parent_pid: int) -> None:
    die_with(parent_pid)
    for order in orders:
        try:
            made: PhantomExam | CannotStart = render_patient(
                order.seed,
                pixel_mm=PIXEL_MM,
                size=SIZE,
                label_map=order.label_map,
                bleeding=order.bleeding,
                hard=order.hard,
                unseen=order.unseen,
            )
        except CannotStart as refused:
            made = refused
        pipe.send(made)
