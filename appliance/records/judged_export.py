"""Studies without an alert that a person has judged, as plain values: the bleeds that were missed among them.

docs/schemas/alerts.md tells every field.
"""

from collections.abc import Iterator
from typing import Final

from appliance.core.ledger import ReadingRow, StudyRow
from appliance.core.pseudonyms import study_hash
from appliance.core.studies import StudyHappening
from appliance.core.words import LABELS
from appliance.records.alert_export import Depth, Json
from appliance.records.ledger import Connection, Ledger
from appliance.records.readings import latest_readings
from appliance.records.series import series_of
from appliance.records.studies import judged_studies, study_events_of

SCHEMA_VERSION: Final = 1
STUDIES_A_STEP: Final = 100


def judged_steps(ledger: Ledger, *, since_ns: int, depth: Depth) -> Iterator[list[Json]]:
    """Every judged study of which something landed since then, in the order of their numbers, some at a time."""
    last = 0
    while True:
        with ledger.reading() as r:
            rows = judged_studies(r, last, STUDIES_A_STEP)
            step = [_document(r, row, depth) for row in rows if row.last_landed_ns >= since_ns]
        if not rows:
            return
        last = rows[-1].id
        yield step


def _document(r: Connection, row: StudyRow, depth: Depth) -> Json:
    said = [event for event in study_events_of(r, row.id) if event.happening is StudyHappening.JUDGED]
    readings = latest_readings(r, [series.id for series in series_of(r, row.id)])
    document: Json = {
        "schema_version": SCHEMA_VERSION,
        "study_number": row.id,
        "study": study_hash(row.facts.study_uid),
        "last_landed_ns": row.last_landed_ns,
        "outcome": row.outcome,
        "judged": row.judged,
        "judgements": [
            {"judged": event.judged, "by": event.by, "at_ns": event.at_ns, "details": event.details} for event in said
        ],
        "readings": [_reading(one) for one in readings.values()],
    }
    if depth >= Depth.UIDS:
        document["study_uid"] = row.facts.study_uid
    if depth >= Depth.IDENTITY:
        patient = row.facts.patient
        document["patient"] = {"id": patient.patient_id, "name": patient.name, "accession": row.facts.accession}
    return document


def _reading(reading: ReadingRow) -> Json:
    probabilities = reading.probabilities
    return {
        "revision": reading.revision,
        "outcome": reading.outcome,
        "probabilities": dict(zip(LABELS, probabilities, strict=True)) if probabilities else None,
        "critical_point": reading.critical_point,
        "review_point": reading.review_point,
        "engine": reading.engine_name,
        "engine_sha256": reading.engine_sha256,
        "backend": reading.backend,
    }
