"""The appliance's own database: studies that people have judged, with their pixels in the store. Nothing is written.

A refuted alert, and "no bleed" of a study without one, say of every slice that had landed by then that it does not bleed.
A confirmed alert says of the slices it was raised for that they do, and nothing of the others. "Unclear" says nothing;
a bleed that was missed has no slice that anybody named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.alerts import Judged
from appliance.core.ledger import AlertEventRow, SeriesRow, SliceRow
from appliance.core.studies import StudyHappening, StudyJudged
from appliance.core.words import LABELS, SeriesVerdict
from appliance.evaluation.read_exams import UNKNOWN
from appliance.records.alert_history import alerts_after
from appliance.records.alert_stories import AlertStory, stories_of
from appliance.records.ledger import Ledger
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import judged_studies, studies_by_id, study_events_of
from appliance.settings import DATABASE, read_settings
from appliance.store.shelf import read_hounsfield
from appliance.training.sources.assemble import Losses, Piece, assembled
from appliance.training.sources.exam import SourceExam, Tell
from appliance.training.sources.marks import mark_of_words

_A_STEP: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """The last word of a person on one study. `shown`: the slices that a confirmed alert was raised for."""

    study_id: int
    at_ns: int
    bleeds: bool
    shown: frozenset[int] = frozenset()


class LedgerOfBox:
    """The judged studies of one box."""

    def __init__(self, name: str, place: Path) -> None:
        """`place`: the folder that holds the box's `state` and `store`, or its settings file. CannotStart in words."""
        self._name = name
        self._database, self._store = _places(place)
        with Ledger.open(self._database) as ledger:
            self._said = _judged(ledger)

    @property
    def size(self) -> int:
        """About how many exams there are."""
        return len(self._said)

    @property
    def mark(self) -> str:
        """Of all judgements."""
        return mark_of_words((one.study_id, one.at_ns, one.bleeds, sorted(one.shown)) for one in self._said)

    def exams(self, tell: Tell = lambda _: None) -> Iterator[SourceExam]:
        """The read series of judged studies, by number. CannotStart where nothing is left of them."""
        losses = Losses(self._name, len(self._said), tell)
        with Ledger.open(self._database) as ledger:
            for said in self._said:
                if said.bleeds and not said.shown:
                    losses.nowhere()
                else:
                    yield from losses.counted(self._exams_of(ledger, said, losses))
        losses.end()

    def _exams_of(self, ledger: Ledger, said: _Said, losses: Losses) -> list[SourceExam]:
        with ledger.reading() as r:
            (study,) = studies_by_id(r, [said.study_id])
            series = [(one, slices_of(r, one.id)) for one in series_of(r, said.study_id)]
        found: list[SourceExam] = []
        for one, rows in series:
            name = f"study {said.study_id}, series {one.id}"
            labels = [_labels(said, row) for row in rows] if _teaches(said, one, rows) else []
            pieces = [self._piece(row, known) for row, known in zip(rows, labels, strict=False)]
            kept = [piece for piece in pieces if piece is not None]
            if len(kept) < len(pieces):
                losses.told(f"{name}: the pixels of {len(pieces) - len(kept)} of {len(pieces)} slices are gone.")
            patient = study.facts.patient.identity or f"study {study.facts.study_uid}"
            found += assembled(self._name, patient, name, kept)
        return found

    def _piece(self, row: SliceRow, labels: NDArray[np.int8]) -> Piece | None:
        try:
            hu = read_hounsfield(self._store, row.stored)
        except (OSError, ValueError):
            return None
        return Piece(hu=hu, geometry=row.geometry, labels=labels)


def _places(place: Path) -> tuple[Path, Path]:
    if place.is_file():
        settings = read_settings(place)
        return settings.database, settings.store_folder
    return place / "state" / DATABASE, place / "store"


def _teaches(said: _Said, series: SeriesRow, rows: list[SliceRow]) -> bool:
    """Only what the box has read; of a bleed only the series in which it was shown."""
    shown = not said.bleeds or any(row.id in said.shown for row in rows)
    return series.verdict is SeriesVerdict.READ and shown


def _labels(said: _Said, row: SliceRow) -> NDArray[np.int8]:
    labels = np.full(len(LABELS), UNKNOWN, dtype=np.int8)
    if said.bleeds:
        labels[0] = 1 if row.id in said.shown else UNKNOWN
    elif row.landed_ns <= said.at_ns:
        labels[:] = 0
    return labels


def _judged(ledger: Ledger) -> list[_Said]:
    """By study. An alert's word counts more than one on its study, which was given before there was an alert."""
    found: dict[int, _Said] = {}
    for said in _words_on_studies(ledger):
        found[said.study_id] = said
    for study_id, word in _words_on_alerts(ledger):
        found.pop(study_id, None)
        if word is not None:
            found[study_id] = word
    return [found[study_id] for study_id in sorted(found)]


def _words_on_studies(ledger: Ledger) -> Iterator[_Said]:
    last = 0
    while True:
        with ledger.reading() as r:
            rows = judged_studies(r, last, _A_STEP)
            events = [(row, study_events_of(r, row.id)) for row in rows if row.judged is not StudyJudged.UNCLEAR]
        for row, of in events:
            at_ns = [one.at_ns for one in of if one.happening is StudyHappening.JUDGED][-1]
            yield _Said(study_id=row.id, at_ns=at_ns, bleeds=row.judged is StudyJudged.BLEED)
        if not rows:
            return
        last = rows[-1].id


def _words_on_alerts(ledger: Ledger) -> Iterator[tuple[int, _Said | None]]:
    """By study; None where nobody has judged, or not since there was news: the answer was to what was known then."""
    last = 0
    while True:
        with ledger.reading() as r:
            alerts = alerts_after(r, last, since_ns=0, open_only=False, limit=_A_STEP)
            stories = stories_of(r, [one for one in alerts if one.study_id is not None])
        for story in stories:
            if story.study is not None:
                yield story.study.id, _said_of(story, story.study.id)
        if not alerts:
            return
        last = alerts[-1].id


def _said_of(story: AlertStory, study_id: int) -> _Said | None:
    judged = story.alert.judged
    if judged is None or judged is Judged.UNCLEAR:
        return None
    said = story.judgements[-1]
    bleeds = judged is Judged.CONFIRMED
    return _Said(
        study_id=study_id, at_ns=said.at_ns, bleeds=bleeds, shown=_shown(story, said) if bleeds else frozenset()
    )


def _shown(story: AlertStory, said: AlertEventRow) -> frozenset[int]:
    """The slices that the alert stood on when a person confirmed it: of a later reading nobody has said anything."""
    readings = [story.readings.get(one.reading_id or 0) for one in story.events if one.id < said.id]
    findings = [one.finding for one in readings if one is not None and one.finding is not None]
    return frozenset((findings[-1].key_slice_id, *findings[-1].evidence)) if findings else frozenset()
