"""Which slices the engine reads next, and what happens when it does not answer."""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Final

from appliance.core.errors import Fault
from appliance.core.ledger import ScoredSlice, SliceRow
from appliance.core.reads import Hounsfield
from appliance.core.slices import SliceScore
from appliance.core.times import Now
from appliance.core.words import Level, StudyState
from appliance.inference.backend import Backend
from appliance.reading.slice_reader import PreparedSlice, prepare_slice, score_slices
from appliance.store.shelf import Shelf
from appliance.triage.cases import OpenCases, SeriesCase, StudyCase
from appliance.triage.engine_duty import EngineDuty
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
    """A slice that the engine has just answered for. Nothing of it stands in the ledger or in its case yet."""

    study: StudyCase
    series: SeriesCase
    row: SliceRow
    slice: ScoredSlice


@dataclass(frozen=True, slots=True)
class _Owed:
    """A slice whose turn may come. `rank`: the least comes first. No alert hangs on it; then as `_rank`."""

    rank: tuple[bool, bool, int, int]
    study: StudyCase
    series: SeriesCase
    row: SliceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A slice that is ready for the engine."""

    owed: _Owed
    prepared: PreparedSlice
    begin_s: float


@dataclass(slots=True)
class _Pace:
    """When the engine is asked."""

    turn: int = 0
    now_s: float = float("-inf")  # of the last turn
    engine_again_s: float = float("-inf")
    engine_rests: bool = False


class Scoring:
    """Asks the engine for one slice a turn, or for as many of a backlog as the backend takes at once."""

    def __init__(
        self,
        *,
        duty: EngineDuty,
        shelf: Shelf,
        cases: OpenCases,
        landing: Landing,
        placing: Placing,
        technical: TechnicalAlerts,
    ) -> None:
        self._duty = duty
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
        return self._may_ask() and any(
            self._at_hand(series) for study in self._open_studies() for series in study.series.values()
        )

    def _open_studies(self) -> Iterator[StudyCase]:
        """Without those that a repeat had looked up: what was closed waits for a new slice."""
        return (study for study in self._cases if study.row.state is StudyState.OPEN)

    def _may_ask(self) -> bool:
        return self._duty.serving is not None and not self._pace.engine_rests

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

    def most_urgent(self, now: Now) -> list[Scored]:
        """Scores the slice that matters most: of the exam that an alert hangs on, else of the series that waits longest.

        Those that wait behind it are scored with it, as far as its backend takes them at once.
        """
        self._pace.now_s = now.monotonic_s
        self._pace.engine_rests = now.monotonic_s < self._pace.engine_again_s
        chosen, backend = self._chosen()
        self._pace.turn += 1
        for owed in chosen:
            owed.series.turn = self._pace.turn
        asked = [asked for owed in chosen if (asked := self._prepared(owed, now)) is not None]
        if not asked or backend is None:
            return []
        return self._ask(asked, backend, now)

    def _chosen(self) -> tuple[list[_Owed], Backend | None]:
        """The next slices, all for one backend."""
        queues = list(self._queues()) if self._may_ask() else []
        if not queues:
            return [], None
        backend, (urgent, *_) = min(queues, key=lambda queue: queue[1][0].rank)
        calm = urgent.rank[0]
        if not calm or backend.max_batch == 1:
            return [urgent], backend
        together = sorted((one for of, owed in queues if of is backend for one in owed), key=lambda one: one.rank)
        return together[: backend.max_batch], backend

    def _queues(self) -> Iterator[tuple[Backend, list[_Owed]]]:
        """Of each series that waits its backend, and its first slices: what nobody has read yet before what is read anew."""
        for study in self._open_studies():
            for series in study.series.values():
                ranked = sorted(self._at_hand(series), key=partial(_rank, series))
                backend = self._duty.backend_of(series.backends) if ranked else None
                if backend is None:
                    continue
                urgent = self._urgent_of(series, ranked)
                if urgent is not None:  # an alert may hang on it: it waits for no other to be made ready
                    yield backend, [_Owed((False, *_rank(series, urgent)), study, series, urgent)]
                else:
                    first = ranked[: backend.max_batch]
                    yield backend, [_Owed((True, *_rank(series, row)), study, series, row) for row in first]

    def _urgent_of(self, series: SeriesCase, rows: Sequence[SliceRow]) -> SliceRow | None:
        """The slice that an alert may hang on, while nobody has been told of a CRITICAL.

        One that a lost backend has found positive; else, where one is positive already, the next.
        """
        if series.told is Level.CRITICAL:
            return None
        if suspected := [row for row in rows if row.id in series.suspected]:
            return suspected[0]
        points = self._duty.card.points
        positive = any(row.score and row.score.probabilities[0] >= points.early_pair for row in series.slices.values())
        return rows[0] if positive else None

    def _prepared(self, owed: _Owed, now: Now) -> _Asked | None:
        hu = self._hounsfield_of(owed.series, owed.row, now)
        if hu is None:
            return None
        begin_s = perf_counter()
        try:
            prepared = prepare_slice(hu, owed.row.geometry, self._duty.card)
        except Fault as fault:  # no fault of the engine: what the store holds is not this slice
            log.error("the values of a slice are wrong", extra={"facts": {"slice": owed.row.id, "said": fault.message}})
            self._hounsfield.pop(owed.row.id, None)
            self._restore(owed.series, owed.row, now)
            return None
        return _Asked(owed=owed, prepared=prepared, begin_s=begin_s)

    def _ask(self, asked: Sequence[_Asked], backend: Backend, now: Now) -> list[Scored]:
        try:
            scores = score_slices([one.prepared for one in asked], backend, self._duty.card)
        except Fault as fault:
            if backend is not self._duty.spare:
                return self._ask_spare(asked, fault, now)
            self._engine_failed([one.owed for one in asked], fault, now)
            return []
        self._failures_in_row = 0
        self._technical.mend("engine-fault", "engine", now, "the engine answers again")
        return [self._answered(one, score, now) for one, score in zip(asked, scores, strict=True)]

    def _ask_spare(self, asked: Sequence[_Asked], fault: Fault, now: Now) -> list[Scored]:
        """The fast backend is gone. What it was asked for the spare reads at once, the most urgent first."""
        self._duty.lost(fault, now)
        self._placing.read_anew_what_was_lost()
        return self._ask(asked[: self._duty.spare.max_batch], self._duty.spare, now)

    def _answered(self, asked: _Asked, score: SliceScore, now: Now) -> Scored:
        owed = asked.owed
        row = owed.row
        self._hounsfield.pop(row.id, None)
        ms = {**score.ms, "score": (perf_counter() - asked.begin_s) * 1000}
        if not owed.series.is_open:  # it was judged without this slice
            self._placing.await_again(owed.series, now)
        self.scored += 1
        return Scored(
            study=owed.study,
            series=owed.series,
            row=replace(row, score=score, ms={**row.ms, **ms}),
            slice=ScoredSlice(slice_id=row.id, score=score, ms=ms),
        )

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

    def _engine_failed(self, owed: Sequence[_Owed], fault: Fault, now: Now) -> None:
        for one in owed:
            one.series.failed[one.row.id] = one.series.failed.get(one.row.id, 0) + 1
            one.series.failed_s = now.monotonic_s
        self._pace.engine_again_s = now.monotonic_s + ENGINE_RETRY_S
        self._pace.engine_rests = True
        log.error("the engine failed", extra={"facts": {"slice": owed[0].row.id, "said": fault.message}})
        self._technical.raise_once("engine-fault", "engine", now)
        self._failures_in_row += 1
        if self._duty.serving is not self._duty.spare:
            for one in owed:
                self._placing.hand_over(one.series)
        elif self._failures_in_row >= ENGINE_TRIES:
            self._technical.make_blind("engine-fault", "engine", now)  # nobody reads


def _rank(series: SeriesCase, row: SliceRow) -> tuple[bool, int, int]:
    """It is read anew; the turn in which its series was last asked for; when it landed.

    Series take turns: a thin one of 300 slices that lands at once does not keep the next patient waiting.
    """
    return row.id in series.reread, series.turn, row.landed_ns
