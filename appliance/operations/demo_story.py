"""What the terminal shows while the demo runs: each stage of each scan as it is reached, with its time."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow, AlertRow, SeriesRow, StudyRow
from appliance.core.reasons import Of, sentence
from appliance.core.times import NS_PER_S
from appliance.core.words import Level, SeriesVerdict, StudyState
from appliance.operations.demo_patients import Patient
from appliance.operations.measuring import NS_PER_MS, Outside, stage_medians, study_document
from appliance.records.alerts import existing_alert
from appliance.records.ledger import Ledger
from appliance.records.progress import slices_so_far
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import studies_since

MOST_STUDIES: Final = 100
STAGES: Final = ("open", "read", "store", "take", "prepare", "engine", "score")
BOX: Final = "the box"


class Story:
    """Looks at the ledger from time to time and tells what is new. It keeps nothing that measures anything."""

    def __init__(self, console: Console, ledger: Ledger, patients: Sequence[Patient], outside: Outside) -> None:
        self._console = console
        self._ledger = ledger
        self._outside = outside
        self._patients = {patient.study.uid: patient for patient in patients}
        self._told: set[tuple[object, ...]] = set()
        self._events_told = 0
        self.rows: dict[str, StudyRow] = {}  # by study UID, of the last look

    @property
    def all_closed(self) -> bool:
        """Every study of the demo has closed."""
        closed = [row for row in self.rows.values() if row.state is StudyState.CLOSED]
        return len(closed) == len(self._patients)

    def look(self) -> None:
        """Tells what has been reached since the last look."""
        with self._ledger.reading() as read:
            rows = studies_since(read, 0, MOST_STUDIES)
            so_far = slices_so_far(read)
            series = {row.id: series_of(read, row.id) for row in rows}
        self.rows = {row.facts.study_uid: row for row in rows}
        for row in sorted(rows, key=lambda row: row.id):
            count = so_far.get(row.id)
            if count and count.scored:
                self._first_score(row, series[row.id])
            self._declined(row, series[row.id])
        self._events()
        for row in sorted(rows, key=lambda row: row.id):
            self._final(row, series[row.id])
            self._closed(row)

    def say(self, who: str, stage: str, said: str, *, at_ns: int | None = None) -> None:
        """One line: when, whose scan, which stage, what came of it."""
        at_ns = time.time_ns() if at_ns is None else at_ns
        clock = time.strftime("%H:%M:%S", time.localtime(at_ns // NS_PER_S))
        tenth = at_ns % NS_PER_S // (100 * NS_PER_MS)
        self._console.print(f"{clock}.{tenth}  {who:<9}  {stage:<9}  {said}", markup=False, soft_wrap=True)

    def _once(self, *what: object) -> bool:
        fresh = what not in self._told
        self._told.add(what)
        return fresh

    def _first_score(self, row: StudyRow, series: Sequence[SeriesRow]) -> None:
        if not self._once("first score", row.id):
            return
        with self._ledger.reading() as read:
            slices = [one for each in series for one in slices_of(read, each.id) if one.score is not None]
        first = min(slices, key=lambda one: one.id)
        landed_ns = self._outside.landed_ns.get(first.sop_uid, first.landed_ns)
        at_ns = self._outside.seen.scored_ns.get(first.id, time.time_ns())
        stages = _stages({name: first.ms[name] for name in STAGES if name in first.ms})
        wait = _ms((at_ns - landed_ns) / NS_PER_MS)
        self.say(_who(row), "scored", f"first slice {wait} after it landed: {stages}", at_ns=at_ns)

    def _declined(self, row: StudyRow, series: Sequence[SeriesRow]) -> None:
        for one in series:
            if one.verdict is not SeriesVerdict.DECLINED or not one.reasons:
                continue
            code, details = one.reasons[0]
            if self._once("declined", one.id, code):
                name = one.facts.series_number if one.facts.series_number is not None else "?"
                self.say(_who(row), "declined", f"series {name}: {sentence(Of.SERIES, code, **details)}")

    def _events(self) -> None:
        seen = self._outside.seen.events
        for event, at_ns in seen[self._events_told :]:
            self._events_told += 1
            with self._ledger.reading() as read:
                alert = existing_alert(read, event.alert_id)
            whose = next((row for row in self.rows.values() if row.id == alert.study_id), None)
            who = _who(whose) if whose else BOX
            self.say(who, _stage(event, alert), _event_said(event, alert), at_ns=at_ns)

    def _final(self, row: StudyRow, series: Sequence[SeriesRow]) -> None:
        for one in series:
            at_ns = self._outside.seen.final_ns.get(one.id)
            if at_ns is None or row.outcome is None or not self._once("final", one.id):
                continue
            patient = self._patients.get(row.facts.study_uid)
            document = study_document(self._ledger, row, patient.role if patient else "", self._outside)
            with self._ledger.reading() as read:
                slices = slices_of(read, one.id)
            self.say(_who(row), "final", f"{row.outcome}, all {len(slices)} slices; {_measured(document)}", at_ns=at_ns)
            self.say(_who(row), "", f"in the median {_stages(stage_medians(slices))}", at_ns=at_ns)

    def _closed(self, row: StudyRow) -> None:
        if row.state is StudyState.CLOSED and row.outcome and self._once("closed", row.id, row.closed_ns):
            why = " ".join(sentence(Of.STUDY, code, **details) for code, details in row.reasons)
            self.say(_who(row), "closed", f"{row.outcome}. {why}", at_ns=row.closed_ns)


_STAGE: Final = {
    Happening.RAISED: "confirmed",
    Happening.DELIVERED: "told",
    Happening.FAILED: "not told",
    Happening.ACKNOWLEDGED: "answered",
}


def _stage(event: AlertEventRow, alert: AlertRow) -> str:
    if event.sounds:
        return "FAULT" if alert.level is Level.TECHNICAL else "ALERT"
    return _STAGE.get(event.happening, event.happening.lower())


def _who(row: StudyRow) -> str:
    return row.facts.patient.patient_id


def _event_said(event: AlertEventRow, alert: AlertRow) -> str:
    if alert.level is Level.TECHNICAL:
        return sentence(Of.TECHNICAL, alert.key.first, **alert.details)
    if event.happening in (Happening.RAISED, Happening.UPGRADED):
        where = ", ".join(part for name in ("place", "side") if (part := event.details.get(name)))
        return f"{event.level or alert.level} ({(event.finality or alert.finality).lower()}): {where}"
    why = event.details.get("why") or event.details.get("error") or ""
    return f"by {event.by}" + (f": {why}" if why else "")


def _measured(document: Mapping[str, Any]) -> str:
    names = {
        "landed_to_score_p50": "landed to score p50",
        "landed_to_score_p95": "p95",
        "evidence_to_alert": "evidence to alert",
        "evidence_to_message": "to message",
        "last_slice_to_final": "last slice to final",
    }
    measured: Mapping[str, float | None] = document["ms"]
    return ", ".join(f"{said} {_ms(value)}" for name, said in names.items() if (value := measured[name]) is not None)


def _stages(ms: Mapping[str, float]) -> str:
    return " · ".join(f"{name} {_ms(ms[name])}" for name in STAGES if name in ms)


def _ms(value: float) -> str:
    return f"{value:.0f} ms"
