"""Studies and the events of their lives."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.headers import Patient, StudyFacts
from appliance.core.ledger import Reasons, StudyEventRow, StudyRow
from appliance.core.studies import StudyEvent, StudyHappening, StudyJudged, StudyStatus, advance
from appliance.core.words import FileVerdict, Outcome, StudyState
from appliance.records.ledger import Connection
from appliance.records.models import file, series, study, study_event
from appliance.records.shapes import reasons_in, reasons_out

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
HELD_BACK = (FileVerdict.SET_ASIDE, FileVerdict.POISON)


def find_study(r: Connection, study_uid: str, patient_identity: str) -> StudyRow | None:
    """The study with this UID of this patient. Two patients under one UID are two studies."""
    return _one(r, (study.c.study_uid == study_uid) & (study.c.patient_identity == patient_identity))


def open_study(w: Connection, facts: StudyFacts, at_ns: int) -> StudyRow:
    """Opens a new study (OPENED)."""
    status = advance(None, StudyEvent(happening=StudyHappening.OPENED, at_ns=at_ns))
    values = {
        **_facts_values(facts),
        "state": status.state,
        "outcome": None,
        "reasons": [],
        "opened_ns": status.opened_ns,
        "last_landed_ns": at_ns,
        "closed_ns": None,
        "seen_by": "",
        "judged": None,
    }
    study_id = int(w.execute(sa.insert(study).values(**values).returning(study.c.id)).scalar_one())
    _append(w, study_id, StudyEvent(happening=StudyHappening.OPENED, at_ns=at_ns))
    return _existing(w, study_id)


def update_study_facts(w: Connection, study_id: int, facts: StudyFacts) -> None:
    """A corrected header changes what is shown. UID and patient identity stay: they are what the study is."""
    kept = {
        name: value for name, value in _facts_values(facts).items() if name not in ("study_uid", "patient_identity")
    }
    w.execute(sa.update(study).where(study.c.id == study_id).values(**kept))


def note_landing(w: Connection, study_id: int, series_id: int | None, at_ns: int) -> None:
    """Something of this study, and of this series where one is named, has landed."""
    for table, row_id in ((study, study_id), (series, series_id)):
        if row_id is not None:
            later = (table.c.id == row_id) & (table.c.last_landed_ns < at_ns)
            w.execute(sa.update(table).where(later).values(last_landed_ns=at_ns))


def say_outcome(w: Connection, study_id: int, outcome: Outcome, reasons: Reasons) -> None:
    """The standing outcome of a study that is still open."""
    still_open = (study.c.id == study_id) & (study.c.state == StudyState.OPEN)
    w.execute(sa.update(study).where(still_open).values(outcome=outcome, reasons=reasons_out(reasons)))


def close_study(w: Connection, study_id: int, outcome: Outcome, reasons: Reasons, at_ns: int) -> None:
    """Closes a study with its outcome (CLOSED). ImpossibleEvent if it is closed."""
    _happens(w, study_id, StudyEvent(happening=StudyHappening.CLOSED, at_ns=at_ns, outcome=outcome))
    w.execute(sa.update(study).where(study.c.id == study_id).values(reasons=reasons_out(reasons)))


def reopen_study(w: Connection, study_id: int, at_ns: int) -> None:
    """Something landed for a closed study (REOPENED). Its outcome stands until it is said anew."""
    _happens(w, study_id, StudyEvent(happening=StudyHappening.REOPENED, at_ns=at_ns))


def see_study(w: Connection, study_id: int, by: str, at_ns: int, details: Mapping[str, str] = _NOTHING) -> None:
    """A person has pressed "I have seen it" (SEEN). `details`: from which screen."""
    _happens(w, study_id, StudyEvent(happening=StudyHappening.SEEN, at_ns=at_ns, by=by), details)


def judge_study(
    w: Connection, study_id: int, judged: StudyJudged, *, by: str, at_ns: int, details: Mapping[str, str]
) -> None:
    """A person says what a study shows that no alert was raised for (JUDGED). Again is allowed; the last one counts."""
    _happens(w, study_id, StudyEvent(happening=StudyHappening.JUDGED, at_ns=at_ns, by=by, judged=judged), details)


def judged_studies(r: Connection, after_id: int, limit: int) -> list[StudyRow]:
    """The next studies behind this id that a person has judged, in the order of their ids."""
    chosen = _selected().where(study.c.judged.is_not(None) & (study.c.id > after_id))
    return _many(r, chosen.order_by(study.c.id).limit(limit))


def studies_of_uid(r: Connection, study_uid: str) -> list[StudyRow]:
    """The studies under this UID: one, or one for each patient that it came with."""
    return _many(r, _selected().where(study.c.study_uid == study_uid).order_by(study.c.id))


def study_by_id(r: Connection, study_id: int) -> StudyRow | None:
    """The study with this id."""
    return _one(r, study.c.id == study_id)


def open_studies(r: Connection) -> list[StudyRow]:
    """The studies of which more is awaited, the oldest first."""
    return _many(r, _selected().where(study.c.state == StudyState.OPEN).order_by(study.c.id))


def studies_since(r: Connection, since_ns: int, limit: int) -> list[StudyRow]:
    """The studies of which something landed since then, the newest first."""
    since = _selected().where(study.c.last_landed_ns >= since_ns)
    return _many(r, since.order_by(study.c.last_landed_ns.desc(), study.c.id.desc()).limit(limit))


def studies_by_id(r: Connection, study_ids: Iterable[int]) -> list[StudyRow]:
    """The studies with these ids, in the order of their ids."""
    return _many(r, _selected().where(study.c.id.in_(list(study_ids))).order_by(study.c.id))


def unseen_studies(r: Connection, among: Collection[int] | None = None) -> list[StudyRow]:
    """What may be a head, closed NOT ANALYSED, and no person has seen since; the last closed first.

    `among`: only these are asked for. None asks for all studies there ever were, which takes its time.
    """
    head = (series.c.study_id == study.c.id) & series.c.may_be_head
    unread = (study.c.state == StudyState.CLOSED) & (study.c.outcome == Outcome.NOT_ANALYSED) & (study.c.seen_by == "")
    chosen = _selected().where(unread & sa.select(series.c.id).where(head).correlate(study).exists())
    if among is not None:
        chosen = chosen.where(study.c.id.in_(list(among)))
    return _many(r, chosen.order_by(study.c.closed_ns.desc()))


def changed_studies(r: Connection, after_event_id: int) -> tuple[frozenset[int], int]:
    """The studies with an event after this one, and the id of the last event of any study (0 before the first)."""
    later = sa.select(study_event.c.study_id).where(study_event.c.id > after_event_id).distinct()
    last = r.execute(sa.select(sa.func.max(study_event.c.id))).scalar()
    return frozenset(r.execute(later).scalars()), last or 0


def study_events_of(r: Connection, study_id: int) -> list[StudyEventRow]:
    """All that happened to a study, in order."""
    chosen = sa.select(study_event).where(study_event.c.study_id == study_id).order_by(study_event.c.id)
    return [
        StudyEventRow(
            id=row.id,
            study_id=row.study_id,
            happening=StudyHappening(row.kind),
            at_ns=row.at_ns,
            by=row.by,
            outcome=None if row.outcome is None else Outcome(row.outcome),
            judged=None if row.judged is None else StudyJudged(row.judged),
            details=row.details,
        )
        for row in r.execute(chosen)
    ]


def _happens(w: Connection, study_id: int, event: StudyEvent, details: Mapping[str, str] = _NOTHING) -> None:
    """Appends the event and stores the fold, in the caller's transaction."""
    status = advance(_status(_existing(w, study_id)), event)
    values: dict[str, Any] = {
        "state": status.state,
        "closed_ns": status.closed_ns,
        "seen_by": status.seen_by,
        "judged": status.judged,
    }
    if event.happening is StudyHappening.CLOSED:
        values["outcome"] = status.outcome
    w.execute(sa.update(study).where(study.c.id == study_id).values(**values))
    _append(w, study_id, event, details)


