"""Everything about one study: what its page shows, asked in one look."""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from appliance.core.alerts import Judged
from appliance.core.ledger import Finding, ReadingRow, SeriesRow, SliceRow, StudyEventRow, StudyRow
from appliance.core.words import FileVerdict, Level, SeriesVerdict
from appliance.records.board import BoardAlert, BoardSeries, BoardSlice, read_board_study, whole_alert
from appliance.records.ledger import Connection
from appliance.records.models import alert, file, slice_, study
from appliance.records.readings import latest_readings, readings_of
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import study_events_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSum:
    """One series, how many slices of it lie in the store, and its latest reading."""

    series: SeriesRow
    slices: int
    reading: ReadingRow | None

    @property
    def can_be_shown(self) -> bool:
        """Whether the engine reads it or has read it: the pictures of other series are nobody's business here."""
        return self.slices > 0 and (self.reading is not None or self.series.verdict is SeriesVerdict.READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """How many files came to one verdict for one reason. A TAKEN file has none."""

    verdict: FileVerdict
    reason: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSums:
    """What people said of the CRITICAL alerts of this box; of each alert the last word."""

    confirmed: int
    refuted: int
    unclear: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSeries:
    """One series whole: its slices foot to head with scores, and what is said of them.

    `readings`: all of them, in order; `reading`: the latest. `finding`: that of the latest; where an alert stands on the
    series that the latest reading no longer sees, the last one that was seen, and of a withdrawn alert what it was for.
    """

    series: SeriesRow
    rows: tuple[SliceRow, ...]
    readings: tuple[ReadingRow, ...]
    reading: ReadingRow | None
    finding: Finding | None
    board: BoardSeries  # the same as the board draws it


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeStudy:
    """One study whole. `others_with_uid`: other patients' studies that came under the same study UID.

    `speaking` is the series that speaks for the study on the board; `shown` the one whose pictures are asked for.
    """

    study: StudyRow
    events: tuple[StudyEventRow, ...]
    series: tuple[SeriesSum, ...]
    speaking: ShownSeries | None
    shown: ShownSeries | None
    alert: BoardAlert | None
    files: tuple[FileSum, ...]
    others_with_uid: int
    judged: JudgedSums

    @property
    def may_be_head(self) -> bool:
        """Whether any of its series was read or is not known to be something else."""
        return any(one.series.may_be_head for one in self.series)


def read_whole_study(r: Connection, study_id: int, *, series_id: int | None = None) -> WholeStudy | None:
    """The study with this id, None if there is none.

    `series_id` chooses whose pictures are shown; without it, or where it is none of this study's that was read, it is
    the one that speaks.
    """
    on_board = read_board_study(r, study_id)
    if on_board is None:
        return None
    its_alert = None if on_board.alert is None else whole_alert(r, on_board.alert, on_board)
    sums = _series_sums(r, study_id)
    speaks = None if on_board.shown is None else on_board.shown.series
    speaking = _whole_series(r, speaks, its_alert)
    chosen = _chosen(sums, series_id) or speaks
    uid = on_board.study.facts.study_uid
    others = sa.select(sa.func.count()).where((study.c.study_uid == uid) & (study.c.id != study_id))
    return WholeStudy(
        study=on_board.study,
        events=tuple(study_events_of(r, study_id)),
        series=sums,
        speaking=speaking,
        shown=speaking if chosen == speaks else _whole_series(r, chosen, its_alert),
        alert=its_alert,
        files=_file_sums(r, uid),
        others_with_uid=int(r.execute(others).scalar_one()),
        judged=judged_critical(r),
    )


def judged_critical(r: Connection) -> JudgedSums:
    """What people said of all CRITICAL alerts so far, the withdrawn ones among them."""
    of_patients = (alert.c.kind == "clinical") & (alert.c.level == Level.CRITICAL) & alert.c.judged.is_not(None)
    counted = sa.select(alert.c.judged, sa.func.count()).where(of_patients).group_by(alert.c.judged)
    said = {Judged(word): int(count) for word, count in r.execute(counted)}
    return JudgedSums(
        confirmed=said.get(Judged.CONFIRMED, 0),
        refuted=said.get(Judged.REFUTED, 0),
        unclear=said.get(Judged.UNCLEAR, 0),
    )


def _series_sums(r: Connection, study_id: int) -> tuple[SeriesSum, ...]:
    rows = series_of(r, study_id)
    ids = [row.id for row in rows]
    counted = sa.select(slice_.c.series_id, sa.func.count()).where(slice_.c.series_id.in_(ids))
    slices = Counter({row[0]: int(row[1]) for row in r.execute(counted.group_by(slice_.c.series_id))})
    readings = latest_readings(r, ids)
    return tuple(SeriesSum(series=row, slices=slices[row.id], reading=readings.get(row.id)) for row in rows)


def _chosen(sums: tuple[SeriesSum, ...], series_id: int | None) -> SeriesRow | None:
    asked = [one.series for one in sums if one.series.id == series_id and one.can_be_shown]
    return asked[0] if asked else None


def _whole_series(r: Connection, series: SeriesRow | None, its_alert: BoardAlert | None) -> ShownSeries | None:
    if series is None:
        return None
    rows = tuple(slices_of(r, series.id))
    readings = tuple(readings_of(r, series.id))
    reading = readings[-1] if readings else None
    finding = reading.finding if reading else None
    if its_alert is not None and its_alert.alert.series_id == series.id:
        seen = [one.finding for one in readings if one.finding is not None]
        if its_alert.alert.withdrawn and its_alert.made_it is not None:
            seen.append(its_alert.made_it)
        if finding is None or its_alert.alert.withdrawn:
            finding = seen[-1] if seen else None
    key = next((row.geometry for row in rows if finding is not None and row.id == finding.key_slice_id), None)
    board = BoardSeries(
        series=series, slices=tuple(_bar(row) for row in rows), reading=reading, finding=finding, key_geometry=key
    )
    return ShownSeries(series=series, rows=rows, readings=readings, reading=reading, finding=finding, board=board)


def _bar(row: SliceRow) -> BoardSlice:
    probability = None if row.score is None else row.score.probabilities[0]
    return BoardSlice(id=row.id, position_mm=row.geometry.position_mm, landed_ns=row.landed_ns, probability=probability)


def _file_sums(r: Connection, study_uid: str) -> tuple[FileSum, ...]:
    counted = sa.select(file.c.verdict, file.c.reason, sa.func.count()).where(file.c.study_uid == study_uid)
    grouped = counted.group_by(file.c.verdict, file.c.reason).order_by(file.c.verdict, file.c.reason)
    return tuple(
        FileSum(verdict=FileVerdict(verdict), reason=reason, files=int(files))
        for verdict, reason, files in r.execute(grouped)
    )
