"""The words that cross rooms: one list of each, with the spelling that stands in the ledger and on the page."""

from enum import StrEnum
from typing import Final


class FileVerdict(StrEnum):
    """What became of one landed file. Every file has exactly one."""

    TAKEN = "TAKEN"
    DECLINED = "DECLINED"
    IGNORED = "IGNORED"
    DUPLICATE = "DUPLICATE"
    SET_ASIDE = "SET_ASIDE"
    POISON = "POISON"


class SeriesVerdict(StrEnum):
    """Whether the engine reads a series."""

    READ = "READ"
    DECLINED = "DECLINED"


class SeriesState(StrEnum):
    """Whether more slices of a series are awaited."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class StudyState(StrEnum):
    """Whether more of a study is awaited."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Outcome(StrEnum):
    """What a study came to. Never "normal"."""

    CRITICAL = "CRITICAL"
    REVIEW = "REVIEW"
    NO_FINDING = "NO FINDING"
    INDETERMINATE = "INDETERMINATE"
    INCOMPLETE = "INCOMPLETE"
    NOT_ANALYSED = "NOT ANALYSED"


class Level(StrEnum):
    """How an alert is told. CRITICAL sounds; REVIEW stands silent on the list."""

    CRITICAL = "CRITICAL"
    REVIEW = "REVIEW"
    TECHNICAL = "TECHNICAL"
    TEST = "TEST"


class Finality(StrEnum):
    """A reading made while slices are landing, or when all of them have."""

    PROVISIONAL = "PROVISIONAL"
    FINAL = "FINAL"


class Label(StrEnum):
    """The six answers of an engine, in the order of its outputs. Never exclusive."""

    ANY = "any"
    EDH = "edh"
    IPH = "iph"
    IVH = "ivh"
    SAH = "sah"
    SDH = "sdh"


LABELS: Final = tuple(Label)
KINDS: Final = LABELS[1:]

PLACE: Final = {
    Label.ANY: "inside the skull, kind not clear",
    Label.EDH: "over the dura",
    Label.IPH: "inside the brain",
    Label.IVH: "in the ventricles",
    Label.SAH: "around the brain",
    Label.SDH: "under the dura",
}
"""How a finding is said to a technologist."""


class Side(StrEnum):
    """The patient's side, never the picture's."""

    LEFT = "patient’s left"
    RIGHT = "patient’s right"
    MIDDLE = "in the middle"
    BOTH = "both sides"
    UNKNOWN = "side not known"