def _append(w: Connection, study_id: int, event: StudyEvent, details: Mapping[str, str] = _NOTHING) -> None:
    w.execute(
        sa.insert(study_event).values(
            study_id=study_id,
            kind=event.happening,
            at_ns=event.at_ns,
            by=event.by,
            outcome=event.outcome,
            judged=event.judged,
            details=dict(details),
        ),
    )


def _status(row: StudyRow) -> StudyStatus:
    return StudyStatus(
        state=row.state,
        opened_ns=row.opened_ns,
        closed_ns=row.closed_ns,
        outcome=row.outcome,
        seen_by=row.seen_by,
        judged=row.judged,
    )


def _selected() -> sa.Select[Any]:
    held_back = (
        sa.select(sa.func.count())
        .where((file.c.study_uid == study.c.study_uid) & file.c.verdict.in_(HELD_BACK))
        .scalar_subquery()
    )
    return sa.select(study, held_back.label("set_aside"))


def _one(r: Connection, where: sa.ColumnElement[bool]) -> StudyRow | None:
    row = r.execute(_selected().where(where)).one_or_none()
    return None if row is None else _study(row)


def _existing(r: Connection, study_id: int) -> StudyRow:
    return _study(r.execute(_selected().where(study.c.id == study_id)).one())


def _many(r: Connection, query: sa.Select[Any]) -> list[StudyRow]:
    return [_study(row) for row in r.execute(query)]


def _facts_values(facts: StudyFacts) -> dict[str, Any]:
    patient = facts.patient
    return {
        "study_uid": facts.study_uid,
        "patient_identity": patient.identity,
        "patient_id": patient.patient_id,
        "patient_name": patient.name,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "accession": facts.accession,
        "description": facts.description,
        "scanner": facts.scanner,
        "age_years": facts.age_years,
    }


def _study(row: Any) -> StudyRow:
    patient = Patient(
        identity=row.patient_identity,
        patient_id=row.patient_id,
        name=row.patient_name,
        birth_date=row.birth_date,
        sex=row.sex,
    )
    return StudyRow(
        id=row.id,
        facts=StudyFacts(
            study_uid=row.study_uid,
            patient=patient,
            accession=row.accession,
            description=row.description,
            scanner=row.scanner,
            age_years=row.age_years,
        ),
        state=StudyState(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reasons=reasons_in(row.reasons),
        opened_ns=row.opened_ns,
        last_landed_ns=row.last_landed_ns,
        closed_ns=row.closed_ns,
        set_aside=row.set_aside,
        seen_by=row.seen_by,
        judged=None if row.judged is None else StudyJudged(row.judged),
    )
