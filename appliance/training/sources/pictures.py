"""Pictures named by a manifest (`rows.csv`), read by the code of `evaluate`: a stack is an exam, a lone picture another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.evaluation.manifest import Box, Row, read_manifest
from appliance.evaluation.opened import FileReader, Stored, Unread
from appliance.evaluation.read_exams import UNKNOWN
from appliance.evaluation.stacks import Picture, Unit, read_unit, units_of
from appliance.imaging.plain_pictures import BadPicture
from appliance.training.sources.assemble import Losses, Piece, assembled, labels_of
from appliance.training.sources.exam import SourceExam, Tell
from appliance.training.sources.marks import mark_of

TABLE: Final = "rows.csv"


class Pictures:
    """The rows of a manifest."""

    def __init__(self, name: str, place: Path) -> None:
        """`place`: as `table_at` takes it. CannotStart where it is no table."""
        self._name = name
        self._table = table_at(place)
        self._rows = read_manifest(self._table)
        self._units = units_of(self._rows)

    @property
    def size(self) -> int:
        """About how many exams there are."""
        return sum(1 if unit.is_exam else len(unit.rows) for unit in self._units)

    @property
    def mark(self) -> str:
        """Of the table and every file that it names."""
        masks = [row.mask for row in self._rows if row.mask is not None]
        return mark_of([*(row.file for row in self._rows), *masks], self._table)

    def exams(self, tell: Tell = lambda _: None) -> Iterator[SourceExam]:
        """Every exam, in the order of the rows. CannotStart where too many rows cannot be read, or nothing is labelled."""
        losses = Losses(self._name, len(self._rows), tell)
        with FileReader() as files:
            for unit in self._units:
                yield from losses.counted(self._exams_of(unit, files, losses))
        losses.end()

    def _exams_of(self, unit: Unit, files: FileReader, losses: Losses) -> Iterator[SourceExam]:
        pictures: list[Picture] = []
        for one in read_unit(unit, files):
            if isinstance(one, Unread):
                losses.lost(_where(one.row), one.why)
            else:
                pictures.append(one)
        slices_of = Counter(one.row.number for one in pictures)
        pieces: dict[int, list[Piece]] = {}
        for one in pictures:
            if (piece := _piece(one, files, losses, whole_volume=slices_of[one.row.number] > 1)) is not None:
                pieces.setdefault(unit.rows[0].number if unit.is_exam else one.row.number, []).append(piece)
        for row in unit.rows:
            yield from assembled(self._name, patient_of(row), row.path, pieces.get(row.number, ()))


def table_at(place: Path) -> Path:
    """The table of a place: itself, or `rows.csv` of the folder."""
    return place / TABLE if place.is_dir() else place


def _piece(picture: Picture, files: FileReader, losses: Losses, *, whole_volume: bool) -> Piece | None:
    row = picture.row
    try:
        labels = labels_of(row.truth)
    except ValueError as error:
        losses.lost(_where(row), str(error))
        return None
    try:
        mask = files.mask(row, picture.hu.shape)
    except BadPicture as bad:
        losses.told(f"{_where(row)}: its mask is left out, {bad}")
        mask = None
    boxes = _as_read(row.boxes, picture.stored)
    if whole_volume:  # what a volume has, some slice has; what it lacks, each slice lacks
        labels, boxes = np.where(labels == 0, labels, UNKNOWN).astype(np.int8), ()
    return Piece(hu=picture.hu, geometry=picture.geometry, labels=labels, boxes=boxes, mask=mask)


def _as_read(boxes: Sequence[Box], stored: Stored) -> tuple[Box, ...]:
    """Boxes in pixels as stored, in pixels of the picture as read: a NIfTI slice is turned."""
    if not boxes:
        return ()
    origin = np.array(stored((0.0, 0.0)))
    turn = np.stack([np.array(stored((0.0, 1.0))) - origin, np.array(stored((1.0, 0.0))) - origin], axis=1)
    back = np.linalg.inv(turn)
    return tuple(_turned(box, back, origin) for box in boxes)


def _turned(box: Box, back: NDArray[np.float64], origin: NDArray[np.float64]) -> Box:
    corners = np.array([box[:2], box[2:]]) - origin
    (x0, y0), (x1, y1) = (corners @ back.T).tolist()
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def patient_of(row: Row) -> str:
    """Whose picture it is, told from others. Who names no patient stands for one, as in `evaluate`."""
    return row.patient or row.stack or f"#{row.number}"


def _where(row: Row) -> str:
    return f"row {row.number} ({row.path})"
