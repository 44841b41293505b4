"""Slices, as a source finds them, put together to exams: in rising position, of one size, what is said of them checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import CannotStart
from appliance.core.headers import SliceGeometry
from appliance.core.words import LABELS
from appliance.evaluation.answers import Truth
from appliance.evaluation.manifest import Box
from appliance.evaluation.read_exams import UNKNOWN
from appliance.training.sources.exam import SourceExam, Tell

MOST_UNREAD: Final = 0.1
"""Of all pictures. Where more cannot be read, the table or the folder is not the one that was meant."""

_SAME_PLACE_MM: Final = 0.01
_SAME_PIXEL_MM: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One slice in HU int16 [H, W], where it lies, and what is known of it. `mask`: bool [H, W]."""

    hu: NDArray[np.int16]
    geometry: SliceGeometry
    labels: NDArray[np.int8]  # [6]
    boxes: tuple[Box, ...] = ()
    mask: NDArray[np.bool_] | None = None


def labels_of(truth: Truth) -> NDArray[np.int8]:
    """What is known and what follows from it, int8 [6]. ValueError where it contradicts itself.

    What bleeds in any way bleeds; what does not bleed at all bleeds in no way.
    """
    labels = np.array([UNKNOWN if value is None else int(value) for value in truth], dtype=np.int8)
    if (labels[1:] == 1).any():
        if labels[0] == 0:
            raise ValueError("any is 0, but a kind of bleed is 1")
        labels[0] = 1
    if labels[0] == 0:
        labels[1:] = 0
    return labels


def assembled(source: str, patient: str, exam: str, pieces: Sequence[Piece]) -> list[SourceExam]:
    """The pieces of one exam as one SourceExam; as several where they have several sizes, or lie at one place twice."""
    in_order = sorted(pieces, key=lambda one: one.geometry.position_mm)
    groups: dict[tuple[object, ...], list[Piece]] = {}
    for piece in in_order:
        sizes = tuple(round(size / _SAME_PIXEL_MM) for size in piece.geometry.pixel_mm)
        pile = 0
        while (held := groups.setdefault((piece.hu.shape, sizes, pile), [])) and _at_one_place(held[-1], piece):
            pile += 1
        held.append(piece)
    return [_exam(source, patient, exam, group) for group in groups.values()]


def _at_one_place(lower: Piece, upper: Piece) -> bool:
    return upper.geometry.position_mm - lower.geometry.position_mm < _SAME_PLACE_MM


def _exam(source: str, patient: str, exam: str, pieces: Sequence[Piece]) -> SourceExam:
    masks = None
    if any(one.mask is not None for one in pieces):
        empty = np.zeros(pieces[0].hu.shape, dtype=np.bool_)
        masks = np.stack([empty if one.mask is None else one.mask for one in pieces]).astype(np.uint8) * 255
    return SourceExam(
        source=source,
        patient=patient,
        exam=exam,
        hu=np.stack([one.hu for one in pieces]),
        pixel_mm=pieces[0].geometry.pixel_mm,
        positions_mm=np.array([one.geometry.position_mm for one in pieces], dtype=np.float64),
        labels=np.stack([one.labels for one in pieces]).reshape(-1, len(LABELS)),
        boxes=tuple(one.boxes for one in pieces),
        masks=masks,
    )


class Losses:
    """Counts what cannot be read of a source and what can, tells it, and refuses a source that gives too little."""

    def __init__(self, source: str, pictures: int, tell: Tell) -> None:
        self._source = source
        self._pictures = pictures
        self._tell = tell
        self._lost = 0
        self._nowhere = 0
        self._known = 0

    def lost(self, where: str, why: str) -> None:
        """One picture is left out. CannotStart as soon as more than MOST_UNREAD of all are."""
        self._lost += 1
        self.told(f"left out {where}: {why}")
        if self._lost > max(1, MOST_UNREAD * self._pictures):
            raise CannotStart(
                f"Source {self._source}: more than {MOST_UNREAD:.0%} of its {self._pictures} pictures cannot be read, "
                f"the last one is {where}: {why}. Mend the table, or name the folder that it belongs to."
            )

    def nowhere(self) -> None:
        """One exam is said to bleed, and no slice of it is."""
        self._nowhere += 1

    def told(self, words: str) -> None:
        """Says what is left out without a picture being lost."""
        self._tell(f"Source {self._source}: {words}")

    def counted(self, exams: Iterable[SourceExam]) -> Iterator[SourceExam]:
        """The same exams; their labels are counted."""
        for exam in exams:
            self._known += int((exam.labels[:, 0] != UNKNOWN).sum())
            yield exam

    def end(self) -> None:
        """After the last exam: the sums. CannotStart where of no slice it is known whether it bleeds."""
        if self._lost:
            self.told(f"{self._lost} of {self._pictures} pictures were left out.")
        if self._nowhere:
            self.told(f"{self._nowhere} bleeding exams teach nothing: it is not said which of their slices bleed.")
        if not self._known:
            raise CannotStart(
                f"Source {self._source}: of none of its slices it is known whether it bleeds. Nothing can be learned from it."
            )
