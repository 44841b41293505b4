"""What a channel is told. Never a name, an ID or a UID: the message leaves the box. docs/schemas/webhook.md tells it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow, AlertRow, DeliveryRow, ReadingRow, StudyRow
from appliance.core.pseudonyms import study_hash
from appliance.core.words import Finality, Level

SCHEMA_VERSION: Final = 1
BOARD: Final = "/"
"""The path of the page that shows the alert; the gateway knows under which name people reach the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the reading points at, for people."""

    label: str
    side: str
    key_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything that a message is made of, read in one look at the ledger.

    `ring`: the event that started the sound; `event`: the one that the message tells of, the same or a later step;
    `reading`: the one that led to the ring; `recorded`: False of an alert that the box cannot write into its records yet.
    """

    delivery: DeliveryRow
    alert: AlertRow
    ring: AlertEventRow
    event: AlertEventRow
    study: StudyRow | None
    reading: ReadingRow | None
    recorded: bool = True

    @property
    def found(self) -> Found | None:
        """Of the reading; of an alert that is not recorded, of what triage says of it."""
        if self.reading is not None and self.reading.finding is not None:
            found = self.reading.finding
            return Found(label=found.label, side=found.side, key_number=found.key_number)
        said = self.ring.details
        if self.recorded or not said.get("label"):
            return None
        return Found(label=said["label"], side=said["side"], key_number=int(said["key_slice"]))

    @property
    def level(self) -> Level:
        """At which it rang."""
        return self.ring.level or self.alert.level

    @property
    def finality(self) -> Finality:
        """Of what it rang for."""
        return self.ring.finality or Finality.FINAL

    @property
    def test(self) -> bool:
        """Whether it is a test alarm, which concerns no patient."""
        return self.level is Level.TEST

    @property
    def code(self) -> str:
        """Of a fault of the box; empty for any other."""
        return self.alert.key.first if self.level is Level.TECHNICAL else ""


def body(told: Told) -> bytes:
    """The JSON document, UTF-8.

    It is made of the events and what led to them, which never change: a second attempt under the same key has the same
    bytes. `event` grows: it orders the messages of an alert, which may arrive in any order.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "alert",
        "test": told.test,
        "recorded": told.recorded,
        "alert": told.alert.id,
        "event": told.event.id,
        "happening": told.event.happening,
        "level": told.level,
        "finality": told.finality,
        "revision": told.reading.revision if told.reading else None,
        "study": study_hash(told.study.facts.study_uid) if told.study else None,
        "finding": _finding(told.found) if told.found else None,
        "code": told.code or None,
        "step": _step(told.event),
        "raised_ns": told.ring.at_ns,
        "link": BOARD,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _finding(found: Found) -> dict[str, str | int]:
    return {"label": found.label, "side": found.side, "key_slice": found.key_number}


def _step(event: AlertEventRow) -> dict[str, Any] | None:
    """Of an escalation; None for the first word of an alert."""
    if event.happening is not Happening.ESCALATED:
        return None
    said = event.details
    return {"number": int(said["step"]), "round": int(said["round"]), "name": said["name"], "why": said["why"]}
