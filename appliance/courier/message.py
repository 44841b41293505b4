"""What a channel is told. Never a name, an ID or a UID: the message leaves the box."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Final

from appliance.core.ledger import AlertEventRow, AlertRow, DeliveryRow, ReadingRow, StudyRow
from appliance.core.words import Level

SCHEMA_VERSION: Final = 1
STUDY_HASH_CHARACTERS: Final = 16
SIGNATURE_HEADER: Final = "X-Bleedwatch-Signature"
TIMESTAMP_HEADER: Final = "X-Bleedwatch-Timestamp"
KEY_HEADER: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything that a message is made of, read in one look at the ledger."""

    delivery: DeliveryRow
    alert: AlertRow
    event: AlertEventRow
    study: StudyRow | None
    reading: ReadingRow | None


def study_hash(study_uid: str) -> str:
    """The study for who knows its UID, and nobody else: the beginning of the UID's sha256."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:STUDY_HASH_CHARACTERS]


def body(told: Told, link: str) -> bytes:
    """The JSON document, UTF-8. `link` is the board's address without its last slash, or empty. `sequence` orders the messages of one alert, which may arrive in any order."""
    reading = told.reading
    found = reading.finding if reading else None
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "alert",
        "test": told.alert.level is Level.TEST,
        "alert": told.alert.id,
        "sequence": told.event.id,
        "happening": told.event.happening.value,
        "level": told.alert.level.value,
        "finality": (told.event.finality or told.alert.finality).value,
        "revision": reading.revision if reading else None,
        "study": study_hash(told.study.facts.study_uid) if told.study else None,
        "finding": {"label": found.label, "side": found.side.value, "key_slice": found.key_number} if found else None,
        "raised_ns": told.event.at_ns,
        "acknowledged": told.alert.acknowledged_ns is not None,
        "link": f"{link}/",
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def signature(secret: bytes, timestamp: str, payload: bytes) -> str:
    """HMAC-SHA256 over the timestamp, a full stop and the body, in hexadecimal."""
    return hmac.new(secret, timestamp.encode() + b"." + payload, hashlib.sha256).hexdigest()


def headers(secret: bytes, idempotency_key: str, timestamp: str, payload: bytes) -> dict[str, str]:
    """The headers of one attempt. The receiver compares the signature and a timestamp not older than five minutes."""
    return {
        "Content-Type": "application/json",
        KEY_HEADER: idempotency_key,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: f"sha256={signature(secret, timestamp, payload)}",
    }
