"""The files that rows name, opened: values in HU, and where they lie if the file says so. A volume without a named slice is all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.headers import Header, SliceGeometry
from appliance.core.reads import Hounsfield, ReadFile
from appliance.core.words import FileVerdict
from appliance.evaluation.grey_values import hounsfield_of
from appliance.evaluation.manifest import Row
from appliance.imaging.nifti import Volume, as_stored, is_nifti, read_nifti, slice_of
from appliance.imaging.plain_pictures import BadPicture, is_plain_picture, read_limited, read_plain_picture
from appliance.intake.reader_pool import ReaderPool
from appliance.reading.dicom_files import read_in_order

Stored = Callable[[tuple[float, float]], tuple[float, float]]
"""From (row, column) of the picture as read to (x, y) of the picture as stored."""

_VOLUMES_HELD: Final = 2  # a volume and its mask: their slices follow each other
_LOSSY_HALF: Final = 127  # of 255: a mask that was kept as JPEG wavers
_UNKNOWN: Final = "neither PNG, JPEG, NumPy, NIfTI nor DICOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One picture of one row. `row.slice_index` is its own where the row names a whole volume. `header` only of DICOM."""

    row: Row
    hu: Hounsfield
    geometry: SliceGeometry | None
    stored: Stored
    header: Header | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """One row without a picture, and why."""

    row: Row
    why: str


class FileReader:
    """Opens the files of rows. DICOM goes through limited children, which start when the first one is met."""

    def __init__(self) -> None:
        self._pool: ReaderPool | None = None
        self._volumes: dict[Path, Volume | NDArray[Any]] = {}

    def __enter__(self) -> "FileReader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def open(self, rows: Sequence[Row]) -> list[Opened | Unread]:
        """What each row holds, in their order: one for a picture, one for each slice of a volume that is named whole."""
        found: dict[int, list[Opened | Unread]] = {}
        maybe_dicom: dict[int, Path] = {}
        for index, row in enumerate(rows):
            try:
                pictures = [Unread(row=row, why=row.fault)] if row.fault else self._plain(row)
            except BadPicture as bad:
                pictures = [Unread(row=row, why=str(bad))]
            if pictures is None:
                maybe_dicom[index] = row.file
            else:
                found[index] = list(pictures)
        if maybe_dicom:
            self._pool = self._pool or ReaderPool(time.monotonic())
            for index, read in read_in_order(maybe_dicom, self._pool):
                found[index] = [_dicom(rows[index], read)]
        return [one for index in range(len(rows)) for one in found[index]]

    def mask(self, row: Row, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """What is marked in a picture of this shape, bool [rows, columns]; None without a mask. BadPicture if it is none."""
        if row.mask is None:
            return None
        held = self._held(row.mask)
        if held is None:
            raise BadPicture("not-a-picture", "the mask is neither PNG, JPEG, NumPy nor NIfTI")
        index = row.slice_index or 0
        values: NDArray[Any] = slice_of(held, index)[0] if isinstance(held, Volume) else _slice(held, index)
        if values.shape != shape:
            raise BadPicture("wrong-size", "the mask has another size than its picture")
        return np.asarray(values > (_LOSSY_HALF if row.mask.suffix.lower() in (".jpg", ".jpeg") else 0))

    def _plain(self, row: Row) -> Sequence[Opened] | None:
        """The pictures of a file that is no DICOM; None where it may be."""
        held = self._held(row.file)
        if held is None:
            return None
        values = held.values if isinstance(held, Volume) else held
        count = values.shape[2] if values.ndim == 3 else 1
        wanted = range(count) if row.slice_index is None else [row.slice_index]
        own = [row if count == 1 else replace(row, slice_index=index) for index in wanted]
        return [
            _nifti(each, held, index) if isinstance(held, Volume) else _picture(each, held, index)
            for each, index in zip(own, wanted, strict=True)
        ]

    def _held(self, path: Path) -> Volume | NDArray[Any] | None:
        """What a file holds, None where it may be DICOM. Volumes are kept while their slices are asked for."""
        if path in self._volumes:
            return self._volumes[path]
        data = read_limited(path)
        if not is_nifti(data) and not is_plain_picture(data):
            return None
        held = read_nifti(data) if is_nifti(data) else read_plain_picture(data)
        if isinstance(held, Volume) or held.ndim == 3:
            self._volumes = dict([*self._volumes.items(), (path, held)][-_VOLUMES_HELD:])
        return held


def _dicom(row: Row, read: ReadFile) -> Opened | Unread:
    if read.verdict is FileVerdict.IGNORED:
        return Unread(row=row, why=f"not-a-picture: {_UNKNOWN}")
    if read.verdict is not FileVerdict.TAKEN or read.header is None or read.hu is None:
        return Unread(row=row, why=f"{read.reason}: the box would say {read.verdict} of this DICOM file")
    return Opened(row=row, hu=read.hu, geometry=read.header.geometry, stored=_as_it_is, header=read.header)


def _nifti(row: Row, volume: Volume, index: int) -> Opened:
    hu, geometry, turn = slice_of(volume, index)
    if volume.values.dtype == np.uint8 and row.window is not None:
        hu = hounsfield_of(hu.astype(np.uint8), row.window, is_hu=False)
    rows, columns = hu.shape
    return Opened(row=row, hu=hu, geometry=geometry, stored=lambda place: as_stored(place, turn, rows, columns))


def _picture(row: Row, values: NDArray[Any], index: int) -> Opened:
    hu = hounsfield_of(_slice(values, index), row.window, is_hu=row.is_hu)
    return Opened(row=row, hu=hu, geometry=None, stored=_as_it_is)


def _slice(values: NDArray[Any], index: int) -> NDArray[Any]:
    if values.ndim == 2:
        return values
    if index >= values.shape[2]:
        raise BadPicture("no-such-slice", f"there are {values.shape[2]} slices")
    return values[:, :, index]


def _as_it_is(place: tuple[float, float]) -> tuple[float, float]:
    return place[1], place[0]
