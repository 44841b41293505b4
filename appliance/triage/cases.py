"""What is open now: studies with their series and slices as the ledger holds them, and the clock of each landing.

Only the loop changes these, and it can rebuild them from the ledger at any moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.core.completeness import Complete, Landed, completeness
from appliance.core.engine import EngineCard
from appliance.core.headers import Header
from appliance.core.ledger import ReadingRow, SeriesRow, SliceRow, StudyRow
from appliance.core.outcome import SeriesStanding
from appliance.core.times import NS_PER_S, Now
from appliance.core.words import Finality, Level, Outcome, SeriesState, SeriesVerdict
from appliance.reading.series_reader import read_whole
from appliance.records.ledger import Ledger
from appliance.records.readings import readings_of
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import find_study, open_studies


@dataclass(slots=True)
class SeriesCase:
    """One series. `arrivals_s` are of this opening: a late slice begins the count of quiet anew."""

    row: SeriesRow
    slices: dict[int, SliceRow] = field(default_factory=dict)
    arrivals_s: list[float] = field(default_factory=list)
    failed: dict[int, int] = field(default_factory=dict)  # times that the engine did not answer, by slice
    failed_s: float = float("-inf")  # when it last did not
    turn: int = 0  # in which the engine was last asked for a slice of it
    reread: set[int] = field(default_factory=set)  # slices whose scores were forgotten: another backend reads them anew
    suspected: set[int] = field(default_factory=set)  # those of them that were positive
    handed_over: bool = False  # to the fast backend, because the spare did not answer
    revisions: int = 0  # final readings so far
    standing: SeriesStanding | None = None  # of the last final reading
    told: Level | None = None  # what this series has raised
    read_by: str = ""  # sha256 of the engine that made its last final reading

    @property
    def is_read(self) -> bool:
        """The engine reads it."""
        return self.row.verdict is SeriesVerdict.READ

    @property
    def is_open(self) -> bool:
        """More of it is awaited."""
        return self.row.state is SeriesState.OPEN

    @property
    def backends(self) -> set[str]:
        """Who has answered for its slices: one, or none yet."""
        return {row.score.backend for row in self.slices.values() if row.score is not None}

    def unscored(self) -> list[SliceRow]:
        """Slices that the engine still owes, in the order of landing."""
        return [row for row in self.slices.values() if row.score is None]

    def completeness(self, now_s: float) -> Complete | None:
        """Why it is complete now, or None."""
        # The count is of one acquisition: where a series holds several it proves nothing of the whole.
        acquisitions = {row.acquisition_number for row in self.slices.values()}
        landed = Landed(
            arrivals_s=tuple(self.arrivals_s),
            positions_mm=tuple(row.geometry.position_mm for row in self.slices.values()),
            header_count=self.row.facts.images_in_acquisition if len(acquisitions) == 1 else None,
        )
        return completeness(landed, now_s)

    def acquired(self) -> tuple[str, str]:
        """First and last acquisition time that its slices name; empty where none does."""
        times = sorted(row.acquired for row in self.slices.values() if row.acquired)
        return (times[0], times[-1]) if times else ("", "")


@dataclass(slots=True)
class StudyCase:
    """One study."""

    row: StudyRow
    series: dict[str, SeriesCase] = field(default_factory=dict)
    last_landed_s: float = 0.0

    def by_id(self, series_id: int) -> SeriesCase | None:
        """The series with this id of the ledger."""
        return next((case for case in self.series.values() if case.row.id == series_id), None)


StudyKey = tuple[str, str]


def study_key(patient_identity: str, study_uid: str) -> StudyKey:
    """One UID under two patients is two studies."""
    return patient_identity, study_uid


class OpenCases:
    """Every study that is open, and those that a late file has opened again."""

    def __init__(self, ledger: Ledger, card: EngineCard) -> None:
        self._ledger = ledger
        self._card = card
        self._studies: dict[StudyKey, StudyCase] = {}

    def __iter__(self) -> Iterator[StudyCase]:
        return iter(list(self._studies.values()))

    def rebuild(self, now: Now) -> None:
        """Everything that was open when the program last ended.

        Quiet is counted anew: what landed meanwhile lies unread, and may be the rest.
        """
        with self._ledger.reading() as read:
            rows = open_studies(read)
        for row in rows:
            case = self._load(row, now)
            case.last_landed_s = now.monotonic_s
            for series in case.series.values():
                later_s = now.monotonic_s - series.arrivals_s[-1]
                series.arrivals_s = [at_s + later_s for at_s in series.arrivals_s]

    def find(self, header: Header, now: Now) -> StudyCase | None:
        """The study of a header, from memory or from the ledger; None if it never landed before."""
        facts = header.study
        key = study_key(facts.patient.identity, facts.study_uid)
        if key not in self._studies:
            with self._ledger.reading() as read:
                row = find_study(read, facts.study_uid, facts.patient.identity)
            if row:
                self._load(row, now)
        return self._studies.get(key)

    def add(self, row: StudyRow, now: Now) -> StudyCase:
        """A study that has just been opened."""
        case = StudyCase(row=row, last_landed_s=now.monotonic_s)
        self._studies[study_key(row.facts.patient.identity, row.facts.study_uid)] = case
        return case

    def drop(self, case: StudyCase) -> None:
        """It is closed, and stands in the ledger."""
        self._studies.pop(study_key(case.row.facts.patient.identity, case.row.facts.study_uid), None)

    def _load(self, row: StudyRow, now: Now) -> StudyCase:
        def monotonic_s(wall_ns: int) -> float:
            # A clock that was set back must not make a landing lie in the future.
            return now.monotonic_s - max(0.0, (now.wall_ns - wall_ns) / NS_PER_S)

        case = self.add(row, now)
        case.last_landed_s = monotonic_s(row.last_landed_ns)
        with self._ledger.reading() as read:
            for series in series_of(read, row.id):
                slices = {one.id: one for one in slices_of(read, series.id)}
                loaded = SeriesCase(row=series, slices=slices)
                loaded.arrivals_s = sorted(monotonic_s(one.landed_ns) for one in slices.values()) or [
                    monotonic_s(series.last_landed_ns)
                ]
                read_so_far = readings_of(read, series.id)
                finals = [one for one in read_so_far if one.finality is Finality.FINAL]
                loaded.revisions = len(finals)
                loaded.told = Level.CRITICAL if any(one.outcome is Outcome.CRITICAL for one in read_so_far) else None
                loaded.read_by = finals[-1].engine_sha256 if finals else ""
                if finals and loaded.is_read:
                    loaded.standing = self._standing_again(loaded, finals[-1])
                case.series[series.facts.series_uid] = loaded
        return case

    def _standing_again(self, series: SeriesCase, last: ReadingRow) -> SeriesStanding:
        """What the last final reading of a series came to: the same slices say the same again."""
        timed_out = any(code == "timed-out" for code, _ in last.reasons)
        complete = Complete.TIMED_OUT if timed_out else Complete.QUIET
        return read_whole(list(series.slices.values()), self._card, complete=complete).standing
