"""What happened to the engine."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from appliance.core.ledger import EngineEventRow
from appliance.records.ledger import Connection
from appliance.records.models import engine_event

SERVING = ("LOADED", "CHANGED", "BACKEND")
"""The kinds that say which engine serves from then on."""


def record_engine_event(
    w: Connection,
    kind: str,
    engine_sha256: str,
    backend: str,
    at_ns: int,
    details: dict[str, str],
    *,
    engine_name: str = "",
) -> int:
    """Records an event: LOADED, CHANGED and BACKEND say what serves from now on, GOLDEN how its test went."""
    values: dict[str, Any] = {
        "kind": kind,
        "at_ns": at_ns,
        "engine_sha256": engine_sha256,
        "engine_name": engine_name,
        "backend": backend,
        "details": dict(details),
    }
    return int(w.execute(sa.insert(engine_event).values(**values).returning(engine_event.c.id)).scalar_one())


def current_engine(r: Connection) -> EngineEventRow | None:
    """The last event that says which engine serves."""
    return _last(r, SERVING)


def last_golden(r: Connection) -> EngineEventRow | None:
    """The last self-test of an engine that was recorded; its details say how it went."""
    return _last(r, ("GOLDEN",))


def _last(r: Connection, kinds: Sequence[str]) -> EngineEventRow | None:
    chosen = sa.select(engine_event).where(engine_event.c.kind.in_(kinds)).order_by(engine_event.c.id.desc())
    row = r.execute(chosen.limit(1)).one_or_none()
    if row is None:
        return None
    return EngineEventRow(
        id=row.id,
        kind=row.kind,
        at_ns=row.at_ns,
        engine_sha256=row.engine_sha256,
        engine_name=row.engine_name,
        backend=row.backend,
        details=row.details,
    )
