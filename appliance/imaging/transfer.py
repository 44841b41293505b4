"""Transfer syntaxes: how a file is packed. A row for each one that the walker can walk and the decoders know."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Codec(StrEnum):
    """Who unpacks the pixels."""

    NONE = "none"
    RLE = "rle"
    JPEG_DCT = "jpeg"  # 8 or 12 bit, lossy
    JPEG_LOSSLESS = "jpeg-lossless"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg-2000"
    HTJ2K = "htj2k"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the elements of a data set are written."""

    implicit: bool = False
    big_endian: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """One transfer syntax of PS3.5 chapter 10 and annex A."""

    uid: str
    encoding: Encoding = Encoding()
    deflated: bool = False
    codec: Codec = Codec.NONE
    lossy: bool = False  # every file in it has lost something; others may have, see (0028,2110)

    @property
    def encapsulated(self) -> bool:
        """Whether the pixels lie in fragments."""
        return self.codec is not Codec.NONE


_BASE: Final = "1.2.840.10008.1.2"

EXPLICIT_LITTLE: Final = Syntax(uid=f"{_BASE}.1")

SYNTAXES: Final = {
    row.uid: row
    for row in (
        Syntax(uid=_BASE, encoding=Encoding(implicit=True)),
        EXPLICIT_LITTLE,
        Syntax(uid=f"{_BASE}.1.99", deflated=True),
        Syntax(uid=f"{_BASE}.2", encoding=Encoding(big_endian=True)),
        Syntax(uid=f"{_BASE}.5", codec=Codec.RLE),
        Syntax(uid=f"{_BASE}.4.50", codec=Codec.JPEG_DCT, lossy=True),
        Syntax(uid=f"{_BASE}.4.51", codec=Codec.JPEG_DCT, lossy=True),
        Syntax(uid=f"{_BASE}.4.53", codec=Codec.JPEG_DCT, lossy=True),  # retired, progressive
        Syntax(uid=f"{_BASE}.4.55", codec=Codec.JPEG_DCT, lossy=True),  # retired, progressive
        Syntax(uid=f"{_BASE}.4.57", codec=Codec.JPEG_LOSSLESS),
        Syntax(uid=f"{_BASE}.4.70", codec=Codec.JPEG_LOSSLESS),
        Syntax(uid=f"{_BASE}.4.80", codec=Codec.JPEG_LS),
        Syntax(uid=f"{_BASE}.4.81", codec=Codec.JPEG_LS, lossy=True),
        Syntax(uid=f"{_BASE}.4.90", codec=Codec.JPEG_2000),
        Syntax(uid=f"{_BASE}.4.91", codec=Codec.JPEG_2000),
        Syntax(uid=f"{_BASE}.4.201", codec=Codec.HTJ2K),
        Syntax(uid=f"{_BASE}.4.202", codec=Codec.HTJ2K),
        Syntax(uid=f"{_BASE}.4.203", codec=Codec.HTJ2K),
    )
}
