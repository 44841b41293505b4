"""The same slice packed in each transfer syntax that an encoder is at hand for. Every packing here loses nothing."""

from collections.abc import Callable
from io import BytesIO
from struct import pack
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Cells = NDArray[np.uint16]
_RLE_HEADER: Final = "<16I"


def _rle(cells: Cells) -> bytes:
    """RLE of PS3.5 annex G: high bytes, then low bytes, each row for itself; runs of two and more are counted."""
    planes = [
        b"".join(_packed_bits(line.tobytes()) for line in plane)
        for plane in ((cells >> 8).astype(np.uint8), (cells & 0xFF).astype(np.uint8))
    ]
    planes = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    return pack(_RLE_HEADER, 2, 64, 64 + len(planes[0]), *[0] * 13) + b"".join(planes)


def _packed_bits(line: bytes) -> bytes:
    return bytes(imagecodecs.packbits_encode(line))


_STREAMS: Final[dict[str, tuple[str, Callable[[Cells], bytes]]]] = {
    str(RLELossless): ("RLE", _rle),
    str(JPEGLosslessSV1): ("JPEG lossless", lambda cells: bytes(imagecodecs.ljpeg_encode(cells, bitspersample=16))),
    str(JPEGLSLossless): ("JPEG-LS", lambda cells: bytes(imagecodecs.jpegls_encode(cells))),
    str(JPEG2000Lossless): (
        "JPEG 2000",
        lambda cells: bytes(imagecodecs.jpeg2k_encode(cells, level=0, codecformat="j2k", reversible=True)),
    ),
}
_PLAIN: Final = {
    str(ExplicitVRLittleEndian): "uncompressed",
    str(ImplicitVRLittleEndian): "uncompressed, implicit",
    str(DeflatedExplicitVRLittleEndian): "deflated",
}


def packings(data: bytes) -> dict[str, tuple[str, bytes]]:
    """A DICOM file of 16-bit cells anew in each syntax: by UID, what people call it and the bytes."""
    found: dict[str, tuple[str, bytes]] = {}
    for uid, said in _PLAIN.items():
        ds = dcmread(BytesIO(data))
        ds.file_meta.TransferSyntaxUID = UID(uid)
        found[uid] = (said, _bytes(ds, implicit=uid == str(ImplicitVRLittleEndian)))
    for uid, (said, encode) in _STREAMS.items():
        ds = dcmread(BytesIO(data))
        cells = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
        ds.BitsStored, ds.HighBit = 16, 15
        ds.file_meta.TransferSyntaxUID = UID(uid)
        ds.PixelData = encapsulate([encode(cells)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        found[uid] = (said, _bytes(ds))
    return found


def _bytes(ds: Any, *, implicit: bool = False) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
