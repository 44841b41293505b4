"""Which slice the engine reads next, and what happens when it does not answer."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final

from appliance.core.errors import Fault
from appliance.core.ledger import ScoredSlice, SliceRow
from appliance.core.reads import Hounsfield
from appliance.core.times import Now
from appliance.inference.loading import LoadedEngine
from appliance.reading.slice_reader import read_slice
from appliance.store.shelf import Shelf
from appliance.triage.cases import OpenCases, SeriesCase, StudyCase
from appliance.triage.landing import Landing
from appliance.triage.placing import Placing
from appliance.triage.technical import TechnicalAlerts

log = logging.getLogger(__name__)

ENGINE_TRIES: Final = 3
ENGINE_RETRY_S: Final = 1.0
ENGINE_AGAIN_S: Final = 30.0  # after so many tries the series is judged without the slice, and asked for so often
HOUNSFIELD_IN_MEMORY: Final = 64  # slices; half a megabyte each


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A slice that the engine has just answered for. Nothing of it stands in the ledger yet."""

    study: StudyCase
    series: SeriesCase
    slice: ScoredSlice


@dataclass(slots=True)
class _Pace:
    """When the engine is asked."""

    now_s: float = float("-inf")  # of the last turn
    engine_again_s: float = float("-inf")
    engine_rests: bool = False


class Scoring:
    """Asks the engine for one slice a turn."""

    def __init__(
        self,
        *,
        engine: LoadedEngine,
        shelf: Shelf,
        cases: OpenCases,
        landing: Landing,
        placing: Placing,
        technical: TechnicalAlerts,
    ) -> None:
        self._engine = engine
        self._shelf = shelf
        self._cases = cases
        self._landing = landing
        self._placing = placing
        self._technical = technical
        self._hounsfield: OrderedDict[int, Hounsfield] = OrderedDict()
        self._pace = _Pace()
        self._failures_in_row = 0
        self.scored = 0

    def has_work(self) -> bool:
        """A slice waits for its score, and the engine is not left in peace after a fault."""
        return not self._pace.engine_rests and any(
            self._at_hand(series) for study in self._cases for series in study.series.values()
        )

    def keep(self, row: SliceRow, hu: Hounsfield) -> None:
        """The values of a slice that has just been taken, so that they need not be read again."""
        self._hounsfield[row.id] = hu
        while len(self._hounsfield) > HOUNSFIELD_IN_MEMORY:
            self._hounsfield.popitem(last=False)

    def owed_of(self, series: SeriesCase) -> list[SliceRow]:
        """Slices that the engine owes, without those that it has just failed on too often."""
        if not series.is_read:
            return []
        again = self._pace.now_s - series.failed_s >= ENGINE_AGAIN_S
        return [row for row in series.unscored() if again or series.failed.get(row.id, 0) < ENGINE_TRIES]

    def _at_hand(self, series: SeriesCase) -> list[SliceRow]:
        """Owed slices whose values are there: the others are being made again, and hold nobody up."""
        return [row for row in self.owed_of(series) if not self._landing.is_restoring(row)]

    def most_urgent(self, now: Now) -> Scored | None:
        """Scores the slice that matters most, of the exam that an alert hangs on, else the one that landed first."""
        self._pace.now_s = now.monotonic_s
        self._pace.engine_rests = now.monotonic_s < self._pace.engine_again_s
        if self._pace.engine_rests:
            return None
        best: tuple[tuple[bool, int], StudyCase, SeriesCase, SliceRow] | None = None
        for study in self._cases:
            for series in study.series.values():
                for row in self._at_hand(series)[:1]:
                    rank = (not self._is_suspect(series), row.landed_ns)
                    if best is None or rank < best[0]:
                        best = (rank, study, series, row)
        return self._score(*best[1:], now) if best else None

    def _is_suspect(self, series: SeriesCase) -> bool:
        """An alert hangs on its next slice: one slice is positive already, and nobody has been told."""
        points = self._engine.card.points
        positive = any(row.score and row.score.probabilities[0] >= points.early_pair for row in series.slices.values())
        return positive and series.told is None

    def _score(self, study: StudyCase, series: SeriesCase, row: SliceRow, now: Now) -> Scored | None:
        hu = self._hounsfield_of(series, row, now)
        if hu is None:
            return None
        begin_s = perf_counter()
        try:
            score = read_slice(self._engine, hu, row.geometry)
        except Fault as fault:
            self._engine_failed(series, row, fault, now)
            return None
        self._failures_in_row = 0
        self._technical.mend("engine-fault", "engine", now, "the engine answers again")
        self._hounsfield.pop(row.id, None)
        ms = {**score.ms, "score": (perf_counter() - begin_s) * 1000}
        series.slices[row.id] = replace(row, score=score, ms={**row.ms, **ms})
        if not series.is_open:  # it was judged without this slice
            self._placing.reopen(study, series, now)
            series.arrivals_s.append(now.monotonic_s)
        self.scored += 1
        return Scored(study=study, series=series, slice=ScoredSlice(slice_id=row.id, score=score, ms=ms))

    def _hounsfield_of(self, series: SeriesCase, row: SliceRow, now: Now) -> Hounsfield | None:
        kept = self._hounsfield.get(row.id)
        if kept is not None:
            return kept
        try:
            return self._shelf.hounsfield(row.stored)
        except (OSError, ValueError):
            self._restore(series, row, now)
            return None

    def _restore(self, series: SeriesCase, row: SliceRow, now: Now) -> None:
        """Has the values made again from the stored file. Each time is a try, so that no torn file is tried for ever."""
        try:
            self._landing.restore(row, now)
            series.failed[row.id], series.failed_s = series.failed.get(row.id, 0) + 1, now.monotonic_s
        except OSError:
            series.failed[row.id], series.failed_s = ENGINE_TRIES, now.monotonic_s
            log.error("a stored slice is gone", extra={"facts": {"slice": row.id}})

    def _engine_failed(self, series: SeriesCase, row: SliceRow, fault: Fault, now: Now) -> None:
        series.failed[row.id] = series.failed.get(row.id, 0) + 1
        series.failed_s = now.monotonic_s
        self._pace.engine_again_s = now.monotonic_s + ENGINE_RETRY_S
        self._pace.engine_rests = True
        log.error("the engine failed", extra={"facts": {"slice": row.id, "said": fault.message}})
        self._technical.raise_once("engine-fault", "engine", now)
        self._failures_in_row += 1
        if self._failures_in_row == ENGINE_TRIES:
            self._technical.make_blind("engine-fault", "engine", now)  # there is no spare here
