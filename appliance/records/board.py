"""What the board shows, asked of the ledger in one look.

Light on purpose: no embedding, no heat map, no header that is not shown, so that a look stays cheap ten times a second.
"""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.headers import SliceGeometry, StudyFacts
from appliance.core.ledger import AlertEventRow, AlertRow, EngineEventRow, Finding, ReadingRow, SeriesRow, StudyRow
from appliance.core.words import Level, Outcome, SeriesVerdict, StudyState
from appliance.records.alerts import (
    alerts_of_studies,
    alerts_on_board,
    events_of_alerts,
    last_event_id,
    last_events_of_alerts,
)
from appliance.records.board_slices import BoardSlice as BoardSlice
from appliance.records.board_slices import bars_of, geometries_of
from appliance.records.counts import BoardCounts, count_day, last_landing_ns
from appliance.records.day_list import Shown, count_shown
from appliance.records.engines import current_engine
from appliance.records.ledger import Connection
from appliance.records.readings import latest_readings, readings_by_id, readings_of
from appliance.records.series import series_of_studies
from appliance.records.studies import changed_studies, open_studies, studies_by_id, studies_since, unseen_studies
from appliance.records.test_alarms import last_test

MOST_ROWS: Final = 50
MOST_REMEMBERED: Final = 256
CHANGES: Final = frozenset({Happening.RAISED, Happening.UPGRADED, Happening.DOUBTED, Happening.WITHDRAWN})
_RANK: Final = {Outcome.CRITICAL: 3, Outcome.REVIEW: 2, Outcome.INDETERMINATE: 1}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardSeries:
    """The series that speaks for its study: its slices foot to head, and its latest reading.

    Two looks at a study that has closed give the same object, so what is drawn from it can be kept.

    `finding` is that of the reading or, where an alert stands on the series that the latest reading no longer sees, the
    last one that was seen; `key_geometry` is where its key slice lies.
    """

    series: SeriesRow
    slices: tuple[BoardSlice, ...]
    reading: ReadingRow | None
    finding: Finding | None = None
    key_geometry: SliceGeometry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStudy:
    """One study: its series, the one that speaks for it (None if none is read), its alert if it has one."""

    study: StudyRow
    series: tuple[SeriesRow, ...]
    shown: BoardSeries | None
    alert: AlertRow | None

    @property
    def facts(self) -> StudyFacts:
        """What the header says of the study."""
        return self.study.facts

    @property
    def may_be_head(self) -> bool:
        """Whether any of its series was read or is not known to be something else."""
        return any(series.may_be_head for series in self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardAlert:
    """One alert on the stage or in a band, with its life, oldest event first. `study` of a clinical one.

    Of an alert that was told for weeks the older rounds are left out (`records.alerts.last_events_of_alerts`).

    `made_it`: the finding of the reading that made it news; later readings may point elsewhere.
    """

    alert: AlertRow
    events: tuple[AlertEventRow, ...]
    study: BoardStudy | None = None
    made_it: Finding | None = None
    made_of: int = 0  # slices that had been read then

    @property
    def changed(self) -> AlertEventRow:
        """The last event that altered what is said of it. A press must have been meant for this one or a later one."""
        return [event for event in self.events if event.happening in CHANGES][-1]

    @property
    def news(self) -> AlertEventRow:
        """The event that it sounds for, or last did; of a REVIEW, which never sounds, what put it on the list."""
        for event in reversed(self.events):
            if event.id == self.alert.sounding_event_id:
                return event
        return [event for event in self.events if event.happening in (Happening.RAISED, Happening.UPGRADED)][-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything on the board. `alarms`: clinical alerts and tests; `unseen`: heads NOT ANALYSED that nobody has seen.

    `closed` are the first MOST_ROWS of the list of the day, `listed` how many studies it has of each kind. `last_test`: the
    last test alarm there was; `engine`: what became of the engine last.
    """

    alarms: tuple[BoardAlert, ...]
    technical: tuple[BoardAlert, ...]
    unseen: tuple[BoardStudy, ...]
    landing: tuple[BoardStudy, ...]
    closed: tuple[BoardStudy, ...]
    counts: BoardCounts
    last_landed_ns: int | None
    last_event_id: int
    listed: Mapping[Shown, int] = field(default_factory=dict)
    last_test: AlertRow | None = None
    engine: EngineEventRow | None = None


_Known = tuple[tuple[SeriesRow, ...], BoardSeries | None]


class BoardMemory:
    """What earlier looks have read, so that a look stays cheap after years.

    Nothing of a study that has closed changes before it opens again and closes anew.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Known] = OrderedDict()
        self._unseen: frozenset[int] | None = None
        self._study_event_id = 0

    def unseen(self, r: Connection) -> list[StudyRow]:
        """`unseen_studies`: all of them once, then those that were unseen or have changed."""
        changed, last = changed_studies(r, self._study_event_id)
        rows = unseen_studies(r, None if self._unseen is None else self._unseen | changed)
        self._unseen, self._study_event_id = frozenset(row.id for row in rows), last
        return rows

    def get(self, study: StudyRow, alert: AlertRow | None) -> _Known | None:
        """What is known of the study, if it has been closed since."""
        return self._kept.get(_key(study, alert))

    def keep(self, study: StudyRow, alert: AlertRow | None, known: _Known) -> None:
        """Remembers a study that is closed; the oldest are forgotten."""
        if study.state is StudyState.CLOSED:
            self._kept[_key(study, alert)] = known
            while len(self._kept) > MOST_REMEMBERED:
                self._kept.popitem(last=False)


def _key(study: StudyRow, alert: AlertRow | None) -> Hashable:
    return study.id, study.closed_ns, alert.series_id if alert else None


def read_board(
    r: Connection,
    *,
    now_ns: int,
    midnight_ns: int,
    linger_ns: int,
    memory: BoardMemory | None = None,
) -> Board:
    """One look. Lists go back to midnight or `linger_ns`, whichever is longer ago; sums are of today."""
    memory = memory or BoardMemory()
    since_ns = list_begins_ns(now_ns=now_ns, midnight_ns=midnight_ns, linger_ns=linger_ns)
    alerts = alerts_on_board(r, now_ns, linger_ns)
    open_ = open_studies(r)
    unseen = memory.unseen(r)
    since = studies_since(r, since_ns, MOST_ROWS + len(open_))
    closed = [one for one in since if one.state is StudyState.CLOSED][:MOST_ROWS]
    of_alerts = studies_by_id(r, {alert.study_id for alert in alerts if alert.study_id is not None})
    studies = _board_studies(r, (*open_, *unseen, *closed, *of_alerts), memory)
    board_alerts = _board_alerts(r, [(alert, studies.get(alert.study_id or 0)) for alert in alerts])
    return Board(
        alarms=tuple(one for one in board_alerts if one.alert.level is not Level.TECHNICAL),
        technical=tuple(one for one in board_alerts if one.alert.level is Level.TECHNICAL),
        unseen=tuple(studies[one.id] for one in unseen),
        landing=tuple(studies[one.id] for one in reversed(open_)),
        closed=tuple(studies[one.id] for one in closed),
        counts=count_day(r, midnight_ns),
        last_landed_ns=last_landing_ns(r),
        last_event_id=last_event_id(r),
        listed=count_shown(r, since_ns),
        last_test=last_test(r),
        engine=current_engine(r),
    )


def list_begins_ns(*, now_ns: int, midnight_ns: int, linger_ns: int) -> int:
    """How far the list of the day goes back: a night shift still sees its evening."""
    return min(midnight_ns, now_ns - linger_ns)


def read_board_studies(r: Connection, study_ids: Sequence[int], memory: BoardMemory) -> tuple[BoardStudy, ...]:
    """The studies with these ids, in this order; ids that are nobody's are left out."""
    studies = _board_studies(r, studies_by_id(r, study_ids), memory)
    return tuple(studies[one] for one in study_ids if one in studies)


def read_board_study(r: Connection, study_id: int) -> BoardStudy | None:
    """One study as the board shows it; None if there is none with this id."""
    return _board_studies(r, studies_by_id(r, (study_id,)), BoardMemory()).get(study_id)


def whole_alert(r: Connection, alert: AlertRow, study: BoardStudy | None) -> BoardAlert:
    """One alert with its whole life and what made it news."""
    return _with_news(r, [(alert, study)], events_of_alerts(r, [alert.id]))[0]


def _board_alerts(r: Connection, alerts: Sequence[tuple[AlertRow, BoardStudy | None]]) -> list[BoardAlert]:
    """Alerts with what a look must know of their lives, in two queries."""
    return _with_news(r, alerts, last_events_of_alerts(r, [alert.id for alert, _ in alerts]))


def _with_news(
    r: Connection, alerts: Sequence[tuple[AlertRow, BoardStudy | None]], events: Mapping[int, list[AlertEventRow]]
) -> list[BoardAlert]:
    lives = [BoardAlert(alert=alert, events=tuple(events[alert.id]), study=study) for alert, study in alerts]
    readings = readings_by_id(r, {one.news.reading_id for one in lives if one.news.reading_id is not None})
    made = [readings.get(one.news.reading_id or 0) for one in lives]
    return [
        replace(one, made_it=reading.finding, made_of=reading.slices) if reading else one
        for one, reading in zip(lives, made, strict=True)
    ]


def _board_studies(r: Connection, rows: Iterable[StudyRow], memory: BoardMemory) -> dict[int, BoardStudy]:
    """Studies by id with all that is shown of them, in few queries."""
    wanted = {row.id: row for row in rows}
    alerts = alerts_of_studies(r, wanted)
    known = {id_: found for id_, row in wanted.items() if (found := memory.get(row, alerts.get(id_))) is not None}
    fresh = _read(r, [id_ for id_ in wanted if id_ not in known], alerts)
    for study_id, read in fresh.items():
        memory.keep(wanted[study_id], alerts.get(study_id), read)
    return {
        study_id: BoardStudy(study=row, series=series, shown=shown, alert=alerts.get(study_id))
        for study_id, row in wanted.items()
        for series, shown in [known[study_id] if study_id in known else fresh[study_id]]
    }


def _read(r: Connection, study_ids: Collection[int], alerts: dict[int, AlertRow]) -> dict[int, _Known]:
    """Of each study its series, and the one that speaks for it."""
    all_series = series_of_studies(r, study_ids)
    read = [series.id for of in all_series.values() for series in of if series.verdict is SeriesVerdict.READ]
    readings = latest_readings(r, read)
    slices = bars_of(r, read)
    findings = _findings(r, readings, {alert.series_id for alert in alerts.values()})
    keys = geometries_of(r, [found.key_slice_id for found in findings.values()])
    known: dict[int, _Known] = {}
    for study_id in study_ids:
        of = tuple(all_series.get(study_id, ()))
        speaking = _speaking(of, readings, slices, alerts.get(study_id))
        known[study_id] = (of, _shown(speaking, readings, slices, findings, keys))
    return known


def _speaking(
    series: Sequence[SeriesRow],
    readings: dict[int, ReadingRow],
    slices: dict[int, tuple[BoardSlice, ...]],
    alert: AlertRow | None,
) -> SeriesRow | None:
    """Which series speaks: the alerted one, else the one whose reading weighs most, else the longest."""
    read = [one for one in series if one.verdict is SeriesVerdict.READ]
    if not read:
        return None

    def weight(one: SeriesRow) -> tuple[bool, int, int]:
        reading = readings.get(one.id)
        rank = _RANK.get(reading.outcome, 0) if reading else 0
        return (alert is not None and one.id == alert.series_id, rank, len(slices.get(one.id, ())))

    return max(read, key=weight)


def _shown(
    series: SeriesRow | None,
    readings: dict[int, ReadingRow],
    slices: dict[int, tuple[BoardSlice, ...]],
    findings: dict[int, Finding],
    keys: dict[int, SliceGeometry],
) -> BoardSeries | None:
    if series is None:
        return None
    found = findings.get(series.id)
    return BoardSeries(
        series=series,
        slices=slices.get(series.id, ()),
        reading=readings.get(series.id),
        finding=found,
        key_geometry=keys.get(found.key_slice_id) if found else None,
    )


def _findings(r: Connection, readings: dict[int, ReadingRow], alerted: Collection[int | None]) -> dict[int, Finding]:
    """What each series shows to people, by series id."""
    found = {series_id: reading.finding for series_id, reading in readings.items() if reading.finding is not None}
    gone = [series_id for series_id in readings if series_id in alerted and series_id not in found]
    for series_id in gone:
        seen = [reading.finding for reading in readings_of(r, series_id) if reading.finding is not None]
        if seen:
            found[series_id] = seen[-1]
    return found
