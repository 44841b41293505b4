"""An engine over rows that say what is known of pictures: each picture and each exam read by the code that reads live."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.core.ledger import SliceRow
from appliance.core.slices import SliceScore
from appliance.evaluation.answers import ExamAnswer, ImageAnswer, Truth
from appliance.evaluation.figures import overlap
from appliance.evaluation.manifest import Row
from appliance.evaluation.marks import blood_pixels, place_of
from appliance.evaluation.opened import FileReader, Unread
from appliance.evaluation.read_exams import ReadExam
from appliance.evaluation.stacks import Picture, Unit, read_unit
from appliance.evaluation.whole_exam import best_right, not_read, read_exam_of
from appliance.imaging.plain_pictures import BadPicture
from appliance.inference.loading import LoadedEngine
from appliance.reading.slice_reader import read_slice

Masks = Callable[[Row, tuple[int, ...]], NDArray[np.bool_] | None]
"""What is marked in the picture of a row, of this shape; None where nothing is. BadPicture if it is no mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAnswers:
    """All that came of one unit: an answer for each row, and its exams (none for lone pictures)."""

    images: tuple[ImageAnswer, ...]
    read: tuple[ReadExam, ...]

    @property
    def exams(self) -> tuple[ExamAnswer, ...]:
        """The answers of the exams."""
        return tuple(one.answer for one in self.read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One picture as the ledger would hold it, None where there is none, and its answer."""

    picture: Picture | Unread
    row: SliceRow | None
    answer: ImageAnswer


def score_unit(
    unit: Unit, engine: LoadedEngine, files: FileReader, tell: Callable[[int], None] = lambda _: None
) -> UnitAnswers:
    """Reads every picture of a unit, and the exams in it. A bad row costs itself alone."""
    return score_pictures(unit, read_unit(unit, files), files.mask, engine, tell)


def score_pictures(
    unit: Unit,
    pictures: Sequence[Picture | Unread],
    masks: Masks,
    engine: LoadedEngine,
    tell: Callable[[int], None] = lambda _: None,
) -> UnitAnswers:
    """The same of pictures that are at hand, in the order of the unit's rows."""
    by_row: dict[int, list[_Scored]] = {row.number: [] for row in unit.rows}
    for place, picture in enumerate(pictures):
        own = by_row[picture.row.number]
        tell(0 if own else 1)
        own.append(_scored(picture, place, engine, masks))
    images = tuple(_strongest(own) for own in by_row.values())
    if unit.is_exam:
        return UnitAnswers(images=images, read=(_exam(unit.rows, by_row, engine, unit.rows[0].stack),))
    volumes = [row for row in unit.rows if len(by_row[row.number]) > 1]
    return UnitAnswers(images=images, read=tuple(_exam([row], by_row, engine, row.path) for row in volumes))


def _scored(picture: Picture | Unread, place: int, engine: LoadedEngine, masks: Masks) -> _Scored:
    if isinstance(picture, Unread):
        return _Scored(picture=picture, row=None, answer=_unanswered(picture.row, picture.why))
    row = _as_slice(picture, place)
    try:
        score = read_slice(engine, picture.hu, picture.geometry)
    except Fault as fault:
        return _Scored(picture=picture, row=row, answer=_unanswered(picture.row, str(fault)))
    return _Scored(picture=picture, row=replace(row, score=score, ms=score.ms), answer=_answer(picture, score, masks))


def _strongest(own: Sequence[_Scored]) -> ImageAnswer:
    """The answer of a row: of a whole volume that of its strongest slice."""
    answered = [one.answer for one in own if one.answer.probabilities is not None]
    best = max(answered, key=lambda one: one.probabilities or (), default=own[0].answer)
    return replace(best, has_brain=any(one.has_brain for one in answered))


def _exam(rows: Sequence[Row], by_row: dict[int, list[_Scored]], engine: LoadedEngine, stack: str) -> ReadExam:
    known = not_read(stack, rows[0].patient, [row.truth for row in rows], [row.groups for row in rows])
    own = [one for row in rows for one in by_row[row.number]]
    headers = [one.picture.header for one in own if isinstance(one.picture, Picture) and one.picture.header]
    truths = [_known_of_slice(one, len(by_row[one.answer.number])) for one in own]
    slices = [(one.row, truth) for one, truth in zip(own, truths, strict=True) if one.row]
    found = read_exam_of(known, slices, headers, sum(one.row is None for one in own), engine)
    answered = [
        (one.answer.probabilities[0], truth[0])
        for one, truth in zip(own, truths, strict=True)
        if one.answer.probabilities
    ]
    return replace(found, answer=replace(found.answer, best_right=best_right(answered)))


def _known_of_slice(one: _Scored, slices_of_row: int) -> Truth:
    """A bleeding volume says of no slice that it bleeds."""
    if slices_of_row == 1:
        return one.answer.truth
    return tuple(None if bleeds else bleeds for bleeds in one.answer.truth)


def _unanswered(row: Row, why: str) -> ImageAnswer:
    return ImageAnswer(
        number=row.number,
        path=row.path,
        patient=row.patient,
        stack=row.stack,
        truth=row.truth,
        groups=row.groups,
        slice_index=row.slice_index,
        error=why,
    )


def _as_slice(picture: Picture, place: int) -> SliceRow:
    """As the ledger would hold it. Its own path and pixels break ties, so that no order of rows can."""
    pixels = hashlib.sha256(np.ascontiguousarray(picture.hu).data).hexdigest()
    return SliceRow(
        id=place,
        series_id=0,
        sop_uid=f"{picture.row.path}#{picture.row.slice_index}",
        pixel_sha256=pixels,
        file_sha256=pixels,
        stored="",
        geometry=picture.geometry,
        instance_number=None,
        acquisition_number=None,
        acquired="",
        corrections=(),
        landed_ns=0,
        score=None,
        ms={},
    )


def _answer(picture: Picture, score: SliceScore, masks: Masks) -> ImageAnswer:
    row = picture.row
    mask_error, mask = "", None
    try:
        mask = masks(row, picture.hu.shape)
    except BadPicture as bad:
        mask_error = str(bad)
    peak_xy = None if score.peak_rc is None else picture.stored(score.peak_rc)
    return replace(
        _unanswered(row, ""),
        mask_error=mask_error,
        probabilities=score.probabilities,
        peak_xy=peak_xy,
        dice=None if mask is None else overlap(blood_pixels(picture, score), mask),
        place=place_of(picture, score, mask, peak_xy),
        has_brain=score.has_brain,
    )
