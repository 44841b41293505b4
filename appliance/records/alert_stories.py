"""Alerts with all that belongs to them: events, messages, study, series and readings. Each asked for once for many."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow, AlertRow, DeliveryRow, Finding, ReadingRow, SeriesRow, StudyRow
from appliance.records.alerts import events_of_alerts
from appliance.records.deliveries import deliveries_of_events
from appliance.records.ledger import Connection
from appliance.records.models import slice_
from appliance.records.readings import readings_by_id
from appliance.records.series import series_by_id
from appliance.records.studies import studies_by_id

MOST_AT_ONCE: Final = 500
"""Alerts of one call: what one statement may name, and what a page or a chunk of an export needs."""

_TOLD: Final = frozenset({Happening.ESCALATED})
"""Beside what sounds, the events that messages are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStory:
    """One alert. `study` of a clinical one. By their ids: all `readings` that its events name, the `series` that these
    and the alert itself stand on, and the `sop_uids` of key slices; maybe others too."""

    alert: AlertRow
    events: tuple[AlertEventRow, ...]  # the oldest first
    deliveries: tuple[DeliveryRow, ...]
    study: StudyRow | None
    series: Mapping[int, SeriesRow]
    readings: Mapping[int, ReadingRow]
    sop_uids: Mapping[int, str]

    @property
    def found(self) -> Finding | None:
        """What it was raised for: the last finding of its readings. A withdrawn one keeps what had been seen."""
        named = [self.readings.get(event.reading_id or 0) for event in self.events]
        seen = [reading.finding for reading in named if reading is not None and reading.finding is not None]
        return seen[-1] if seen else None

    @property
    def judgements(self) -> tuple[AlertEventRow, ...]:
        """All of them, the oldest first. The last counts."""
        return tuple(event for event in self.events if event.happening is Happening.JUDGED)


def stories_of(r: Connection, alerts: Sequence[AlertRow]) -> tuple[AlertStory, ...]:
    """The same alerts in the same order, at most MOST_AT_ONCE."""
    ids = [one.id for one in alerts]
    events = events_of_alerts(r, ids)
    told = [event.id for of in events.values() for event in of if event.sounds or event.happening in _TOLD]
    deliveries = deliveries_of_events(r, told)
    studies = {one.id: one for one in studies_by_id(r, _known(one.study_id for one in alerts))}
    readings = readings_by_id(r, _known(event.reading_id for of in events.values() for event in of))
    stand_on = [*(one.series_id for one in alerts), *(reading.series_id for reading in readings.values())]
    series = series_by_id(r, _known(stand_on))
    keys = [reading.finding.key_slice_id for reading in readings.values() if reading.finding is not None]
    sop_uids = _sop_uids(r, keys)
    return tuple(
        AlertStory(
            alert=one,
            events=tuple(events.get(one.id, ())),
            deliveries=tuple(deliveries.get(one.id, ())),
            study=studies.get(one.study_id) if one.study_id is not None else None,
            series=series,
            readings=readings,
            sop_uids=sop_uids,
        )
        for one in alerts
    )


def _known(ids: Iterable[int | None]) -> list[int]:
    return sorted({one for one in ids if one is not None})


def _sop_uids(r: Connection, slice_ids: Collection[int]) -> dict[int, str]:
    chosen = sa.select(slice_.c.id, slice_.c.sop_uid).where(slice_.c.id.in_(list(slice_ids)))
    return {row.id: row.sop_uid for row in r.execute(chosen)}
