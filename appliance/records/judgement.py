"""Commits all that follows from one look at a series: a score, a reading and its alert stand together or not at all."""

from dataclasses import replace

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertChange, AlertRow, Committed, Judgement, OutcomeSaid
from appliance.records.alerts import append_event, find_alert, raise_alert
from appliance.records.ledger import Connection, Ledger
from appliance.records.readings import record_reading
from appliance.records.series import apply_series_change
from appliance.records.slices import score_slice
from appliance.records.studies import close_study, say_outcome


def commit_judgement(ledger: Ledger, judgement: Judgement) -> Committed:
    """One transaction. Fault if the ledger cannot be written; ImpossibleEvent if a step cannot happen now."""
    with ledger.writing() as w:
        return write_judgement(w, judgement)


def write_judgement(w: Connection, judgement: Judgement) -> Committed:
    """The same inside a transaction of the caller's."""
    for scored in judgement.scores:
        score_slice(w, scored.slice_id, scored.score, scored.ms)
    for change in judgement.series:
        apply_series_change(w, change)
    reading_id = None if judgement.reading is None else record_reading(w, replace(judgement.reading, id=0))
    if judgement.outcome is not None:
        _say(w, judgement.outcome, judgement.at_ns)
    if judgement.alert is None:
        return Committed(reading_id=reading_id, alert=None, alert_event_id=None)
    row = _step(w, judgement.alert, reading_id, judgement)
    return Committed(reading_id=reading_id, alert=row, alert_event_id=row.last_event_id)


def _say(w: Connection, said: OutcomeSaid, at_ns: int) -> None:
    if said.close:
        close_study(w, said.study_id, said.outcome, said.reasons, at_ns)
    else:
        say_outcome(w, said.study_id, said.outcome, said.reasons)


def _step(w: Connection, change: AlertChange, reading_id: int | None, judgement: Judgement) -> AlertRow:
    step = change.step
    if step.happening is Happening.RAISED:
        return raise_alert(
            w,
            change.key,
            step.level,
            study_id=change.study_id,
            series_id=change.series_id,
            reading_id=reading_id,
            at_ns=judgement.at_ns,
            details=change.details,
            by=judgement.by,
            finality=step.finality,
            new_acquisition=step.new_acquisition,
        )
    standing = find_alert(w, change.key)
    if standing is None:
        raise LookupError(f"{step.happening} of an alert that was never raised")
    return append_event(
        w,
        standing.id,
        step.happening,
        at_ns=judgement.at_ns,
        by=judgement.by,
        details=change.details,
        reading_id=reading_id,
        level=step.level,
        finality=step.finality,
        series_id=change.series_id if step.happening is Happening.UPGRADED else None,
    )
