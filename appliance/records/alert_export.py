"""Alerts as plain values, for who counts with them: the site's own figures, and training on its own data.

docs/schemas/alerts.md tells every field. Three depths: with nothing that leads to a patient, with the UIDs of the picture
archive, with the patient.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

from appliance.core.ledger import AlertEventRow, AlertKey, DeliveryRow, ReadingRow
from appliance.core.pseudonyms import study_hash, uid_hash
from appliance.core.words import LABELS
from appliance.records.alert_history import alerts_after
from appliance.records.alert_stories import AlertStory, stories_of
from appliance.records.ledger import Ledger

SCHEMA_VERSION: Final = 1
ALERTS_A_STEP: Final = 100
"""So many are read in one look: others may write between, and a long history needs little memory."""

Json = dict[str, Any]


class Depth(IntEnum):
    """How much of the patient a document holds. Each holds what the one before it does."""

    HASHES = 0  # the beginning of the sha256 of each UID: for who knows the UIDs already
    UIDS = 1
    IDENTITY = 2


def export_steps(ledger: Ledger, *, since_ns: int, open_only: bool, depth: Depth) -> Iterator[list[Json]]:
    """Every alert since then as one document, the oldest first, some at a time. Each step is a transaction of its own."""
    last = 0
    while True:
        with ledger.reading() as r:
            rows = alerts_after(r, last, since_ns=since_ns, open_only=open_only, limit=ALERTS_A_STEP)
            stories = stories_of(r, rows)
        if not rows:
            return
        last = rows[-1].id
        yield [document(story, depth) for story in stories]


def document(story: AlertStory, depth: Depth) -> Json:
    """One alert with all its events, judgements, readings and messages."""
    row = story.alert
    named = {event.reading_id for event in story.events}
    return {
        "schema_version": SCHEMA_VERSION,
        "alert": row.id,
        "kind": row.key.kind,
        "level": row.level,
        "state": row.state,
        "finality": row.finality,
        "open": row.open,
        "withdrawn": row.withdrawn,
        "doubted": row.doubted,
        "raised_ns": row.raised_ns,
        "changed_ns": row.changed_ns,
        "sounded_ns": row.sounded_ns,
        "acknowledged_ns": row.acknowledged_ns,
        "acknowledged_by": row.acknowledged_by,
        "judged": row.judged,
        **_subject(row.key),
        "details": row.details,
        **_study(story, depth),
        "judgements": [_judgement(event) for event in story.judgements],
        "readings": [
            _reading(reading, story, depth)
            for reading in sorted(story.readings.values(), key=_id)
            if reading.id in named
        ],
        "events": [_event(event) for event in story.events],
        "messages": [_message(one) for one in story.deliveries],
    }


def _id(reading: ReadingRow) -> int:
    return reading.id


def _subject(key: AlertKey) -> Json:
    """What a technical alert is of. The key of a clinical one is the patient's, and stands in `patient`."""
    technical = key.kind == "technical"
    return {
        "code": key.first if technical else None,
        "subject": key.second if technical else None,
        "exam": key.third if key.kind == "clinical" else None,
    }


def _study(story: AlertStory, depth: Depth) -> Json:
    study = story.study
    said: Json = {"study": study_hash(study.facts.study_uid) if study else None}
    if depth >= Depth.UIDS:
        said["study_uid"] = study.facts.study_uid if study else None
    said |= _series(story, story.alert.series_id, depth)
    if depth >= Depth.IDENTITY:
        said["patient"] = _patient(story)
    return said


def _series(story: AlertStory, series_id: int | None, depth: Depth) -> Json:
    series = story.series.get(series_id) if series_id is not None else None
    said: Json = {"series": uid_hash(series.facts.series_uid) if series else None}
    if depth >= Depth.UIDS:
        said["series_uid"] = series.facts.series_uid if series else None
    return said


def _patient(story: AlertStory) -> Json | None:
    if story.study is None:
        return None
    facts, patient = story.study.facts, story.study.facts.patient
    return {
        "identity": patient.identity,
        "id": patient.patient_id,
        "name": patient.name,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "accession": facts.accession,
    }


def _judgement(event: AlertEventRow) -> Json:
    return {"event": event.id, "judged": event.judged, "by": event.by, "at_ns": event.at_ns}


def _reading(reading: ReadingRow, story: AlertStory, depth: Depth) -> Json:
    found = reading.finding
    finding: Json | None = None
    if found is not None:
        finding = {"label": found.label, "side": found.side, "key_slice": found.key_number}
        if depth >= Depth.UIDS:
            finding["key_slice_uid"] = story.sop_uids.get(found.key_slice_id)
    return {
        "reading": reading.id,
        **_series(story, reading.series_id, depth),
        "revision": reading.revision,
        "finality": reading.finality,
        "made_ns": reading.made_ns,
        "outcome": reading.outcome,
        "reasons": [code for code, _ in reading.reasons],
        "probabilities": dict(zip(LABELS, reading.probabilities, strict=True)) if reading.probabilities else None,
        "slices": reading.slices,
        "finding": finding,
        "critical_point": reading.critical_point,
        "review_point": reading.review_point,
        "engine": reading.engine_name,
        "engine_sha256": reading.engine_sha256,
        "backend": reading.backend,
    }


def _event(event: AlertEventRow) -> Json:
    return {
        "event": event.id,
        "happening": event.happening,
        "at_ns": event.at_ns,
        "by": event.by,
        "level": event.level,
        "finality": event.finality,
        "new_acquisition": event.new_acquisition,
        "sounds": event.sounds,
        "judged": event.judged,
        "reading": event.reading_id,
        "details": event.details,
    }


def _message(one: DeliveryRow) -> Json:
    return {
        "event": one.event_id,
        "channel": one.channel,
        "state": one.state,
        "attempts": one.attempts,
        "created_ns": one.created_ns,
        "ended_ns": one.ended_ns,
        "last_status": one.last_status,
        "last_error": one.last_error,
    }
