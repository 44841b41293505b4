"""What a study came to: one word, and every reason that holds, the deciding one first."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.ledger import Finding, Reasons
from appliance.core.reasons import REASONS, Of, sentence
from appliance.core.words import PLACE, Label, Level, Outcome, SeriesVerdict

LEAST_SLICES: Final = 12
"""A head has at least this many slices: 12 of 5 mm reach over 60 mm, the least that shows the brain from base to top."""
LEAST_COVERAGE_MM: Final = 60.0
"""And at least this much along the normal, first to last slice with their thickness: 12 thin slices are no head."""

_MM_TOLERANCE: Final = 0.5  # positions are decimal text of a header
_PART: Final = "part-of-brain"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStanding:
    """One series as its study's outcome sees it.

    `reasons`: why it was declined. Of a READ series: `places` unique positions, `spacing_mm` their median distance (None
    for fewer than two), `coverage_mm` from first to last position; `unscored` slices without a score; `level` and
    `finding` of its latest reading; `problems` codes of family study that lead to INCOMPLETE or INDETERMINATE
    (slices-missing, timed-out, engine-fault, what the gate on pixels doubts), with what fills their sentences.
    """

    verdict: SeriesVerdict
    reasons: Reasons = ()
    may_be_head: bool = True
    places: int = 0
    slices: int = 0
    spacing_mm: float | None = None
    coverage_mm: float | None = None
    unscored: int = 0
    level: Level | None = None
    finding: Finding | None = None
    problems: Reasons = ()


def least_slices(spacing_mm: float | None) -> int:
    """How many slices a head needs at this spacing: `LEAST_SLICES`, more where they are thin."""
    if not spacing_mm or spacing_mm <= 0:
        return LEAST_SLICES
    return max(LEAST_SLICES, math.ceil((LEAST_COVERAGE_MM - _MM_TOLERANCE) / spacing_mm))


def has_enough_slices(standing: SeriesStanding) -> bool:
    """Whether a series could cover a head."""
    if standing.places < LEAST_SLICES:
        return False
    if standing.coverage_mm is None or standing.spacing_mm is None:
        return True
    return standing.coverage_mm + standing.spacing_mm >= LEAST_COVERAGE_MM - _MM_TOLERANCE


def study_outcome(series: Sequence[SeriesStanding], *, set_aside: int = 0) -> tuple[Outcome, Reasons]:
    """The outcome of a study and its reasons. `set_aside`: files of it that are held back.

    Where several hold, the first counts and the others stay beside it: NOT ANALYSED if no series was read; INCOMPLETE
    too-few-slices, if none of the read ones could cover a head; CRITICAL; REVIEW; INCOMPLETE; INDETERMINATE;
    NO FINDING. `none-flagged` is said only where nothing else is: it claims that all slices were read.
    """
    read = [one for one in series if one.verdict is SeriesVerdict.READ]
    held_back: Reasons = (("set-aside-file", {"n": str(set_aside)}),) if set_aside else ()
    if not read:
        return Outcome.NOT_ANALYSED, (_why_not(series), *held_back)
    short = tuple(_too_few(one) for one in read if not has_enough_slices(one))
    none_covers = len(short) == len(read)
    found = _found(read)
    shown_elsewhere = _ends_shown(read)
    problems = _distinct(
        (
            *(short if not none_covers else ()),
            *held_back,
            *(p for one in read for p in _problems(one) if p not in shown_elsewhere),
        )
    )
    incomplete = _leading_to(Outcome.INCOMPLETE, problems)
    indeterminate = _leading_to(Outcome.INDETERMINATE, problems)
    # Of several short series the fullest is named.
    first = (max(short, key=lambda reason: int(reason[1]["n"])),) if none_covers else ()
    reasons = (*first, *found, *incomplete, *indeterminate)
    if not reasons:
        return Outcome.NO_FINDING, (("none-flagged", {"n": str(sum(one.slices for one in read))}),)
    return _outcome_of(reasons[0]), reasons


def _why_not(series: Sequence[SeriesStanding]) -> tuple[str, dict[str, str]]:
    """The fullest series that may be a head says why: a scan before its scout. Where none may be, the first.

    Its code stays as {reason}.
    """
    heads = [one for one in series if one.may_be_head and one.reasons] or [one for one in series if one.may_be_head]
    heads.sort(key=lambda one: one.slices, reverse=True)
    said = next((one.reasons[0] for one in (heads or series) if one.reasons), None)
    code = "no-eligible-series" if heads else "no-head"
    if said is None:
        return code, {"why": "no series was read."}
    why, details = said
    return code, {"why": sentence(Of.SERIES, why, **details), "reason": why}


def _too_few(one: SeriesStanding) -> tuple[str, dict[str, str]]:
    return "too-few-slices", {"n": str(one.places), "least": str(least_slices(one.spacing_mm))}


def _found(read: Sequence[SeriesStanding]) -> Reasons:
    """What the readings point at, CRITICAL before REVIEW."""
    said = {Level.CRITICAL: "suspected-bleed", Level.REVIEW: "possible-bleed"}
    return _distinct(
        (said[level], _place(one.finding))
        for level in (Level.CRITICAL, Level.REVIEW)
        for one in read
        if one.level is level
    )


def _place(finding: Finding | None) -> dict[str, str]:
    if finding is None:
        return {"place": PLACE[Label.ANY]}
    return {"place": PLACE[Label(finding.label)], "side": str(finding.side)}


def _ends_shown(read: Sequence[SeriesStanding]) -> Reasons:
    """The ends of the brain that one series misses and another shows: base and vault are often two series.

    A series that is too short for a head shows nothing, and is blamed for nothing more.
    """
    covering = [one for one in read if has_enough_slices(one)]
    missed = _distinct(p for one in read for p in one.problems if p[0] == _PART)
    return tuple(p for p in missed if not covering or any(p not in one.problems for one in covering))


def _problems(one: SeriesStanding) -> Reasons:
    """Its own, and `engine-fault` where slices stayed without a score and nobody has said so."""
    said = any(code == "engine-fault" for code, _ in one.problems)
    unsaid = one.unscored > 0 and not said
    return (*one.problems, ("engine-fault", {})) if unsaid else one.problems


def _leading_to(outcome: Outcome, problems: Reasons) -> Reasons:
    return tuple(one for one in problems if _outcome_of(one) is outcome)


def _outcome_of(reason: tuple[str, dict[str, str]]) -> Outcome:
    return Outcome(REASONS[(Of.STUDY, reason[0])].leads_to)


def _distinct(reasons: Iterable[tuple[str, dict[str, str]]]) -> Reasons:
    kept: list[tuple[str, dict[str, str]]] = []
    for one in reasons:
        if one not in kept:
            kept.append(one)
    return tuple(kept)
