"""Grey pictures that are no DICOM: PNG, JPEG and NumPy files, for whoever owns labelled pictures. Size before pixels."""

import io
from pathlib import Path
from struct import unpack_from
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from appliance.imaging.codestream import jpeg_frame

MOST_BYTES: Final = 1 << 30  # of a file; a whole volume may be one
MOST_PIXELS: Final = 1 << 27  # unpacked: 512 slices of 512 x 512
LEAST_SIDE: Final = 16
MOST_SIDE: Final = 4096

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_NPY: Final = b"\x93NUMPY"


class BadPicture(Exception):
    """A file that is no picture that can be read. `reason` is a word, the text says what is wrong."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(f"{reason}: {said}")
        self.reason = reason


def read_limited(path: Path) -> bytes:
    """The bytes of a file. BadPicture where it cannot be read."""
    try:
        if not path.is_file():
            raise BadPicture("not-found", "there is no such file")
        if path.stat().st_size > MOST_BYTES:
            raise BadPicture("too-large", f"more than {MOST_BYTES >> 20} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadPicture("not-readable", getattr(error, "strerror", None) or "a name that no file can have") from None


def is_plain_picture(data: bytes) -> bool:
    """Whether the first bytes say PNG, JPEG or NumPy."""
    return data.startswith((_PNG, _JPEG, _NPY))


def read_plain_picture(data: bytes) -> NDArray[Any]:
    """Values as stored, [rows, columns]; [rows, columns, slices] only of a NumPy file. BadPicture for anything else.

    Grey is uint8 or uint16; colour becomes the mean of red, green and blue, and what is transparent is not asked for.
    """
    if data.startswith(_NPY):
        return _numpy(data)
    if data.startswith(_PNG):
        _check_size(*_png_size(data))
        return _grey(_decoded(imagecodecs.png_decode, data))
    if data.startswith(_JPEG):
        frame = jpeg_frame(data)
        if frame is None:
            raise BadPicture("not-a-picture", "a JPEG file without a frame")
        _check_size(frame.rows, frame.columns)
        return _grey(_decoded(imagecodecs.jpeg8_decode, data))
    raise BadPicture("not-a-picture", "neither PNG, JPEG, NumPy, NIfTI nor DICOM")


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise BadPicture("not-a-picture", "a PNG file without its head")
    columns, rows = unpack_from(">II", data, 16)
    return int(rows), int(columns)


def _check_size(rows: int, columns: int) -> None:
    if not (LEAST_SIDE <= rows <= MOST_SIDE and LEAST_SIDE <= columns <= MOST_SIDE):
        raise BadPicture("wrong-size", f"{rows} x {columns} pixels; {LEAST_SIDE} to {MOST_SIDE} a side are read")


def _decoded(decode: Any, data: bytes) -> NDArray[Any]:
    try:
        values = decode(data)
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError):
        raise BadPicture("not-a-picture", "it cannot be unpacked: cut, or damaged") from None
    return np.asarray(values)


def _grey(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype not in (np.uint8, np.uint16):
        raise BadPicture("not-a-picture", f"values of {values.dtype}")
    if values.ndim == 2:
        return values
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4):
        raise BadPicture("not-a-picture", f"{values.ndim} axes")
    colours = values[..., : 1 if values.shape[2] < 3 else 3]
    return np.asarray(np.rint(colours.mean(axis=2)), dtype=values.dtype)


def _numpy(data: bytes) -> NDArray[Any]:
    """Never an object: its loading would run code."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        head = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = head(stream)
    except (ValueError, OSError, EOFError) as error:
        raise BadPicture("not-a-picture", f"no head of a NumPy file ({type(error).__name__})") from None
    if dtype.kind not in "uifb" or dtype.hasobject or not 2 <= len(shape) <= 3:
        raise BadPicture("not-a-picture", f"{len(shape)} axes of {dtype}; two or three axes of numbers are read")
    _check_size(*shape[:2])
    if int(np.prod(shape, dtype=np.int64)) > MOST_PIXELS:
        raise BadPicture("too-large", "more pixels than are read")
    try:
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, OSError, EOFError):
        raise BadPicture("not-a-picture", "it is shorter than it says") from None
