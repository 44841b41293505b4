"""The rows of the ledger as every room sees them. `records` alone knows that they lie in SQL.

Times are UTC nanoseconds.
"""

from dataclasses import dataclass, field

from appliance.core.alerts import AlertState, Happening, Judged, Step
from appliance.core.headers import SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.slices import SliceScore
from appliance.core.studies import StudyHappening, StudyJudged
from appliance.core.words import (
    FileVerdict,
    Finality,
    Level,
    Outcome,
    SeriesState,
    SeriesVerdict,
    Side,
    StudyState,
)

Reasons = tuple[tuple[str, dict[str, str]], ...]
"""Reason codes with what fills the places of their sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes a landed file the same file: a change of any of these means that it must be looked at again."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One landed file and its one verdict."""

    path: str  # below the inbox, as os.fsencode(...).hex() where it is no plain UTF-8; never logged
    identity: Identity
    sha256: str
    verdict: FileVerdict
    reason: str
    details: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    landed_ns: int
    study_uid: str = ""
    removed: bool = False  # from an owned inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """One study of one patient. Two studies that agree in everything but their UIDs are two."""

    id: int
    facts: StudyFacts
    state: StudyState
    outcome: Outcome | None
    reasons: Reasons  # of the outcome, the first of them counts; other reasons that hold stand behind
    opened_ns: int
    last_landed_ns: int
    closed_ns: int | None
    set_aside: int  # files of this study that are held back
    seen_by: str = ""  # who pressed "I have seen it" since it last closed
    judged: StudyJudged | None = None  # the last word of a person on a study without an alert


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """One series. `reasons` are why it was declined; `corrections` what was mended in its slices."""

    id: int
    study_id: int
    facts: SeriesFacts
    state: SeriesState
    verdict: SeriesVerdict
    reasons: Reasons
    corrections: tuple[str, ...]
    first_landed_ns: int
    last_landed_ns: int
    closed_ns: int | None
    # True while it may be a head: read, or declined for a reason that does not rule a head out.
    may_be_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """One slice in the store. `score` is None until the engine has answered."""

    id: int
    series_id: int
    sop_uid: str
    pixel_sha256: str
    file_sha256: str
    stored: str  # path below the store, of hashes only
    geometry: SliceGeometry
    instance_number: int | None
    acquisition_number: int | None
    acquired: str
    corrections: tuple[str, ...]
    landed_ns: int
    score: SliceScore | None
    ms: dict[str, float]  # milliseconds of each stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a reading points at, for people."""

    label: str  # the kind said: the highest of the five, or "any" where none stands out
    side: Side
    key_slice_id: int
    key_number: int  # from the foot, counted from 1, among the slices read then
    evidence: tuple[int, ...]  # slice ids that made the alert


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRow:
    """One reading of one series. Probabilities are the exam's six, in the order of LABELS."""

    id: int
    series_id: int
    revision: int
    finality: Finality
    probabilities: tuple[float, ...]
    outcome: Outcome
    reasons: Reasons
    slices: int
    finding: Finding | None
    engine_sha256: str
    engine_name: str
    backend: str
    critical_point: float
    review_point: float
    made_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertKey:
    """What makes two alerts one. Clinical: patient identity, study UID, exam. Technical: code and subject."""

    kind: str  # "clinical", "technical", "test"
    first: str
    second: str
    third: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEventRow:
    """One event in the life of an alert. Append-only; `id` is the id of the live stream."""

    id: int
    alert_id: int
    happening: Happening
    at_ns: int
    by: str  # a person, a channel or a program
    level: Level | None  # of RAISED and UPGRADED
    finality: Finality | None  # of what a reading says
    new_acquisition: bool
    sounds: bool  # it starts the sound, or starts it anew: each channel tells it once
    judged: Judged | None
    reading_id: int | None
    details: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert with its status, the stored fold of its events (`core.alerts`)."""

    id: int
    key: AlertKey
    state: AlertState
    level: Level
    finality: Finality
    study_id: int | None
    series_id: int | None  # the series that the alert stands on
    reading_id: int | None  # the reading that raised or last changed it
    details: dict[str, str]  # of the events that said something new: the later word for each name
    raised_ns: int
    changed_ns: int  # when the machine last said something new of it
    sounded_ns: int | None  # when it last began to sound, or began anew; None if it never has
    open: bool  # no person has answered to what is known now, or it is not mended
    sounds: bool
    withdrawn: bool
    doubted: bool
    acknowledged_by: str
    acknowledged_ns: int | None
    judged: Judged | None
    sounding_event_id: int | None  # the last event that started the sound: an older page has not shown what sounds now
    last_event_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEventRow:
    """One event in the life of a study. Append-only."""

    id: int
    study_id: int
    happening: StudyHappening
    at_ns: int
    by: str
    outcome: Outcome | None
    judged: StudyJudged | None = None
    details: dict[str, str] = field(default_factory=dict)  # of a press: from which screen, or that it was none


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message that one channel owes: one for each alert event that sounds."""

    id: int
    alert_id: int
    event_id: int
    channel: str
    idempotency_key: str
    state: str  # "DUE", "DONE", "DEAD"
    attempts: int
    created_ns: int
    due_ns: int
    ended_ns: int | None
    last_status: int | None  # HTTP status of the last attempt, None where no answer came
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEventRow:
    """What happened to the engine."""

    id: int
    kind: str  # "LOADED", "CHANGED", "GOLDEN", "BACKEND"
    at_ns: int
    engine_sha256: str
    engine_name: str
    backend: str
    details: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSlice:
    """A slice that the engine has answered. `ms` joins the slice's own stages."""

    slice_id: int
    score: SliceScore
    ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChange:
    """What becomes of a series. None leaves a value as it is; a series that is OPEN has no `closed_ns`."""

    series_id: int
    verdict: SeriesVerdict | None = None
    reasons: Reasons | None = None
    may_be_head: bool | None = None
    state: SeriesState | None = None
    corrections: tuple[str, ...] | None = None
    closed_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSaid:
    """The outcome of a study: standing, or with `close` that of its CLOSED event."""

    study_id: int
    outcome: Outcome
    reasons: Reasons
    close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """A step of `core.alerts.alert_step`, and whose it is. `details` say why, in what fills a sentence's places."""

    key: AlertKey
    step: Step
    study_id: int
    series_id: int
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that follows from one look at a series. Committed whole or not at all."""

    at_ns: int
    by: str = "triage"
    scores: tuple[ScoredSlice, ...] = ()
    series: tuple[SeriesChange, ...] = ()
    reading: ReadingRow | None = None  # id 0: not yet recorded
    outcome: OutcomeSaid | None = None
    alert: AlertChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a judgement became."""

    reading_id: int | None
    alert: AlertRow | None
    alert_event_id: int | None
