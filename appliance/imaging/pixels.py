"""The picture's cells, unpacked: uint16 [rows, columns] as they were stored, before any meaning.

Uncompressed pixels are taken as they lie. Compressed ones are unpacked only after their own header was held against the
DICOM header; one decoder serves each codec, and its answer is checked.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from appliance.core.errors import Refusal
from appliance.core.words import FileVerdict
from appliance.imaging.codestream import (
    JPEG_LS_FRAME,
    LOSSLESS_FRAME,
    Frame,
    closed,
    is_irreversible,
    jpeg_2000_frame,
    jpeg_frame,
    without_jp2_boxes,
)
from appliance.imaging.fields import Fields
from appliance.imaging.picture import PictureSpec
from appliance.imaging.structure import PIXEL_DATA, Walk
from appliance.imaging.transfer import Codec, Syntax

Cells = NDArray[np.uint16]

_SET_ASIDE: Final = FileVerdict.SET_ASIDE
_RLE_WORST: Final = 1.1  # coded bytes for one raw byte: PS3.5 annex G never needs more than 129 for 128
_JPEG_STARTS: Final = (b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP")


def cells_of(fields: Fields, spec: PictureSpec, syntax: Syntax) -> Cells:
    """The cells of a picture whose form was proven by `picture_spec`. Marks go to `fields.corrections`.

    Refusal with `codec-mismatch`, `decode-failed`, `bomb`, `broken-structure` or `no-pixels`.
    """
    walk = fields.walk
    if syntax.encapsulated and not walk.encapsulated:
        return _native_after_all(fields, spec)
    if not syntax.encapsulated:
        if walk.encapsulated:
            raise Refusal(_SET_ASIDE, "broken-structure")
        return _native(fields, spec)
    stream = _stream(fields.body, walk)
    if syntax.codec is Codec.RLE:
        return _rle(stream, spec)
    return _by_codec(stream, spec, syntax.codec, fields)


def _native(fields: Fields, spec: PictureSpec) -> Cells:
    pixels = fields.walk.elements[PIXEL_DATA]
    order = ">u2" if fields.walk.encoding.big_endian else "<u2"
    cells = np.frombuffer(fields.body, order, spec.rows * spec.columns, pixels.at)
    return cells.reshape(spec.rows, spec.columns).astype(np.uint16, copy=False)


def _native_after_all(fields: Fields, spec: PictureSpec) -> Cells:
    """A compressed syntax over pixels that lie there plain: exactly as many bytes as the picture needs."""
    pixels = fields.walk.elements[PIXEL_DATA]
    if pixels.length != spec.byte_count or fields.body[pixels.at : pixels.at + 6].startswith(_JPEG_STARTS):
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    fields.corrections.add("syntax-guessed")
    return _native(fields, spec)


def _stream(body: bytes, walk: Walk) -> bytes:
    """All fragments of the one frame, joined. An offset table that points elsewhere is a broken file."""
    at, length = walk.offset_table
    starts, place = {0}, 0
    for _, size in walk.fragments:
        place += size + 8
        starts.add(place)
    offsets = [int.from_bytes(body[here : here + 4], "little") for here in range(at, at + length - 3, 4)]
    if any(offset not in starts for offset in offsets):
        raise Refusal(_SET_ASIDE, "broken-structure")
    return b"".join(body[here : here + size] for here, size in walk.fragments)


def _rle(stream: bytes, spec: PictureSpec) -> Cells:
    if len(stream) < 64 or len(stream) > _RLE_WORST * spec.byte_count + 1024:
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    segments = [int.from_bytes(stream[at : at + 4], "little") for at in range(0, 64, 4)]
    count, offsets = segments[0], segments[1:3]
    if count != 2 or not 64 <= offsets[0] < offsets[1] < len(stream):
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    options: dict[str, Any] = {
        "decoding_plugin": "pydicom",
        "rows": spec.rows,
        "columns": spec.columns,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": 16,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    try:
        cells, _ = get_decoder(RLELossless).as_array(encapsulate([stream]), raw=True, **options)
    except MemoryError as error:
        raise Refusal(_SET_ASIDE, "bomb") from error
    except (ValueError, RuntimeError, AttributeError, TypeError, IndexError, NotImplementedError) as error:
        raise Refusal(_SET_ASIDE, "decode-failed") from error
    return _checked(cells, spec).astype(np.uint16, copy=False)


def _lossless_jpeg(stream: bytes) -> Any:
    """Two decoders that must agree.

    Neither refuses a stream that was cut and closed again, but each makes up the missing part in its own way.
    """
    cells = imagecodecs.jpegsof3_decode(stream)
    if not np.array_equal(cells, imagecodecs.jpeg8_decode(stream)):
        raise ValueError("two decoders disagree")
    return cells


# A faster decoder of HTJ2K (htj2k) gives a torn picture for a stream that is cut; this one refuses it.
class _Road(NamedTuple):
    """How one codec's streams are read: their frame header and the decoder."""

    frame: Callable[[bytes], Frame | None]
    decode: Callable[[bytes], Any]


