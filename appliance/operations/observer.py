"""Looks at the ledger from outside, as another program would, and notes when each thing is first seen committed."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final, Self

from appliance.core.ledger import AlertEventRow
from appliance.records.alerts import events_after
from appliance.records.ledger import Ledger
from appliance.records.progress import final_readings, scored_slice_ids

LOOK_EVERY_S: Final = 0.005
EVENTS_A_LOOK: Final = 1000


@dataclass(slots=True)
class Seen:
    """Wall clock (ns) at which each was first seen: never earlier than its commit. Only the observer writes here."""

    scored_ns: dict[int, int] = field(default_factory=dict)  # by slice
    final_ns: dict[int, int] = field(default_factory=dict)  # by series, of its first final reading
    events: list[tuple[AlertEventRow, int]] = field(default_factory=list)


class Observer:
    """A thread of its own, so that what it measures does not wait for what somebody prints."""

    def __init__(self, ledger: Ledger) -> None:
        self.seen = Seen()
        self._ledger = ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_on(self) -> None:
        version = -1
        while not self._stop.wait(LOOK_EVERY_S):
            if (now_version := self._ledger.data_version()) != version:
                version = now_version
                self._look()
        self._look()

    def _look(self) -> None:
        with self._ledger.reading() as read:
            scored = scored_slice_ids(read)
            finals = final_readings(read)
            last = self.seen.events[-1][0].id if self.seen.events else 0
            events = events_after(read, last, EVENTS_A_LOOK)
        seen_ns = time.time_ns()
        for slice_id in scored - self.seen.scored_ns.keys():
            self.seen.scored_ns[slice_id] = seen_ns
        for series_id in finals.values():
            self.seen.final_ns.setdefault(series_id, seen_ns)
        self.seen.events += [(event, seen_ns) for event in events]
