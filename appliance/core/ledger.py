"""The rows of the ledger as every room sees them. `records` alone knows that they lie in SQL.

Times are UTC nanoseconds.
"""

from dataclasses import dataclass, field

from appliance.core.headers import SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.slices import SliceScore
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
    kind: str  # core.alerts.Happening
    at_ns: int
    by: str = ""  # a person, a channel or a program
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert with its status, the stored fold of its events (`core.alerts`)."""

    id: int
    key: AlertKey
    level: Level
    study_id: int | None
    series_id: int | None
    reading_id: int | None  # the reading that raised or last changed it
    raised_ns: int
    open: bool  # no person has acknowledged what is known now, or it is not mended
    sounds: bool
    withdrawn: bool
    doubted: bool
    acknowledged_by: str
    acknowledged_ns: int | None
    last_event_id: int
