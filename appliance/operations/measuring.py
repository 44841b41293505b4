"""How long things took, from what an observer saw and when the scanner closed each file."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from appliance.core.engine import EngineCard
from appliance.core.ledger import AlertEventRow, AlertRow, SliceRow, StudyRow
from appliance.core.words import Level
from appliance.operations.observer import Seen
from appliance.reading.series_reader import read_early
from appliance.records.alerts import alerts_of_studies, events_of
from appliance.records.ledger import Ledger
from appliance.records.readings import readings_of
from appliance.records.series import series_of
from appliance.records.slices import slices_of

SCHEMA_VERSION = 1
NS_PER_MS = 1_000_000

Received = Sequence[tuple[dict[str, Any], int]]


def study_hash(study_uid: str) -> str:
    """How a study is named outside the box: never by its UID."""
    return sha256(study_uid.encode()).hexdigest()[:16]


def evidence_slice(rows: Sequence[SliceRow], card: EngineCard) -> SliceRow | None:
    """The slice with which the evidence first sufficed: the stored scores, replayed in the order of landing."""
    landed = sorted((row for row in rows if row.score is not None), key=lambda row: (row.landed_ns, row.id))
    for count in range(1, len(landed) + 1):
        if read_early(landed[:count], card).level is Level.CRITICAL:
            return landed[count - 1]
    return None


def study_document(
    ledger: Ledger,
    study: StudyRow,
    role: str,
    seen: Seen,
    landed_ns: dict[str, int],
    received: Received,
    card: EngineCard,
) -> dict[str, Any]:
    """One study as a JSON line. Milliseconds; None where there was nothing to measure."""
    with ledger.reading() as read:
        series = series_of(read, study.id)
        slices = {one.id: slices_of(read, one.id) for one in series}
        alerts = list(alerts_of_studies(read, [study.id]).values())
    rows = [row for one in series for row in slices[one.id]]
    to_score = [
        (seen.scored_ns[row.id] - landed_ns[row.sop_uid]) / NS_PER_MS
        for row in rows
        if row.id in seen.scored_ns and row.sop_uid in landed_ns
    ]
    return {
        "kind": "study",
        "schema_version": SCHEMA_VERSION,
        "role": role,
        "study": study_hash(study.facts.study_uid),
        "outcome": study.outcome,
        "reasons": [code for code, _ in study.reasons],
        "slices": len(rows),
        "ms": {
            "landed_to_score_p50": _percentile(to_score, 50),
            "landed_to_score_p95": _percentile(to_score, 95),
            **_alert_ms(rows, alerts, seen, landed_ns, received, card),
            "last_slice_to_final": _final_ms([(one.id, slices[one.id]) for one in series], seen, landed_ns),
        },
    }


def _alert_ms(
    rows: Sequence[SliceRow],
    alerts: Sequence[AlertRow],
    seen: Seen,
    landed_ns: dict[str, int],
    received: Received,
    card: EngineCard,
) -> dict[str, float | None]:
    """From the landing of the evidence slice to the alert's commit, and to the gateway's message."""
    evidence = evidence_slice(rows, card)
    if evidence is None or not alerts:
        return {"evidence_to_alert": None, "evidence_to_message": None}
    begin_ns = landed_ns[evidence.sop_uid]
    committed = next((at_ns for event, at_ns in seen.events if event.alert_id == alerts[0].id), None)
    arrived = next((at_ns for message, at_ns in received if message["alert"] == alerts[0].id), None)
    return {
        "evidence_to_alert": None if committed is None else (committed - begin_ns) / NS_PER_MS,
        "evidence_to_message": None if arrived is None else (arrived - begin_ns) / NS_PER_MS,
    }


def _final_ms(series: Sequence[tuple[int, Sequence[SliceRow]]], seen: Seen, landed_ns: dict[str, int]) -> float | None:
    """The longest of the series that were read."""
    found = [
        (seen.final_ns[series_id] - max(landed_ns[row.sop_uid] for row in rows)) / NS_PER_MS
        for series_id, rows in series
        if series_id in seen.final_ns and rows
    ]
    return max(found, default=None)


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None


def alert_documents(ledger: Ledger, study: StudyRow, role: str) -> list[dict[str, Any]]:
    """The alerts of a study as JSON lines."""
    with ledger.reading() as read:
        return [
            _alert_document(
                alert, events_of(read, alert.id), study, role, _revision(ledger, alert), _evidence(ledger, alert)
            )
            for alert in alerts_of_studies(read, [study.id]).values()
        ]


def _alert_document(
    alert: AlertRow, events: Sequence[AlertEventRow], study: StudyRow, role: str, revision: int, evidence: list[int]
) -> dict[str, Any]:
    return {
        "kind": "alert",
        "schema_version": SCHEMA_VERSION,
        "role": role,
        "alert": alert.id,
        "study": study_hash(study.facts.study_uid),
        "level": alert.level,
        "revision": revision,
        "evidence": evidence,
        "events": [event.happening for event in events],
    }


def _readings(ledger: Ledger, alert: AlertRow) -> list[Any]:
    if alert.series_id is None:
        return []
    with ledger.reading() as read:
        return readings_of(read, alert.series_id)


def _revision(ledger: Ledger, alert: AlertRow) -> int:
    return max((one.revision for one in _readings(ledger, alert)), default=0)


def _evidence(ledger: Ledger, alert: AlertRow) -> list[int]:
    """Slice ids of the first reading that named any."""
    return next((list(one.finding.evidence) for one in _readings(ledger, alert) if one.finding), [])
