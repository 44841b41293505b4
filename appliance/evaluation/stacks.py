"""The rows of a manifest as exams: which pictures belong together, where each lies, how large its pixels are.

Nothing here depends on the order of the rows, save where nobody says where a slice lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from appliance.core.headers import Header, SliceGeometry
from appliance.core.reads import Hounsfield
from appliance.evaluation.manifest import Row
from appliance.evaluation.opened import FileReader, Opened, Stored, Unread
from appliance.exams.head_ct.anatomy import find_anatomy

SKULL_LENGTH_MM: Final = 180.0
"""The longest axial skull of an adult, outer table to outer table: what a stack of unknown pixel size is held against."""

FIELD_MM: Final = (160.0, 320.0)
"""How wide a picture of a head is, at least and at most."""

FEW: Final = 3
FEW_FIELD_MM: Final = 250.0
"""At most, of fewer pictures than FEW: a lone slice through the vertex shows no long skull."""

SPACING_MM: Final = 5.0
"""Between slices of which nobody says where they lie."""

_GUESSED_FIELD_MM: Final = 230.0
_LONGEST_SHARE: Final = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Rows that belong together: one exam, or the lone pictures of one patient, which are read one by one."""

    rows: tuple[Row, ...]
    is_exam: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture in HU, and where it lies. `header` only of DICOM."""

    row: Row
    hu: Hounsfield
    geometry: SliceGeometry
    stored: Stored
    header: Header | None


def units_of(rows: Sequence[Row]) -> list[Unit]:
    """The rows by exam (patient and stack), in the order in which exams turn up; lone pictures by patient."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = ("exam", row.patient, row.stack) if row.stack else ("lone", row.patient or str(row.number))
        found.setdefault(key, []).append(row)
    return [Unit(rows=tuple(group), is_exam=key[0] == "exam") for key, group in found.items()]


def read_unit(unit: Unit, files: FileReader) -> list[Picture | Unread]:
    """The pictures of a unit in the order of its rows; of a row that names a whole volume, all its slices."""
    found = files.open(unit.rows)
    opened = [one for one in found if isinstance(one, Opened)]
    placed = iter(_placed(opened))
    return [one if isinstance(one, Unread) else next(placed) for one in found]


def _placed(opened: Sequence[Opened]) -> list[Picture]:
    sizes, places = _pixel_sizes(opened), _places(opened)
    return [
        Picture(
            row=one.row,
            hu=one.hu,
            geometry=one.geometry or flat_geometry(one.hu.shape, (size, size), place),
            stored=one.stored,
            header=one.header,
        )
        for one, size, place in zip(opened, sizes, places, strict=True)
    ]


def flat_geometry(shape: tuple[int, ...], pixel_mm: tuple[float, float], place_mm: float) -> SliceGeometry:
    """Of a picture that says nothing of itself: axial, face up, its middle on the axis of the scanner."""
    rows, columns = shape
    return SliceGeometry(
        rows=rows,
        columns=columns,
        pixel_mm=pixel_mm,
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        corner_mm=(-0.5 * (columns - 1) * pixel_mm[1], -0.5 * (rows - 1) * pixel_mm[0], place_mm),
        position_mm=place_mm,
        tilt_deg=0.0,
    )


def _places(opened: Sequence[Opened]) -> list[float]:
    """Where each picture lies: as said, or in their order where one does not say, or two rows are one."""
    said = [one.row.z_mm for one in opened if one.row.z_mm is not None]
    rows = {one.row.number for one in opened}
    return said if len(said) == len(opened) == len(rows) else [SPACING_MM * index for index in range(len(opened))]


def _pixel_sizes(opened: Sequence[Opened]) -> list[float]:
    """mm a pixel of each picture: as said; as another of its size says; by the skull. Those with a geometry need none."""
    by_shape: dict[tuple[int, ...], list[Opened]] = {}
    for one in opened:
        if one.geometry is None:
            by_shape.setdefault(one.hu.shape, []).append(one)
    usual = {shape: _usual_size(alike) for shape, alike in by_shape.items()}
    return [one.row.spacing_mm or usual.get(one.hu.shape, 1.0) for one in opened]


def _usual_size(alike: Sequence[Opened]) -> float:
    said = [one.row.spacing_mm for one in alike if one.row.spacing_mm is not None]
    return median(said) if said else by_skull([one.hu for one in alike])


def by_skull(pictures: Sequence[Hounsfield]) -> float:
    """mm a pixel that make the longest third of the skulls as long as a skull is. Pictures of one size [rows, columns]."""
    longest_px = int(max(pictures[0].shape))
    guess_mm = _GUESSED_FIELD_MM / longest_px
    found = [find_anatomy(hu, (guess_mm, guess_mm)) for hu in pictures]
    heads = [one for one in found if one.has_brain_in_skull] or [one for one in found if one.skull_length_mm > 0]
    if not heads:
        return guess_mm
    longest = sorted((one.skull_length_mm for one in heads), reverse=True)[: max(1, round(len(heads) * _LONGEST_SHARE))]
    low_mm, high_mm = FIELD_MM[0], FIELD_MM[1] if len(pictures) >= FEW else FEW_FIELD_MM
    return min(max(guess_mm * SKULL_LENGTH_MM / median(longest), low_mm / longest_px), high_mm / longest_px)
