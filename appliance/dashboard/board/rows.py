"""The two lists: what is landing, and the studies of the day."""

from typing import Final

from appliance.core.alerts import Judged
from appliance.core.ledger import AlertRow
from appliance.core.plain_text import plain, shortened
from appliance.core.reasons import Of
from appliance.core.words import Finality, Level, Outcome, SeriesVerdict
from appliance.dashboard.board.cards import series_strip, study_address
from appliance.dashboard.board.views import AGO, CONSOLE_FACE, Face, Moment, Row
from appliance.dashboard.words import wording
from appliance.records.board import BoardStudy
from appliance.records.counts import BoardCounts

NOBODY: Final = "Nobody has answered"
LONGEST_IN_LIST: Final = 120
_JUDGED: Final = {
    Judged.CONFIRMED: "judged: there is a bleed",
    Judged.REFUTED: "judged: no bleed",
    Judged.UNCLEAR: "judged: unclear",
}


def landing_row(study: BoardStudy, moment: Moment, *, face: Face = CONSOLE_FACE) -> Row:
    """A study whose slices are landing."""
    alert = study.alert
    told = "Not finished"
    if alert is not None:
        told = f"{alert.level} raised {moment.calendar.clock(alert.raised_ns)}"
    return Row(
        key=f"landing-{study.study.id}",
        look="scanning",
        word="SCANNING",
        name=_name(study, face),
        patient_id=_patient_id(study, face),
        study=study_address(study.study.id) if face.buttons else "",
        strip=series_strip(study.shown, still_open=True),
        what=_landing_words(study),
        told=told,
        told_quiet=alert is None,
        last=moment.calendar.clock(study.study.last_landed_ns),
        last_age=moment.age(f"landing-{study.study.id}", study.study.last_landed_ns, AGO),
    )


def day_row(study: BoardStudy, moment: Moment) -> Row:
    """A study that has closed."""
    word, look = _word(study)
    told, quiet = _told(study, moment)
    return Row(
        key=f"day-{study.study.id}",
        look=look,
        word=word,
        name=_name(study, CONSOLE_FACE),
        patient_id=_patient_id(study, CONSOLE_FACE),
        study=study_address(study.study.id),
        strip=series_strip(study.shown, still_open=False),
        what=_day_words(study),
        told=told,
        told_quiet=quiet,
        told_small=_judged_words(study.alert),
        last=moment.calendar.short(study.study.last_landed_ns),
        last_age=moment.age(f"day-{study.study.id}", study.study.last_landed_ns, AGO),
    )


def any_row(study: BoardStudy, moment: Moment) -> Row:
    """A study that a search has found, wherever it stands."""
    return day_row(study, moment) if study.study.closed_ns is not None else landing_row(study, moment)


def day_sums(counts: BoardCounts) -> str:
    """14 head CT today: 11 read, 1 landing, 1 incomplete, 1 not analysed"""
    if counts.heads == 0:
        return "no head CT today" if counts.studies == 0 else f"no head CT among {counts.studies} studies today"
    parts = [f"{counts.read} read"]
    parts += [f"{counts.landing} landing"] if counts.landing else []
    parts += [f"{counts.incomplete} incomplete"] if counts.incomplete else []
    parts += [f"{counts.not_analysed} not analysed"] if counts.not_analysed else []
    return f"{counts.heads} head CT today: {', '.join(parts)}"


def _name(study: BoardStudy, face: Face) -> str:
    patient = study.facts.patient
    return shortened(wording.name(patient), LONGEST_IN_LIST) if face.names else wording.initials(patient)


def _patient_id(study: BoardStudy, face: Face) -> str:
    patient = study.facts.patient
    return shortened(plain(patient.patient_id), LONGEST_IN_LIST) if face.names else wording.id_end(patient)


