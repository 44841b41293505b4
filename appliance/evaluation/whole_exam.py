"""From the read slices of an exam to its answer, by the code that reads live. Labels of an exam follow from its slices."""

from collections.abc import Sequence
from dataclasses import replace

from appliance.core.completeness import Complete
from appliance.core.headers import Header
from appliance.core.ledger import SliceRow
from appliance.core.outcome import SeriesStanding, study_outcome
from appliance.core.words import LABELS, Outcome, SeriesVerdict
from appliance.evaluation.answers import ExamAnswer, Truth
from appliance.evaluation.read_exams import ReadExam, read_series
from appliance.exams.registry import EXAM, EXAMS
from appliance.inference.loading import LoadedEngine
from appliance.reading.series_reader import declined_standing, early_level, read_whole


def not_read(stack: str, patient: str, truths: Sequence[Truth], groups: Sequence[dict[str, str]]) -> ExamAnswer:
    """An exam of which nothing was read, with what is known of it."""
    return ExamAnswer(
        stack=stack,
        patient=patient,
        truth=exam_truth(truths),
        groups=common_groups(groups),
        outcome=Outcome.NOT_ANALYSED,
        reasons=("no-eligible-series",),
    )


def read_exam_of(
    known: ExamAnswer,
    slices: Sequence[tuple[SliceRow, Truth]],
    headers: Sequence[Header],
    failed: int,
    engine: LoadedEngine,
) -> ReadExam:
    """`known` with what its slices come to, in any order. `failed`: pictures of it that could not be read."""
    rows = [row for row, _ in slices]
    if not rows:
        return ReadExam(answer=known)
    unanswered = any(row.score is None for row in rows)
    reading = read_whole(rows, engine.card, complete=Complete.QUIET, engine_tries=int(unanswered))
    declined = _declined(headers, engine, len(rows))
    outcome, reasons = study_outcome([declined or reading.standing], set_aside=failed)
    from_foot = sorted(rows, key=lambda row: (row.geometry.position_mm, row.sop_uid, row.pixel_sha256))
    scored = [row for row in from_foot if row.score is not None]
    answer = replace(
        known,
        outcome=outcome,
        reasons=tuple(code for code, _ in reasons),
        level=None if declined else reading.level,
        probabilities=reading.exam.probabilities,
        slices=len(rows),
        early_after=None if declined else early_after(scored, engine),
        early_of=len(rows),
    )
    series = () if declined else read_series(slices, declined=reading.declined is not None)
    return ReadExam(answer=answer, series=series)


def exam_truth(truths: Sequence[Truth]) -> Truth:
    """An exam has what a slice of it has; it lacks what every slice lacks; of anything else nothing is known."""
    return tuple(_any_of([truth[index] for truth in truths]) for index in range(len(LABELS)))


def early_after(rows: Sequence[SliceRow], engine: LoadedEngine) -> int | None:
    """How many slices, in this order, had been seen when the early alert fired. None if it never does."""
    for seen in range(1, len(rows) + 1):
        if early_level(rows[:seen], engine.card) is not None:
            return seen
    return None


def best_right(scored: Sequence[tuple[float, bool | None]]) -> bool | None:
    """Whether the highest of (probability, bleeds) bleeds, of those that are known; None where none bleeds."""
    known = [one for one in scored if one[1] is not None]
    return max(known, key=lambda one: one[0])[1] if any(truth for _, truth in known) else None


def common_groups(groups: Sequence[dict[str, str]]) -> dict[str, str]:
    """What all agree on; "mixed" where they do not."""
    names = dict.fromkeys(name for one in groups for name in one)
    values = {name: {one[name] for one in groups if name in one} for name in names}
    return {name: said.pop() if len(said) == 1 else "mixed" for name, said in values.items()}


def _any_of(values: Sequence[bool | None]) -> bool | None:
    if any(values):
        return True
    return None if any(value is None for value in values) else False


def _declined(headers: Sequence[Header], engine: LoadedEngine, slices: int) -> SeriesStanding | None:
    """What the box would say of the DICOM headers: declined where every one of them says so. None where it would read."""
    verdicts = [
        EXAMS[EXAM].header_verdict(one.series, one.geometry, one.study, engine.card.ages_years) for one in headers
    ]
    if not verdicts or any(one.verdict is SeriesVerdict.READ for one in verdicts):
        return None
    return declined_standing(verdicts[0].reasons, may_be_head=verdicts[0].may_be_head, slices=slices)
