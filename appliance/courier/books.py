"""Where the courier writes: the ledger, or the notebook while the ledger cannot be written."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance.core.errors import Fault
from appliance.core.ledger import DeliveryRow
from appliance.core.status import Unrecorded, ledger_facts
from appliance.core.times import Now
from appliance.records.ledger import Ledger
from appliance.records.notebook import (
    HOME_PATIENCE_MS,
    Copied,
    NotYetRecorded,
    Unfit,
    give_back,
    not_yet_recorded,
    note_unrecorded,
    open_notebook,
    remove_notebook,
)

log = logging.getLogger(__name__)

PATIENCE_MS: Final = 500
"""How long the courier waits for others who write. Then it tells all the same, and writes later."""
TRY_EVERY_S: Final = 1.0
DAMAGED: Final = "ledger-damaged"
AWAITED_S: Final = 60.0
"""How long the courier waits for triage to record an alert that it has told of, once the ledger can be written again."""


class Books:
    """The ledger, and the notebook that stands in for it.

    A notebook that lies there at the start is of a courier that was killed: what it told is not told again.
    """

    def __init__(self, ledger: Ledger, notebook: Path, started: Now) -> None:
        ledger.patience_ms = PATIENCE_MS
        self.ledger = ledger
        """The ledger itself, for what is only read."""
        self.fault = ""
        """The reason code of why the notebook is written; empty while it is not."""
        self._since = started
        self._place = notebook
        self._notebook: Ledger | None = None
        self._copied = Copied()
        self._seen_version: int | None = None
        self._said = False
        self._tried_s = float("-inf")
        self._writable_since_s: float | None = None
        if notebook.exists():
            self.open_notebook("ledger-not-writable", started)

    @property
    def current(self) -> Ledger:
        """What is read and written now."""
        return self._notebook or self.ledger

    def facts(self, now: Now) -> dict[str, str | int | float]:
        """For the status file."""
        return ledger_facts(self.fault, self._since, now)

    @property
    def in_notebook(self) -> bool:
        """Whether the ledger could not be written when it was last tried."""
        return self._notebook is not None

    def open_notebook(self, reason: str, now: Now) -> bool:
        """From now on the notebook is written. Returns False where there can be none: nothing is told from memory then."""
        try:
            self._notebook = self._open()
        except Fault as fault:
            if not self._said:
                log.error("the notebook cannot be written", extra={"facts": {"said": fault.message}})
            self._said = True
            return False
        self._said = False
        self.fault, self._since, self._copied, self._seen_version = reason, now, Copied(), None
        log.error(
            "the ledger cannot be written: the courier tells from its notebook", extra={"facts": {"reason": reason}}
        )
        return True

    def _open(self) -> Ledger:
        try:
            return open_notebook(self._place)
        except Fault as fault:
            if fault.reason != DAMAGED:  # what has been told stands in it: it is opened as soon as that can be done
                raise
            log.error("a notebook that cannot be read is thrown away", extra={"facts": {"said": fault.message}})
            remove_notebook(self._place)
            return open_notebook(self._place)

    def missing(self, unrecorded: Sequence[Unrecorded]) -> list[Unrecorded]:
        """Of what triage says it could not write, that which the ledger does not show. All of it, if that cannot be read."""
        if not unrecorded:
            return []
        try:
            with self.ledger.reading() as r:
                return not_yet_recorded(r, unrecorded)
        except Fault:
            return list(unrecorded)

    def look(self, unrecorded: Sequence[Unrecorded]) -> None:
        """Brings what has changed in the ledger, and what triage could not record, into the notebook.

        A ledger that cannot even be read leaves the notebook as it is.
        """
        assert self._notebook is not None
        note_unrecorded(self._notebook, self.missing(unrecorded))
        with contextlib.suppress(Fault):
            version = self.ledger.data_version()
            if version != self._seen_version:
                self._copied.copy(self.ledger, self._notebook)
                self._seen_version = version

    def try_ledger(self, now: Now, unrecorded: Sequence[Unrecorded]) -> Mapping[int, DeliveryRow] | None:
        """Once a second: whether the ledger can be written again; then all that the notebook holds is written there.

        Returns the ledger's rows of the messages that were begun in the notebook, by their ids there; None where the
        notebook is still needed.
        """
        if self._notebook is None or now.monotonic_s - self._tried_s < TRY_EVERY_S:
            return None
        self._tried_s = now.monotonic_s
        patient = self._writable_since_s is None or now.monotonic_s - self._writable_since_s < AWAITED_S
        try:
            self.ledger.prove_writable(patience_ms=HOME_PATIENCE_MS)
            moved = give_back(self._notebook, self.ledger, forsake=not patient and not unrecorded)
        except NotYetRecorded:
            self._writable_since_s = self._writable_since_s or now.monotonic_s
            return None
        except Unfit as unfit:
            # Better told twice than not at all.
            log.error("what the notebook holds has no place in the ledger", extra={"facts": {"said": str(unfit)}})
            moved = {}
        except Fault:
            self._writable_since_s = None
            return None
        self._notebook.close()
        remove_notebook(self._place)
        self._notebook, self.fault, self._writable_since_s = None, "", None
        log.warning("the ledger can be written again", extra={"facts": {"messages": len(moved)}})
        return moved

    def close(self) -> None:
        """Closes the notebook; its file stays where it is needed."""
        if self._notebook is not None:
            self._notebook.close()