def _landing_words(study: BoardStudy) -> str:
    shown = study.shown
    if shown is None:
        declined = [series for series in study.series if series.verdict is SeriesVerdict.DECLINED and series.reasons]
        if not declined:
            return "Nothing that can be read has landed so far."
        return "Not read so far: " + wording.why(declined[-1].reasons[:1], of=Of.SERIES)
    quiet = " Nothing flagged so far." if study.alert is None and not _flagged(study) else ""
    read = sum(one.probability is not None for one in shown.slices)
    if shown.series.closed_ns is not None:
        return f"All {read} slices read, waiting for more of this study.{quiet}"
    waiting = len(shown.slices) - read
    expected = shown.series.facts.images_in_acquisition
    words = [f"{read} {'slice' if read == 1 else 'slices'} read"]
    words += [f"{waiting} landed and unread"] if waiting else []
    words += [f"{expected} expected"] if expected and expected > len(shown.slices) else []
    return ", ".join(words) + "." + (quiet if read else "")


def _flagged(study: BoardStudy) -> bool:
    reading = study.shown.reading if study.shown else None
    return reading is not None and reading.outcome in (Outcome.CRITICAL, Outcome.REVIEW)


def _word(study: BoardStudy) -> tuple[str, str]:
    """The word of the row, and its class. A withdrawn alert is never just gone."""
    if study.alert is not None and study.alert.withdrawn:
        return "WITHDRAWN", "withdrawn"
    outcome = study.study.outcome
    if outcome is None:
        return "NOT FINISHED", "scanning"
    return outcome.value, wording.LOOK[outcome]


def _day_words(study: BoardStudy) -> str:
    alert = study.alert
    reading = study.shown.reading if study.shown else None
    reasons = study.study.reasons
    if alert is not None and alert.withdrawn:
        slices = f"all {reading.slices} slices" if reading and reading.finality is Finality.FINAL else "later slices"
        beside = tuple(one for one in reasons if one[0] != "none-flagged")
        return f"{alert.level}, taken back after {slices}. {wording.why(beside)}".strip()
    if study.study.outcome in (Outcome.CRITICAL, Outcome.REVIEW) and study.shown:
        level = Level.CRITICAL if study.study.outcome is Outcome.CRITICAL else Level.REVIEW
        return f"{wording.finding(level, study.shown.finding)}. {wording.why(reasons[1:])}".strip()
    if study.study.outcome is Outcome.NOT_ANALYSED and study.may_be_head:
        return wording.why_unread(reasons)
    return wording.why(reasons)


def _told(study: BoardStudy, moment: Moment) -> tuple[str, bool]:
    """Who was told and has seen it; and whether that is worth no more than grey."""
    if study.alert is not None:
        return _alert_told(study.alert, moment), False
    if study.study.seen_by:
        return f"Seen by {study.study.seen_by}", False
    if study.study.outcome is Outcome.NOT_ANALYSED and study.may_be_head:
        return "Waits to be seen", False
    return "No alert", True


def _alert_told(alert: AlertRow, moment: Moment) -> str:
    if alert.withdrawn:
        return _withdrawn_told(alert, moment)
    if alert.acknowledged_ns is None:
        return NOBODY
    return f"Seen {moment.calendar.spoken(alert.acknowledged_ns, moment.now_ns)}, {alert.acknowledged_by}"


def _withdrawn_told(alert: AlertRow, moment: Moment) -> str:
    """Withdrawn 12:50:04, seen 12:51:10 by whom: in the order in which it happened."""
    withdrawn = f"withdrawn {moment.calendar.clock(alert.changed_ns)}"
    if alert.acknowledged_ns is None:
        return f"{withdrawn.capitalize()}, nobody has seen it"
    seen = f"seen {moment.calendar.clock(alert.acknowledged_ns)} by {alert.acknowledged_by}"
    first, second = (seen, withdrawn) if alert.acknowledged_ns < alert.changed_ns else (withdrawn, seen)
    return f"{first[0].upper()}{first[1:]}, {second}"


def _judged_words(alert: AlertRow | None) -> str:
    if alert is None or alert.acknowledged_ns is None:
        return ""
    return _JUDGED[alert.judged] if alert.judged else "waits for a judgement"
