"""Where a slice lies, and how its picture must be turned so that the next room always sees it the same way.

Axial pictures are turned to rows running to the patient's left and columns running backwards, the pixels made square.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Refusal
from appliance.core.headers import SliceGeometry, Vector
from appliance.core.words import FileVerdict
from appliance.imaging import tags
from appliance.imaging.fields import Fields

AXIAL_WITHIN_DEG: Final = 45.0  # of the normal from the long axis; only such pictures are turned
TILT_FROM_DEG: Final = 0.5

_UNIT_TOLERANCE: Final = 1e-2
_SQUARE_TOLERANCE: Final = 1e-3
_PIXEL_MM: Final = (0.01, 20.0)
_MAX_STRETCH: Final = 4.0
_MAX_MM: Final = 100_000.0  # a place further away than this is nonsense


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What has to be done with the picture, in this order."""

    transposed: bool = False
    rows_flipped: bool = False
    columns_flipped: bool = False
    stretch: tuple[float, float] | None = None  # of rows and of columns, after turning

    @property
    def upside_down(self) -> bool:
        """Whether the picture is stored in another direction than it is shown."""
        return self.transposed or self.rows_flipped or self.columns_flipped


def place(fields: Fields, rows: int, columns: int) -> tuple[SliceGeometry, Turn]:
    """The place of the turned picture. Refusal with `bad-geometry`."""
    row, column = _directions(fields)
    corner = np.asarray(_numbers(fields, tags.IMAGE_POSITION_PATIENT, 3))
    if np.abs(corner).max() > _MAX_MM:
        raise _bad()
    pixel_mm = _pixel_mm(fields)
    normal = np.cross(row, column)
    tilt_deg = math.degrees(math.acos(min(1.0, abs(float(normal[2])))))
    turn = Turn()
    if tilt_deg <= AXIAL_WITHIN_DEG:
        row, column, corner, rows, columns, pixel_mm, turn = _turned(row, column, corner, rows, columns, pixel_mm)
        normal = np.cross(row, column)
    elif normal[np.abs(normal).argmax()] < 0:
        normal = -normal
    corner, rows, columns, side, turn = _squared(row, column, corner, rows, columns, pixel_mm, turn)
    thickness = fields.number(tags.SLICE_THICKNESS)
    geometry = SliceGeometry(
        rows=rows,
        columns=columns,
        pixel_mm=(side, side),
        row_direction=_vector(row),
        column_direction=_vector(column),
        corner_mm=_vector(corner),
        position_mm=round(float(corner @ normal), 6),
        tilt_deg=round(tilt_deg, 4),
        thickness_mm=thickness if thickness is not None and 0 < thickness < 1000 else None,
    )
    return geometry, turn


Array = NDArray[np.float64]


def _bad() -> Refusal:
    return Refusal(FileVerdict.SET_ASIDE, "bad-geometry")


def _vector(values: Array) -> Vector:
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z


def _numbers(fields: Fields, tag: int, count: int) -> tuple[float, ...]:
    values = fields.numbers(tag)
    if values is None or len(values) != count:
        raise _bad()
    return values


def _directions(fields: Fields) -> tuple[Array, Array]:
    values = np.asarray(_numbers(fields, tags.IMAGE_ORIENTATION_PATIENT, 6))
    row, column = values[:3], values[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if any(abs(length - 1) > _UNIT_TOLERANCE for length in lengths) or abs(row @ column) > _UNIT_TOLERANCE:
        raise _bad()
    return row / lengths[0], column / lengths[1]


def _pixel_mm(fields: Fields) -> tuple[float, float]:
    between_rows, between_columns = _numbers(fields, tags.PIXEL_SPACING, 2)
    low, high = _PIXEL_MM
    if not (low <= between_rows <= high and low <= between_columns <= high):
        raise _bad()
    if not 1 / _MAX_STRETCH <= between_rows / between_columns <= _MAX_STRETCH:
        raise _bad()
    return between_rows, between_columns


def _turned(
    row: Array, column: Array, corner: Array, rows: int, columns: int, pixel_mm: tuple[float, float]
) -> tuple[Array, Array, Array, int, int, tuple[float, float], Turn]:
    """Rows along the patient's left (x grows), columns backwards (y grows): PS3.3 C.7.6.2 coordinates."""
    transposed = abs(row[1]) > abs(row[0])
    if transposed:
        row, column, rows, columns = column, row, columns, rows
        pixel_mm = pixel_mm[1], pixel_mm[0]
    rows_flipped, columns_flipped = bool(column[1] < 0), bool(row[0] < 0)
    if rows_flipped:
        corner, column = corner + column * (rows - 1) * pixel_mm[0], -column
    if columns_flipped:
        corner, row = corner + row * (columns - 1) * pixel_mm[1], -row
    turn = Turn(transposed=transposed, rows_flipped=rows_flipped, columns_flipped=columns_flipped)
    return row, column, corner, rows, columns, pixel_mm, turn


def _squared(
    row: Array, column: Array, corner: Array, rows: int, columns: int, pixel_mm: tuple[float, float], turn: Turn
) -> tuple[Array, int, int, float, Turn]:
    """Square pixels of the smaller side. The outer edge of the picture stays where it is."""
    between_rows, between_columns = pixel_mm
    side = min(pixel_mm)
    if max(pixel_mm) - side <= _SQUARE_TOLERANCE * side:
        return corner, rows, columns, (between_rows + between_columns) / 2, turn
    corner = corner + column * (side - between_rows) / 2 + row * (side - between_columns) / 2
    stretch = between_rows / side, between_columns / side
    turn = Turn(
        transposed=turn.transposed,
        rows_flipped=turn.rows_flipped,
        columns_flipped=turn.columns_flipped,
        stretch=stretch,
    )
    return corner, round(rows * stretch[0]), round(columns * stretch[1]), side, turn


def turned(picture: NDArray[np.int16], turn: Turn, rows: int, columns: int) -> NDArray[np.int16]:
    """The picture as `SliceGeometry` describes it, int16 [rows, columns], contiguous."""
    if turn.transposed:
        picture = picture.T
    if turn.rows_flipped:
        picture = picture[::-1]
    if turn.columns_flipped:
        picture = picture[:, ::-1]
    if turn.stretch is not None:
        picture = _stretched(picture, 0, rows)
        picture = _stretched(picture, 1, columns)
    return np.ascontiguousarray(picture)


def _stretched(picture: NDArray[np.int16], axis: int, size: int) -> NDArray[np.int16]:
    """Linear between pixel centres along one axis."""
    old = picture.shape[axis]
    if old == size:
        return picture
    at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    low = np.minimum(at.astype(np.intp), max(old - 2, 0))
    part = (at - low).astype(np.float32)
    weight = part[:, None] if axis == 0 else part
    below = picture.take(low, axis).astype(np.float32)
    above = picture.take(np.minimum(low + 1, old - 1), axis).astype(np.float32)
    between: NDArray[np.int16] = np.rint(below + (above - below) * weight).astype(np.int16)
    return between
