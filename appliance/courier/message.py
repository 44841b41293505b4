"""What a channel is told. Never a name, an ID or a UID: the message leaves the box. docs/schemas/webhook.md tells it."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Final

from appliance.core.ledger import AlertEventRow, AlertRow, DeliveryRow, Finding, ReadingRow, StudyRow
from appliance.core.words import Level

SCHEMA_VERSION: Final = 1
STUDY_HASH_CHARACTERS: Final = 16
SIGNATURE_HEADER: Final = "X-Bleedwatch-Signature"
TIMESTAMP_HEADER: Final = "X-Bleedwatch-Timestamp"
KEY_HEADER: Final = "Idempotency-Key"
BOARD: Final = "/"
"""The path of the page that shows the alert; the gateway knows under which name people reach the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything that a message is made of, read in one look at the ledger. `reading`: the one that made the event."""

    delivery: DeliveryRow
    alert: AlertRow
    event: AlertEventRow
    study: StudyRow | None
    reading: ReadingRow | None


def study_hash(study_uid: str) -> str:
    """The study for who knows its UID, and nobody else: the beginning of the UID's sha256."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:STUDY_HASH_CHARACTERS]


def body(told: Told) -> bytes:
    """The JSON document, UTF-8.

    It is made of the event and what led to it, which never change: a second attempt under the same key has the same
    bytes. `event` grows: it orders the messages of an alert, which may arrive in any order.
    """
    level = told.event.level or told.alert.level
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "alert",
        "test": level is Level.TEST,
        "alert": told.alert.id,
        "event": told.event.id,
        "happening": told.event.happening,
        "level": level,
        "finality": told.event.finality or told.alert.finality,
        "revision": told.reading.revision if told.reading else None,
        "study": study_hash(told.study.facts.study_uid) if told.study else None,
        "finding": _finding(told.reading.finding) if told.reading and told.reading.finding else None,
        "raised_ns": told.event.at_ns,
        "link": BOARD,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _finding(found: Finding) -> dict[str, str | int]:
    return {"label": found.label, "side": found.side, "key_slice": found.key_number}


def signature(secret: bytes, timestamp: str, payload: bytes) -> str:
    """HMAC-SHA256 over the timestamp, a full stop and the body, in hexadecimal."""
    return hmac.new(secret, timestamp.encode() + b"." + payload, hashlib.sha256).hexdigest()


def headers(secret: bytes, idempotency_key: str, timestamp: str, payload: bytes) -> dict[str, str]:
    """The headers of one attempt. `timestamp`: seconds since 1970; the receiver takes none older than five minutes."""
    return {
        "Content-Type": "application/json",
        KEY_HEADER: idempotency_key,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: f"sha256={signature(secret, timestamp, payload)}",
    }
