"""The sentences of the board. Nothing from a header is written into one without being a value of its own."""

from collections.abc import Sequence
from typing import Final

from appliance.core.headers import Patient, StudyFacts
from appliance.core.ledger import Finding, Reasons
from appliance.core.plain_text import plain, shortened, unreadable
from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.words import PLACE, Label, Level, Outcome, Side

NO_NAME: Final = "(no name in the header)"
LONGEST_NAME: Final = 220  # three groups of 64 characters (PS3.5 6.2), and what joins them
LONGEST_VALUE: Final = 80  # an ID or accession number has 64 at most

_DOUBT: Final = {Level.CRITICAL: "Suspected", Level.REVIEW: "Possible"}
_SEX: Final = {"M": "male", "F": "female", "O": "other sex"}
_SMALL: Final = (
    "No",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
)

LOOK: Final = {
    Outcome.CRITICAL: "critical",
    Outcome.REVIEW: "review",
    Outcome.NO_FINDING: "nofinding",
    Outcome.INDETERMINATE: "indeterminate",
    Outcome.INCOMPLETE: "incomplete",
    Outcome.NOT_ANALYSED: "notanalysed",
}
"""The class and the icon of each outcome."""


def name(patient: Patient) -> str:
    """The whole name as people write it, or that there is none (DICOM PS3.5 6.2: groups by =, components by ^).

    Whole as far as a name may go: what is longer is cut, so that no button is pushed off a screen.
    """
    return shortened(_whole_name(plain(patient.name)), LONGEST_NAME) or NO_NAME


def _whole_name(text: str) -> str:
    groups = text.split("=")
    if not all(group.isascii() for group in groups[1:]):
        said = [_components(group) for group in groups]
        whole = [one for one in said if one]
        return f"{whole[0]} ({', '.join(whole[1:])})" if len(whole) > 1 else "".join(whole)
    return _components(text)


def _components(group: str) -> str:
    family, *others = [part.strip() for part in group.split("^")]
    rest = " ".join(part for part in others if part)
    return ", ".join(part for part in (family, rest) if part)


def initials(patient: Patient) -> str:
    """P. O.: what a screen says that everybody can see. A part without a letter or digit gives none."""
    groups = [group for group in plain(patient.name).split("=") if group.strip("^ ")]
    firsts = [next(filter(str.isalnum, part), "") for part in groups[0].split("^")[:2]] if groups else []
    return " ".join(f"{first.upper()}." for first in firsts if first) or "(no name)"


def id_end(patient: Patient) -> str:
    """ends 0001: at most the last four characters of an ID, and never more than half of it."""
    patient_id = plain(patient.patient_id)
    characters = min(4, len(patient_id) // 2)
    return f"ends {patient_id[-characters:]}" if characters else ""


def identity(facts: StudyFacts) -> tuple[str, ...]:
    """What stands under the name: never the name alone."""
    patient = facts.patient
    patient_id, accession = _value(patient.patient_id), _value(facts.accession)
    parts = [f"ID {patient_id}" if patient_id else "no ID in the header"]
    born = _value(patient.birth_date)
    parts.append(f"born {born}" if born else "birth date not known")
    if patient.sex in _SEX:
        parts.append(_SEX[patient.sex])
    if accession:
        parts.append(f"accession {accession}")
    if removed := removed_words(facts):
        parts.append(removed)
    return tuple(parts)


def removed_words(facts: StudyFacts) -> str:
    """2 unreadable characters removed. Empty if nothing was."""
    patient = facts.patient
    removed = sum(map(unreadable, (patient.name, patient.patient_id, patient.birth_date, facts.accession)))
    return f"{removed} unreadable {'character' if removed == 1 else 'characters'} removed" if removed else ""


def _value(text: str) -> str:
    return shortened(plain(text).strip(), LONGEST_VALUE)


def finding(level: Level, found: Finding | None) -> str:
    """Suspected bleed inside the brain (IPH), patient’s left"""
    doubt = _DOUBT.get(level, "Possible")
    if found is None:
        return f"{doubt} bleed"
    label = Label(found.label) if found.label in set(Label) else Label.ANY
    kind = "" if label is Label.ANY else f" ({label.upper()})"
    return f"{doubt} bleed {PLACE[label]}{kind}, {found.side or Side.UNKNOWN}"


def why(reasons: Reasons, *, of: Of = Of.STUDY) -> str:
    """Every reason in a sentence, the first of them with its next step."""
    said = []
    for number, (code, details) in enumerate(reasons):
        if (of, code) not in REASONS:
            said.append(f"Reason: {code}.")
            continue
        said.append(sentence(of, code, **_with_inner_sentence(details)))
        if number == 0:
            said.append(reason(of, code).next_step.removeprefix("None.").strip())
    return " ".join(part for part in said if part)


def why_unread(reasons: Reasons) -> str:
    """Why a head CT was not read, without saying again that it was not."""
    details = dict(reasons[0][1]) if reasons else {}
    return _with_inner_sentence(details).get("why", "") or why(reasons)


def _with_inner_sentence(details: dict[str, str]) -> dict[str, str]:
    """Where the place {why} holds the code of a series' reason, its sentence is put there."""
    inner = details.get("why", "")
    if (Of.SERIES, inner) not in REASONS:
        return details
    return details | {
        "why": sentence(Of.SERIES, inner, **{key: value for key, value in details.items() if key != "why"})
    }


def agreeing(numbers: Sequence[int]) -> str:
    """Which slices made the alert, in the words of the card."""
    if len(numbers) == 1:
        return f"slice {numbers[0]} alone is far above the point"
    if len(numbers) == 2:
        return f"slices {numbers[0]} and {numbers[1]} agree on the place"
    return f"slices {numbers[0]} to {numbers[-1]} agree on the place" if numbers else ""


def count(number: int, one: str, many: str = "") -> str:
    """One head CT, Two head CT, 14 head CT: small numbers as words, at the start of a sentence."""
    said = _SMALL[number] if number < len(_SMALL) else str(number)
    return f"{said} {one if number == 1 else many or one}"


def landing(heads: int) -> str:
    """What is going on while nothing is wrong."""
    if heads == 0:
        return "No head CT is landing now."
    return f"{count(heads, 'head CT is', 'head CT are')} landing now."


def is_blind(code: str, details: dict[str, str]) -> bool:
    """Whether a technical alert says that the box cannot see. Where both may be, the alert's details decide."""
    if (Of.TECHNICAL, code) not in REASONS:
        return False
    leads_to = reason(Of.TECHNICAL, code).leads_to
    if leads_to == "TECHNICAL|BLIND":
        return details.get("blind", "") == "yes"
    return leads_to == "BLIND"
