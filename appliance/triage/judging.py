"""From the scores of a series to what is written: the early alert while slices land, the reading when all have."""

from dataclasses import dataclass

from appliance.core.alerts import AlertStatus, Step, alert_step
from appliance.core.engine import EngineCard
from appliance.core.ledger import AlertChange, AlertKey, ReadingRow
from appliance.core.words import Finality, Level
from appliance.exams.registry import EXAM
from appliance.reading.series_reader import SeriesReading
from appliance.triage.cases import SeriesCase, StudyCase


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineUsed:
    """Which engine and backend made a reading. A reading never mixes two."""

    card: EngineCard
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The alert of the study's exam as it stands, and the series and acquisition it stands on."""

    series_id: int | None
    status: AlertStatus
    last_acquired: str  # of the series that the alert stands on
    all_landed: bool  # of that series: before, its last acquisition time is not known


def clinical_key(study: StudyCase) -> AlertKey:
    """One alert for one patient, study and exam."""
    facts = study.row.facts
    return AlertKey(kind="clinical", first=facts.patient.identity, second=facts.study_uid, third=EXAM)


def is_new_acquisition(series: SeriesCase, standing: Standing | None) -> bool:
    """It was scanned after the alerted series. Without both times it is the same scan."""
    if standing is None or standing.series_id == series.row.id or not standing.all_landed:
        return False
    earliest, _ = series.acquired()
    return bool(earliest and standing.last_acquired and earliest > standing.last_acquired)


def step_of(
    standing: Standing | None,
    series: SeriesCase,
    level: Level | None,
    finality: Finality,
    *,
    others: Level | None,
) -> Step | None:
    """What this reading does to the exam's alert."""
    return alert_step(
        standing.status if standing else None,
        level,
        finality,
        new_acquisition=is_new_acquisition(series, standing),
        same_series=standing is None or standing.series_id == series.row.id,
        others=others,
    )


def reading_of(series: SeriesCase, read: SeriesReading, *, revision: int, used: EngineUsed, at_ns: int) -> ReadingRow:
    """The row of a reading, not yet recorded."""
    return ReadingRow(
        id=0,
        series_id=series.row.id,
        revision=revision,
        finality=read.finality,
        probabilities=read.exam.probabilities,
        outcome=read.outcome,
        reasons=read.reasons,
        slices=read.exam.slices,
        finding=read.finding,
        engine_sha256=used.card.sha256,
        engine_name=f"{used.card.name} {used.card.version}",
        backend=used.backend,
        critical_point=used.card.points.critical,
        review_point=used.card.points.review,
        made_ns=at_ns,
    )


def change_of(study: StudyCase, series: SeriesCase, step: Step, details: dict[str, str]) -> AlertChange:
    """The step, and whose alert it changes."""
    return AlertChange(
        key=clinical_key(study), step=step, study_id=study.row.id, series_id=series.row.id, details=details
    )
