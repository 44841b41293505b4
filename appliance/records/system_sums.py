"""What the box can account for: files of a day by verdict and reason, technical alerts, studies that nobody has read."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from appliance.core.alerts import AlertState, Happening
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.core.words import FileVerdict, Level, Outcome, StudyState
from appliance.records.alerts import alerts_where, events_where
from appliance.records.ledger import Connection
from appliance.records.models import alert, alert_event, file, study

MOST_MENDED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesLanded:
    """Files by verdict and reason. `landed` is counted on its own, so that the sum can be held against it."""

    landed: int
    by_reason: tuple[tuple[FileVerdict, str, int], ...]  # the largest first

    def of(self, verdict: FileVerdict) -> int:
        """How many have this verdict."""
        return sum(count for one, _, count in self.by_reason if one is verdict)

    @property
    def answered(self) -> int:
        """How many have any of the six."""
        return sum(count for _, _, count in self.by_reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A technical alert that is over, and how it ended."""

    alert: AlertRow
    end: AlertEventRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A first reason for NOT ANALYSED: how many studies, and the last of them."""

    code: str
    details: dict[str, str]
    studies: int
    last_study_id: int
    last_landed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """Studies closed since then: all, and why those were not read that were not."""

    studies: int
    reasons: tuple[Unread, ...]  # the most frequent first

    @property
    def unread(self) -> int:
        """How many were not read."""
        return sum(one.studies for one in self.reasons)


def files_landed(r: Connection, since_ns: int) -> FilesLanded:
    """The files that landed since then."""
    since = file.c.landed_ns >= since_ns
    sums = sa.select(file.c.verdict, file.c.reason, sa.func.count().label("n")).where(since)
    rows = r.execute(sums.group_by(file.c.verdict, file.c.reason).order_by(sa.desc("n"), file.c.reason))
    return FilesLanded(
        landed=int(r.execute(sa.select(sa.func.count()).select_from(file).where(since)).scalar_one()),
        by_reason=tuple((FileVerdict(row.verdict), row.reason, int(row.n)) for row in rows),
    )


def recorded_paths(r: Connection) -> set[str]:
    """The paths below the inbox of the files that have a verdict and, by the ledger, still lie there."""
    # In the words of the index of such files: SQLite does not see that `removed = 0` is the same, and reads all there are.
    return set(r.execute(sa.select(file.c.path).where(sa.text("NOT file.removed"))).scalars())


def last_landed_ns(r: Connection) -> int | None:
    """When the last file landed; None before the first."""
    newest: int | None = r.execute(sa.select(sa.func.max(file.c.landed_ns))).scalar()
    return newest


def open_technical(r: Connection) -> list[AlertRow]:
    """The technical alerts that are not mended, the newest first."""
    standing = alert.c.open & (alert.c.level == Level.TECHNICAL)
    return alerts_where(r, sa.select(alert).where(standing).order_by(alert.c.id.desc()))


def mended_since(r: Connection, since_ns: int) -> list[Mended]:
    """The technical alerts that ended since then, the last ended first, MOST_MENDED at most."""
    over = (alert.c.state == AlertState.MENDED) & (alert.c.level == Level.TECHNICAL) & (alert.c.changed_ns >= since_ns)
    rows = alerts_where(r, sa.select(alert).where(over).order_by(alert.c.changed_ns.desc()).limit(MOST_MENDED))
    ended = (alert_event.c.kind == Happening.MENDED) & alert_event.c.alert_id.in_([row.id for row in rows])
    ends = {event.alert_id: event for event in events_where(r, sa.select(alert_event).where(ended))}
    return [Mended(alert=row, end=ends[row.id]) for row in rows if row.id in ends]


def not_analysed(r: Connection, since_ns: int) -> NotAnalysed:
    """The studies of which something landed since then and that are closed."""
    since = (study.c.last_landed_ns >= since_ns) & (study.c.state == StudyState.CLOSED)
    unread = sa.select(
        study.c.reasons,
        sa.func.count().label("n"),
        sa.func.max(study.c.id).label("last_id"),
        sa.func.max(study.c.last_landed_ns).label("landed_ns"),
    ).where(since & (study.c.outcome == Outcome.NOT_ANALYSED))
    found: dict[str, Unread] = {}
    for row in r.execute(unread.group_by(study.c.reasons)):
        code, details = row.reasons[0] if row.reasons else ("no-eligible-series", {})
        of_series = str(details.get("reason") or code)  # the code of the series' own reason, where it has one
        before = found.get(of_series)
        found[of_series] = Unread(
            code=code,
            details=dict(details),
            studies=int(row.n) + (before.studies if before else 0),
            last_study_id=max(row.last_id, before.last_study_id if before else 0),
            last_landed_ns=max(row.landed_ns, before.last_landed_ns if before else 0),
        )
    return NotAnalysed(
        studies=int(r.execute(sa.select(sa.func.count()).select_from(study).where(since)).scalar_one()),
        reasons=tuple(sorted(found.values(), key=lambda one: (-one.studies, one.code))),
    )
