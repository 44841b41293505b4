"""How long things took, from what an observer saw and when the scanner closed each file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from appliance.core.engine import EngineCard
from appliance.core.ledger import AlertRow, SliceRow, StudyRow
from appliance.core.pseudonyms import study_hash
from appliance.core.words import Level
from appliance.operations.observer import Seen
from appliance.operations.receiver import Message
from appliance.reading.series_reader import early_level
from appliance.records.alerts import alerts_of_studies, events_of
from appliance.records.ledger import Connection, Ledger
from appliance.records.readings import readings_of
from appliance.records.series import series_of
from appliance.records.slices import slices_of

SCHEMA_VERSION: Final = 1
NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """All that is known of a run without asking the appliance how fast it was."""

    seen: Seen
    landed_ns: Mapping[str, int]  # by SOP UID: the clock when the scanner closed or renamed the file
    received: Sequence[Message]
    card: EngineCard


def evidence_slice(rows: Sequence[SliceRow], outside: Outside) -> SliceRow | None:
    """The slice with which the evidence of a series first sufficed: its scores, replayed in the order of landing."""
    scored = [row for row in rows if row.score is not None and row.sop_uid in outside.landed_ns]
    landed = sorted(scored, key=lambda row: outside.landed_ns[row.sop_uid])
    for count in range(1, len(landed) + 1):
        if early_level(landed[:count], outside.card) is Level.CRITICAL:
            return landed[count - 1]
    return None


def study_document(ledger: Ledger, study: StudyRow, role: str, outside: Outside) -> dict[str, Any]:
    """One study as a JSON line. Milliseconds; None where there was nothing to measure."""
    with ledger.reading() as read:
        slices = {one.id: slices_of(read, one.id) for one in series_of(read, study.id)}
        alert = alerts_of_studies(read, [study.id]).get(study.id)
    rows = [row for each in slices.values() for row in each]
    to_score = [
        (outside.seen.scored_ns[row.id] - outside.landed_ns[row.sop_uid]) / NS_PER_MS
        for row in rows
        if row.id in outside.seen.scored_ns and row.sop_uid in outside.landed_ns
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
            **_alert_ms(alert, slices, outside),
            "last_slice_to_final": _final_ms(slices, outside),
        },
    }


def stage_medians(rows: Sequence[SliceRow]) -> dict[str, float]:
    """Of each stage that the appliance itself timed, the median in milliseconds."""
    names = dict.fromkeys(name for row in rows for name in row.ms)
    return {name: float(np.median([row.ms[name] for row in rows if name in row.ms])) for name in names}


def _alert_ms(
    alert: AlertRow | None, slices: Mapping[int, Sequence[SliceRow]], outside: Outside
) -> dict[str, float | None]:
    """From the landing of the evidence slice to the alert's commit, and to the gateway's message."""
    found = slices.get(alert.series_id or 0, ()) if alert else ()
    evidence = evidence_slice(found, outside)
    if alert is None or evidence is None:
        return {"evidence_to_alert": None, "evidence_to_message": None}
    begin_ns = outside.landed_ns[evidence.sop_uid]
    committed = next((at_ns for event, at_ns in outside.seen.events if event.alert_id == alert.id), None)
    arrived = next((one.arrived_ns for one in outside.received if one.document["alert"] == alert.id), None)
    return {
        "evidence_to_alert": None if committed is None else (committed - begin_ns) / NS_PER_MS,
        "evidence_to_message": None if arrived is None else (arrived - begin_ns) / NS_PER_MS,
    }


def _final_ms(slices: Mapping[int, Sequence[SliceRow]], outside: Outside) -> float | None:
    """The longest of the series that were read."""
    waits = [
        (outside.seen.final_ns[series_id] - max(landed)) / NS_PER_MS
        for series_id, rows in slices.items()
        if (landed := [outside.landed_ns[row.sop_uid] for row in rows if row.sop_uid in outside.landed_ns])
        and series_id in outside.seen.final_ns
    ]
    return max(waits, default=None)


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None


def alert_documents(ledger: Ledger, study: StudyRow, role: str) -> list[dict[str, Any]]:
    """The alerts of a study as JSON lines. `evidence`: slice ids of the first reading that named any."""
    with ledger.reading() as read:
        found = alerts_of_studies(read, [study.id]).values()
        return [_alert_document(read, alert, study, role) for alert in found]


def _alert_document(read: Connection, alert: AlertRow, study: StudyRow, role: str) -> dict[str, Any]:
    readings = readings_of(read, alert.series_id) if alert.series_id is not None else []
    return {
        "kind": "alert",
        "schema_version": SCHEMA_VERSION,
        "role": role,
        "alert": alert.id,
        "study": study_hash(study.facts.study_uid),
        "level": alert.level,
        "revision": max((one.revision for one in readings), default=0),
        "evidence": next((list(one.finding.evidence) for one in readings if one.finding), []),
        "events": [event.happening for event in events_of(read, alert.id)],
    }
