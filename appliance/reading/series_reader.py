"""All that the slices of one series say together. The same code live, offline and in tests; pure over its arguments."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.core.completeness import NEVER_LATER_S, Complete
from appliance.core.engine import EngineCard
from appliance.core.evidence import (
    early_evidence,
    finding_details,
    finding_of,
    level_of,
    one_per_place,
    scored_of,
    suffices_early,
)
from appliance.core.familiar import strangeness
from appliance.core.ledger import Finding, Reasons, SliceRow
from appliance.core.outcome import SeriesStanding, study_outcome
from appliance.core.words import Finality, Level, Outcome, SeriesVerdict
from appliance.exams.head_ct.eligibility import PixelFacts
from appliance.exams.registry import EXAM, EXAMS
from appliance.imaging.geometry import Placed, Survey, survey
from appliance.reading.exam_reader import ExamReading, read_exam

SECONDS_A_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReading:
    """What a series comes to. `declined`: why its pixels decline it, else None. `standing`: as its study sees it."""

    finality: Finality
    exam: ExamReading
    level: Level | None
    finding: Finding | None
    declined: Reasons | None
    standing: SeriesStanding
    outcome: Outcome
    reasons: Reasons


def early_level(rows: Sequence[SliceRow], card: EngineCard) -> Level | None:
    """The level of `read_early`, at a small part of its work: what is asked after each slice."""
    return Level.CRITICAL if suffices_early(rows, card.points) else None


def read_early(rows: Sequence[SliceRow], card: EngineCard) -> SeriesReading:
    """While slices land: CRITICAL where the evidence suffices already, else nothing."""
    evidence = early_evidence(rows, card.points)
    level = Level.CRITICAL if evidence else None
    finding = finding_of(rows, card.points, evidence) if evidence else None
    standing = _standing(rows, _survey(rows), level, finding, ())
    reasons: Reasons = (("suspected-bleed", finding_details(finding)),) if finding else ()
    return SeriesReading(
        finality=Finality.PROVISIONAL,
        exam=read_exam(rows, card),
        level=level,
        finding=finding,
        declined=None,
        standing=standing,
        outcome=Outcome.CRITICAL if level else Outcome.NO_FINDING,
        reasons=reasons,
    )


def read_whole(
    rows: Sequence[SliceRow], card: EngineCard, *, complete: Complete, engine_tries: int = 0
) -> SeriesReading:
    """When all has landed: pixel rules, the exam's level, what is missing, and what makes "no finding" doubtful.

    `engine_tries`: how often the engine was asked for a slice that it never answered for; 0 where it answered for all.
    """
    exam = read_exam(rows, card)
    declined = EXAMS[EXAM].pixel_verdict([_pixel_facts(row) for row in rows if row.score is not None])
    level = None if declined else level_of(exam.probabilities[0], card.points)
    evidence = early_evidence(rows, card.points) if level else None
    finding = finding_of(rows, card.points, evidence) if level else None
    looked = _survey(rows)
    problems = (*_problems(rows, looked, complete, engine_tries), *EXAMS[EXAM].doubts(rows), *_unlike(rows, card))
    standing = (
        declined_standing(declined, may_be_head=True, slices=len(rows))
        if declined
        else _standing(rows, looked, level, finding, problems)
    )
    outcome, reasons = study_outcome([standing])
    return SeriesReading(
        finality=Finality.FINAL,
        exam=exam,
        level=level,
        finding=finding,
        declined=declined,
        standing=standing,
        outcome=outcome,
        reasons=reasons,
    )


def declined_standing(reasons: Reasons, *, may_be_head: bool, slices: int) -> SeriesStanding:
    """A declined series, as its study sees it."""
    return SeriesStanding(verdict=SeriesVerdict.DECLINED, reasons=reasons, may_be_head=may_be_head, slices=slices)


def has_two_thicknesses(rows: Sequence[SliceRow]) -> bool:
    """Whether slices of different thickness stand in the series."""
    return _survey(rows).two_thicknesses


def _survey(rows: Sequence[SliceRow]) -> Survey:
    return survey([Placed(row.geometry.position_mm, row.geometry.thickness_mm) for row in rows])


def _pixel_facts(row: SliceRow) -> PixelFacts:
    score = scored_of(row)
    return PixelFacts(has_brain=score.has_brain, brain_hu=score.brain_hu, skull_area_mm2=score.skull_area_mm2)


def _standing(
    rows: Sequence[SliceRow], looked: Survey, level: Level | None, finding: Finding | None, problems: Reasons
) -> SeriesStanding:
    return SeriesStanding(
        verdict=SeriesVerdict.READ,
        places=len(looked.places),
        slices=len(rows),
        spacing_mm=looked.spacing_mm,
        coverage_mm=looked.coverage_mm,
        unscored=sum(row.score is None for row in rows),
        level=level,
        finding=finding,
        problems=problems,
    )


def _unlike(rows: Sequence[SliceRow], card: EngineCard) -> Reasons:
    """`unlike-training` where the engine brings a reference and this scan lies farther from it than it may."""
    known = card.familiar
    if known is None:
        return ()
    brain = [scored_of(row).embedding for row in one_per_place(rows) if scored_of(row).has_brain]
    far = strangeness(brain, known.reference, known.neighbours) > known.most
    return (("unlike-training", {}),) if far else ()


def _problems(rows: Sequence[SliceRow], looked: Survey, complete: Complete, engine_tries: int) -> Reasons:
    found = [("slices-missing", {"first": str(gap.first), "last": str(gap.last)}) for gap in looked.gaps if gap.missing]
    if complete is Complete.TIMED_OUT:
        found.append(("timed-out", {"minutes": str(round(NEVER_LATER_S / SECONDS_A_MINUTE))}))
    unanswered = [row for row in rows if row.score is None]
    if unanswered:
        number = (
            looked.places.index(min(looked.places, key=lambda at: abs(at - unanswered[0].geometry.position_mm))) + 1
        )
        found.append(("engine-fault", {"slice": str(number), "n": str(engine_tries)}))
    return tuple(found)
