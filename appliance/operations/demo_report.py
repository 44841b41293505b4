"""What came of the demo: JSON Lines on standard output, and what must not be on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.core.ledger import StudyRow
from appliance.core.words import Level, Outcome, StudyState
from appliance.operations.demo_patients import Patient
from appliance.operations.measuring import Outside, alert_documents, study_document
from appliance.records.ledger import Ledger


def report(ledger: Ledger, patients: Sequence[Patient], rows: Mapping[str, StudyRow], outside: Outside) -> int:
    """One line for each study and alert (docs/schemas/demo.md). Returns 0 if all came out as it must, else 1."""
    faults: list[str] = []
    for patient in patients:
        row = rows.get(patient.study.uid)
        if row is None:
            faults.append(f"the {patient.role} study never arrived")
            continue
        alerts = alert_documents(ledger, row, patient.role)
        for line in (study_document(ledger, row, patient.role, outside), *alerts):
            sys.stdout.write(json.dumps(line) + "\n")
        if row.state is not StudyState.CLOSED:
            faults.append(f"the {patient.role} study did not close")
        faults += _FAULTS[patient.role](row, alerts, outside)
    sys.stdout.flush()
    for fault in faults:
        sys.stderr.write(f"FAILED: {fault}\n")
    return 1 if faults else 0


def _bleeding(row: StudyRow, alerts: Sequence[Mapping[str, Any]], outside: Outside) -> list[str]:
    critical = {alert["alert"] for alert in alerts if alert["level"] is Level.CRITICAL}
    if row.outcome is not Outcome.CRITICAL or not critical:
        return [f"the bleed ended {row.outcome}"]
    told = {message.document["alert"] for message in outside.received}
    return [] if critical <= told else ["the bleed was not told: no signed message came"]


def _normal(row: StudyRow, alerts: Sequence[Mapping[str, Any]], outside: Outside) -> list[str]:
    faults = [] if row.outcome is Outcome.NO_FINDING else [f"the normal head ended {row.outcome}"]
    return [*faults, *(["the normal head was told"] if alerts else [])]


def _unsuitable(row: StudyRow, alerts: Sequence[Mapping[str, Any]], outside: Outside) -> list[str]:
    if row.outcome is not Outcome.NOT_ANALYSED or not row.reasons:
        return [f"the unsuitable study ended {row.outcome} with {len(row.reasons)} reasons"]
    return []


_FAULTS = {"bleeding": _bleeding, "normal": _normal, "unsuitable": _unsuitable}
