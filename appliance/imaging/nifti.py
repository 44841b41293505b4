"""NIfTI-1 volumes of one file (.nii, .nii.gz): the header read by hand, axial slices turned the way a CT is shown.

Source: the NIfTI-1 header, nifti1.h (2007). Its axes grow to the patient's right, front and head; DICOM's grow to left,
back and head. Only axial volumes are read: slices are the third axis, up to 45 degrees of tilt.
"""

import zlib
from dataclasses import dataclass
from struct import unpack_from
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.headers import SliceGeometry
from appliance.imaging.placing import Turn, turned
from appliance.imaging.plain_pictures import LEAST_SIDE, MOST_PIXELS, MOST_SIDE, BadPicture

_HEADER: Final = 348
_MAGIC: Final = b"n+1\0"
_GZIP: Final = b"\x1f\x8b"
_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_MOST_BYTES: Final = MOST_PIXELS * 8 + (1 << 16)
_MOST_SLICES: Final = 4096
_PIXEL_MM: Final = (0.05, 10.0)
_LEAST_HU, _MOST_HU = -1024, 3071


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume as stored: `values` [i, j, k] before slope and intercept, `affine` [3, 4] from indices to mm (RAS)."""

    values: NDArray[Any]
    slope: float
    intercept: float
    affine: NDArray[np.float64]


def is_nifti(data: bytes) -> bool:
    """Whether the bytes look like NIfTI-1, packed or not."""
    return data.startswith(_GZIP) or (len(data) >= _HEADER and data[344:348] == _MAGIC)


def read_nifti(data: bytes) -> Volume:
    """The volume. BadPicture where it is no whole NIfTI-1 file of one grey volume."""
    data = _unpacked(data) if data.startswith(_GZIP) else data
    if len(data) < _HEADER or data[344:348] != _MAGIC:
        raise BadPicture("not-a-picture", "no NIfTI-1 file of one part (.nii)")
    order = "<" if unpack_from("<i", data, 0)[0] == _HEADER else ">"
    if unpack_from(f"{order}i", data, 0)[0] != _HEADER:
        raise BadPicture("not-a-picture", "a NIfTI header of another length")
    shape = _shape(unpack_from(f"{order}8h", data, 40))
    kind = _TYPES.get(unpack_from(f"{order}h", data, 70)[0])
    if kind is None:
        raise BadPicture("not-a-picture", "a NIfTI type that is no grey value")
    offset, slope, intercept = unpack_from(f"{order}3f", data, 108)
    begin = int(offset) if np.isfinite(offset) and _HEADER <= offset <= len(data) else _HEADER + 4
    count = shape[0] * shape[1] * shape[2]
    dtype = np.dtype(f"{order}{kind}")
    if len(data) - begin < count * dtype.itemsize:
        raise BadPicture("not-a-picture", "it is shorter than it says")
    values = np.frombuffer(data, dtype, count, begin).reshape(shape, order="F")
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        slope, intercept = 1.0, 0.0
    return Volume(values=values, slope=float(slope), intercept=float(intercept), affine=_affine(data, order))


def slice_of(volume: Volume, index: int) -> tuple[NDArray[np.int16], SliceGeometry, Turn]:
    """One slice as HU int16 [rows, columns], face up, the patient's right on the left; where it lies; how it was turned.

    BadPicture where the slices are not axial, or there is no such slice.
    """
    if not 0 <= index < volume.values.shape[2]:
        raise BadPicture("no-such-slice", f"the volume has {volume.values.shape[2]} slices")
    to_lps = np.diag((-1.0, -1.0, 1.0)) @ volume.affine
    axes, origin = to_lps[:, :3], to_lps[:, 3]
    steps = np.linalg.norm(axes, axis=0)
    if not np.isfinite(to_lps).all() or not (_PIXEL_MM[0] <= steps[:2].min() and steps[:2].max() <= _PIXEL_MM[1]):
        raise BadPicture("bad-geometry", "its header names no size of a pixel")
    along = axes / np.where(steps > 0, steps, 1.0)
    if abs(along[2, 2]) < np.sqrt(0.5):
        raise BadPicture("not-axial", "the third axis does not run from foot to head")
    # Stored [i, j]: rows are i, so that a picture of the usual kind is transposed.
    transposed = bool(abs(along[0, 0]) >= abs(along[0, 1]))
    across, down = (0, 1) if transposed else (1, 0)
    turn = Turn(
        transposed=transposed, rows_flipped=bool(along[1, down] < 0), columns_flipped=bool(along[0, across] < 0)
    )
    rows, columns = volume.values.shape[down], volume.values.shape[across]
    corner = origin + axes[:, 2] * index
    down_by, across_by = axes[:, down], axes[:, across]
    if turn.rows_flipped:
        corner, down_by = corner + down_by * (rows - 1), -down_by
    if turn.columns_flipped:
        corner, across_by = corner + across_by * (columns - 1), -across_by
    row_direction, column_direction = across_by / steps[across], down_by / steps[down]
    normal = np.cross(row_direction, column_direction)
    hu = volume.values[:, :, index].astype(np.float64) * volume.slope + volume.intercept
    whole = np.rint(np.clip(np.nan_to_num(hu, nan=_LEAST_HU), _LEAST_HU, _MOST_HU)).astype(np.int16)
    geometry = SliceGeometry(
        rows=rows,
        columns=columns,
        pixel_mm=(float(steps[down]), float(steps[across])),
        row_direction=_vector(row_direction),
        column_direction=_vector(column_direction),
        corner_mm=_vector(corner),
        position_mm=float(corner @ normal),
        tilt_deg=float(np.degrees(np.arccos(np.clip(abs(normal[2]), -1.0, 1.0)))),
        thickness_mm=float(steps[2]) or None,
    )
    return turned(whole, turn, rows, columns), geometry, turn


def as_stored(place_rc: tuple[float, float], turn: Turn, rows: int, columns: int) -> tuple[float, float]:
    """A place (row, column) of a turned picture [rows, columns] as indices (i, j) of the stored slice."""
    row, column = place_rc
    row = rows - 1 - row if turn.rows_flipped else row
    column = columns - 1 - column if turn.columns_flipped else column
    return (column, row) if turn.transposed else (row, column)


def _unpacked(data: bytes) -> bytes:
    packed = zlib.decompressobj(wbits=31)
    try:
        whole = packed.decompress(data, _MOST_BYTES)
    except zlib.error:
        raise BadPicture("not-a-picture", "its gzip is damaged") from None
    if packed.unconsumed_tail:
        raise BadPicture("too-large", "more than is read once unpacked")
    return whole


def _shape(dims: tuple[int, ...]) -> tuple[int, int, int]:
    axes = dims[0]
    if not 2 <= axes <= 7 or any(size != 1 for size in dims[4 : axes + 1]):
        raise BadPicture("not-a-picture", "no single volume of two or three axes")
    shape = (dims[1], dims[2], dims[3] if axes >= 3 else 1)
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in shape[:2]) or not 1 <= shape[2] <= _MOST_SLICES:
        raise BadPicture("wrong-size", f"{shape[0]} x {shape[1]} x {shape[2]} values")
    if shape[0] * shape[1] * shape[2] > MOST_PIXELS:
        raise BadPicture("too-large", "more pixels than are read")
    return shape


def _affine(data: bytes, order: str) -> NDArray[np.float64]:
    """sform where there is one, else qform; a file with neither names no place, and a pixel of no size."""
    qform, sform = unpack_from(f"{order}2h", data, 252)
    if sform > 0:
        return np.array(unpack_from(f"{order}12f", data, 280), dtype=np.float64).reshape(3, 4)
    if qform <= 0:
        return np.zeros((3, 4))
    side, *sizes = unpack_from(f"{order}4f", data, 76)
    b, c, d, *shift = unpack_from(f"{order}6f", data, 256)
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    scaled = turn * np.array([sizes[0], sizes[1], sizes[2] * (-1.0 if side < 0 else 1.0)])
    return np.column_stack([scaled, shift])


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
