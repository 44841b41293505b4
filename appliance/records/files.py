"""Every file that ever landed, and its one verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.ledger import FileRow, Identity
from appliance.core.words import FileVerdict
from appliance.records.ledger import Connection
from appliance.records.models import file
from appliance.records.shapes import signed, unsigned

SAFE: Final = frozenset({FileVerdict.TAKEN, FileVerdict.DUPLICATE})
"""The picture of such a file stands in the store."""
IDS_A_STATEMENT: Final = 10_000
"""SQLite takes 250,000 at most; a folder that somebody else has emptied may have held more."""


def record_file(w: Connection, row: FileRow) -> int:
    """Records the verdict on a file and returns its id.

    The same file (path, device and inode, not removed) keeps its row and gets the new verdict: a file that was still
    being written has one verdict, the last. But what is safe in the store stays accounted for: the same bytes again
    (its times or rights have changed) keep their verdict, and other bytes written over them are another file. So is
    another file under the same path. Each of these is a new row, and the earlier file has gone.
    """
    here = (file.c.path == row.path) & ~file.c.removed
    same, gone = None, []
    for one in w.execute(sa.select(file).where(here)):
        is_safe = FileVerdict(one.verdict) in SAFE
        is_other = (one.device, one.inode) != (signed(row.identity.device), signed(row.identity.inode))
        if is_other or (is_safe and one.sha256 != row.sha256):
            gone.append(one.id)
        else:
            same = _file(one) if is_safe else row
            same_id = int(one.id)
    if gone:
        mark_removed(w, gone)
    if same is None:
        return int(w.execute(sa.insert(file).values(**_values(row)).returning(file.c.id)).scalar_one())
    values = _values(replace(same, identity=row.identity))
    w.execute(sa.update(file).where(file.c.id == same_id).values(**values))
    return same_id


def mark_removed(w: Connection, ids: Iterable[int]) -> None:
    """These files no longer lie in the inbox. Any number of them."""
    gone = list(ids)
    for first in range(0, len(gone), IDS_A_STATEMENT):
        some = gone[first : first + IDS_A_STATEMENT]
        w.execute(sa.update(file).where(file.c.id.in_(some)).values(removed=True))


def files_still_landed(r: Connection) -> list[tuple[int, FileRow]]:
    """The files that still lie in the inbox, with their ids: what a start must know again."""
    # In the words of the partial index, or it is not used.
    rows = r.execute(sa.select(file).where(sa.text("NOT file.removed")).order_by(file.c.id))
    return [(row.id, _file(row)) for row in rows]


def verdict_sums(r: Connection) -> dict[FileVerdict, int]:
    """How many files have each verdict. Together they are all that ever landed."""
    sums = r.execute(sa.select(file.c.verdict, sa.func.count()).group_by(file.c.verdict))
    counted = {FileVerdict(verdict): int(count) for verdict, count in sums}
    return {verdict: counted.get(verdict, 0) for verdict in FileVerdict}


def recent_files(r: Connection, verdicts: Sequence[FileVerdict], limit: int) -> list[FileRow]:
    """The files that landed last with one of these verdicts, newest first."""
    chosen = sa.select(file).where(file.c.verdict.in_(list(verdicts)))
    return [_file(row) for row in r.execute(chosen.order_by(file.c.landed_ns.desc(), file.c.id.desc()).limit(limit))]


def _values(row: FileRow) -> dict[str, Any]:
    return {
        "path": row.path,
        "device": signed(row.identity.device),
        "inode": signed(row.identity.inode),
        "size": row.identity.size,
        "mtime_ns": row.identity.mtime_ns,
        "ctime_ns": row.identity.ctime_ns,
        "sha256": row.sha256,
        "verdict": row.verdict,
        "reason": row.reason,
        "details": dict(row.details),
        "attempts": row.attempts,
        "landed_ns": row.landed_ns,
        "study_uid": row.study_uid,
        "removed": row.removed,
    }


def _file(row: Any) -> FileRow:
    return FileRow(
        path=row.path,
        identity=Identity(
            device=unsigned(row.device),
            inode=unsigned(row.inode),
            size=row.size,
            mtime_ns=row.mtime_ns,
            ctime_ns=row.ctime_ns,
        ),
        sha256=row.sha256,
        verdict=FileVerdict(row.verdict),
        reason=row.reason,
        details=row.details,
        attempts=row.attempts,
        landed_ns=row.landed_ns,
        study_uid=row.study_uid,
        removed=row.removed,
    )