_ROADS: Final = {
    Codec.JPEG_DCT: _Road(jpeg_frame, imagecodecs.jpeg8_decode),
    Codec.JPEG_LOSSLESS: _Road(jpeg_frame, _lossless_jpeg),
    Codec.JPEG_LS: _Road(jpeg_frame, imagecodecs.jpegls_decode),
    Codec.JPEG_2000: _Road(jpeg_2000_frame, imagecodecs.jpeg2k_decode),
    Codec.HTJ2K: _Road(jpeg_2000_frame, imagecodecs.jpeg2k_decode),
}


def _fits_codec(frame: Frame, codec: Codec) -> bool:
    if codec is Codec.JPEG_LOSSLESS:
        return frame.kind == LOSSLESS_FRAME
    if codec is Codec.JPEG_LS:
        return frame.kind == JPEG_LS_FRAME
    if codec is Codec.JPEG_DCT:
        return frame.kind in (0xC0, 0xC1, 0xC2)
    return True


def _by_codec(stream: bytes, spec: PictureSpec, codec: Codec, fields: Fields) -> Cells:
    road = _ROADS[codec]
    bare = without_jp2_boxes(stream)
    if bare is not stream:
        fields.corrections.add("header-mended")
    frame = road.frame(bare)
    if frame is None or not _fits_codec(frame, codec):
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    if (frame.rows, frame.columns, frame.components) != (spec.rows, spec.columns, 1):
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    if frame.precision > 16 or (spec.signed and not frame.signed and frame.precision < spec.bits_stored):
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    if not closed(bare):
        raise Refusal(_SET_ASIDE, "decode-failed")
    try:
        cells = road.decode(bare)
    except MemoryError as error:
        raise Refusal(_SET_ASIDE, "bomb") from error
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise Refusal(_SET_ASIDE, "decode-failed") from error
    if codec in (Codec.JPEG_2000, Codec.HTJ2K) and is_irreversible(bare):
        fields.corrections.add("lossy")
    return _meant(_checked(cells, spec), frame, spec, fields)


def _checked(cells: Any, spec: PictureSpec) -> NDArray[Any]:
    """What a decoder gave, if it is the picture that was asked for."""
    if not isinstance(cells, np.ndarray) or cells.shape != (spec.rows, spec.columns) or cells.dtype.kind not in "ui":
        raise Refusal(_SET_ASIDE, "decode-failed")
    if cells.dtype.itemsize > 2:
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    return cells


def _meant(cells: NDArray[Any], frame: Frame, spec: PictureSpec, fields: Fields) -> Cells:
    """Cells with the sign that the DICOM header means.

    JPEG 2000 carries a sign of its own. An unsigned stream under a signed header holds the same bits, so the header is
    followed; a signed stream under an unsigned header has lost nobody knows what.
    """
    if frame.signed and not spec.signed:
        raise Refusal(_SET_ASIDE, "codec-mismatch")
    if frame.kind == 0 and spec.signed and not frame.signed:
        fields.corrections.add("sign-corrected")
    wide = cells.astype(np.int16) if cells.dtype.kind == "i" else cells.astype(np.uint16)
    return np.ascontiguousarray(wide).view(np.uint16)
