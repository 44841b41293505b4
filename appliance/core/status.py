"""The status file that each program rewrites every second: how the others tell that it lives."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from appliance.core.times import Now

PROGRAMS: Final = ("triage", "courier", "dashboard")
BEAT_S = 1.0
SILENT_S = 5.0
LEDGER_FACT: Final = "ledger"
"""Among the facts of a program: the reason code of why it cannot write the ledger. Absent while it can, or could just now."""
LEDGER_FAULT_AFTER_S: Final = 2.0
"""A shorter wait for others who write is nothing that people must know."""
LEDGER_SINCE_FACT: Final = "ledger_since_ns"
"""Beside it: since when, UTC nanoseconds."""


def ledger_facts(code: str, since: Now, now: Now) -> dict[str, str | int | float]:
    """What a program says of a ledger that it cannot write since then; nothing for an empty code, and not at once."""
    if not code or now.monotonic_s - since.monotonic_s < LEDGER_FAULT_AFTER_S:
        return {}
    return {LEDGER_FACT: code, LEDGER_SINCE_FACT: since.wall_ns}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSeen:
    """One open page: whether it can sound and be seen, and how long ago it last spoke.

    `place`: which page of the console it is; `hidden`: it is behind others, so it is not armed either; `screen`: the same
    for all pages of one browser.
    """

    page_id: str
    armed: bool
    last_word_s_ago: float
    place: str = ""
    hidden: bool = False
    screen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """A clinical alert that triage could not write into the ledger: what is needed to tell of it, and no patient.

    `study_id`: of the ledger, where the study stands; `happening`, `level`, `finality`, `at_ns`: of the event that will be
    recorded; `label`, `side`, `key_number`: of the finding, empty and 0 where there is none.
    """

    study_id: int
    happening: str
    level: str
    finality: str
    at_ns: int
    label: str = ""
    side: str = ""
    key_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatus:
    """`beat_monotonic_s` is CLOCK_MONOTONIC, which all processes of one boot share: a jumping clock cannot fake life."""

    program: str
    pid: int
    started_ns: int
    beat_monotonic_s: float
    ready: bool = False
    faults: tuple[str, ...] = ()  # sentences, without a patient in them
    facts: dict[str, str | int | float] = field(default_factory=dict)
    pages: tuple[PageSeen, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()

    def silent_s(self, monotonic_s: float) -> float:
        """Seconds since the last beat."""
        return max(0.0, monotonic_s - self.beat_monotonic_s)

    def is_silent(self, monotonic_s: float) -> bool:
        """Five beats missed."""
        return self.silent_s(monotonic_s) > SILENT_S

    def as_json(self) -> dict[str, Any]:
        """Plain values for the file."""
        return {"schema_version": 1, **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """The status of a file. KeyError or TypeError for one that is not ours."""
        plain = {key: value for key, value in document.items() if key != "schema_version"}
        plain["faults"] = tuple(plain["faults"])
        plain["pages"] = tuple(PageSeen(**page) for page in plain["pages"])
        plain["unrecorded"] = tuple(Unrecorded(**alert) for alert in plain.get("unrecorded", ()))
        return cls(**plain)
