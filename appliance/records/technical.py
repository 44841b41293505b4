"""Technical alerts as a whole: whoever sees causes says which stand, and the rows follow."""

from collections.abc import Collection, Mapping

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertKey
from appliance.core.words import Level
from appliance.records.alerts import append_event, find_alert, open_alerts, raise_alert
from appliance.records.ledger import Ledger

Cause = tuple[str, str]
"""A code of `core.reasons` and its subject."""


def technical_key(cause: Cause) -> AlertKey:
    """The key of the one open row of a cause."""
    return AlertKey(kind="technical", first=cause[0], second=cause[1])


def keep_technical(
    ledger: Ledger,
    standing: Mapping[Cause, Mapping[str, str]],
    *,
    owned: Collection[Cause],
    at_ns: int,
    by: str,
    owned_codes: Collection[str] = (),
) -> bool:
    """Raises what stands (with the details of its sentence) and has no open row; mends the rows of `owned` that do not.

    `owned_codes`: codes of which every row is owned, whatever its subject.

    Writes only where something has to change, so it may be called at every look. Returns whether it wrote.
    """
    with ledger.reading() as r:
        rows = {(row.key.first, row.key.second) for row in open_alerts(r) if row.level is Level.TECHNICAL}
    fresh = [cause for cause in standing if cause not in rows]
    mine = rows & set(owned) | {cause for cause in rows if cause[0] in owned_codes}
    mended = [cause for cause in mine if cause not in standing]
    if not fresh and not mended:
        return False
    with ledger.writing() as w:
        for cause in fresh:
            raise_alert(
                w,
                technical_key(cause),
                Level.TECHNICAL,
                study_id=None,
                series_id=None,
                reading_id=None,
                at_ns=at_ns,
                details=dict(standing[cause]),
                by=by,
            )
        for cause in mended:
            row = find_alert(w, technical_key(cause))
            if row is not None:
                append_event(w, row.id, Happening.MENDED, at_ns=at_ns, by=by, details={})
    return True
