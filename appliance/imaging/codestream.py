"""The frame headers of compressed pictures: what a code stream says of itself before anybody unpacks it.

A kilobyte of JPEG can ask for gigabytes, so size, precision and components are held against the DICOM header first.
Sources: ITU-T T.81 annex B (JPEG), T.87 annex C (JPEG-LS), T.800 annex A (JPEG 2000).
"""

from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from
from typing import Final

_START_OF_IMAGE: Final = b"\xff\xd8"
_J2K_START: Final = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  \r\n\x87\n"

_FRAMES: Final = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_START_OF_SCAN: Final = 0xDA
_CODING_STYLE: Final = 0x52
_END: Final = b"\xff\xd9"  # of JPEG and of JPEG 2000 alike

LOSSLESS_FRAME: Final = 0xC3
JPEG_LS_FRAME: Final = 0xF7


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a code stream says of its picture. `kind` is the JPEG frame marker, 0 for JPEG 2000."""

    rows: int
    columns: int
    precision: int
    components: int
    signed: bool = False
    kind: int = 0


def jpeg_frame(stream: bytes) -> Frame | None:
    """The frame header of JPEG or JPEG-LS; None where there is none before the first scan."""
    if not stream.startswith(_START_OF_IMAGE):
        return None
    at = 2
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        if marker == _START_OF_SCAN:
            return None
        if marker in _FRAMES:
            if at + 10 > len(stream):
                return None
            precision, rows, columns, components = unpack_from(">BHHB", stream, at + 4)
            return Frame(rows=rows, columns=columns, precision=precision, components=components, kind=marker)
        (length,) = unpack_from(">H", stream, at + 2)
        at += 2 + max(length, 2)
    return None


def jpeg_2000_frame(stream: bytes) -> Frame | None:
    """The SIZ marker of a code stream; None where it is missing or impossible."""
    if not stream.startswith(_J2K_START):
        return None
    try:
        right, bottom, left, top = unpack_from(">IIII", stream, 8)
        (components,) = unpack_from(">H", stream, 40)
        depth, step_x, step_y = unpack_from(">BBB", stream, 42)
    except StructError:
        return None
    if right <= left or bottom <= top or (step_x, step_y) != (1, 1):
        return None
    return Frame(
        rows=bottom - top,
        columns=right - left,
        precision=(depth & 0x7F) + 1,
        components=components,
        signed=bool(depth & 0x80),
    )


def without_jp2_boxes(stream: bytes) -> bytes:
    """The bare code stream of a JP2 file, which PS3.5 does not allow here and some writers send."""
    if not stream.startswith(_JP2_SIGNATURE):
        return stream
    at = 0
    while at + 8 <= len(stream):
        length, kind = unpack_from(">I4s", stream, at)
        if kind == b"jp2c":
            return stream[at + 8 :]
        if length < 8:
            break
        at += length
    return b""


def closed(stream: bytes) -> bool:
    """Whether a code stream ends with its end marker, padding apart. One that does not is torn."""
    return _END in stream.rstrip(b"\0")[-4:]


def is_irreversible(stream: bytes) -> bool:
    """Whether JPEG 2000 used its lossy wavelet: the COD marker says so, whatever the header says."""
    at = 2
    while at + 14 <= len(stream) and stream[at] == 0xFF and stream[at + 1] not in (0x90, 0x93):
        if stream[at + 1] == _CODING_STYLE:
            return stream[at + 13] == 0
        at += 2 + max(unpack_from(">H", stream, at + 2)[0], 2)
    return False
