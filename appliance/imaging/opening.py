"""Opens the bytes of a file: preamble, meta group, transfer syntax, deflate. Then the walker proves the data set."""

import zlib
from dataclasses import dataclass, field
from struct import unpack_from
from typing import Final

from appliance.imaging.structure import VALUE_REPRESENTATIONS, Walk, walk
from appliance.imaging.transfer import EXPLICIT_LITTLE, SYNTAXES, Encoding, Syntax

MAX_INFLATED: Final = 64 << 20  # bytes; a CT slice of 2048 x 2048 has 8 MiB

MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"

_META_LENGTH, _META_CLASS, _META_SYNTAX = 0x00020000, 0x00020002, 0x00020010
_DIRECTORY_RECORDS: Final = 0x00041220
_META_VALUE_MAX: Final = 128


@dataclass(slots=True)
class Opened:
    """A file, opened. `body` holds the data set; places in `walk` are places in it.

    `syntax` is None where the named one is unknown; `syntax_uid` is what the file says. A `fault` is a reason code of a
    file that is not whole; what had been read until then is still there.
    """

    body: bytes = b""
    walk: Walk = field(default_factory=lambda: Walk(Encoding()))
    syntax: Syntax | None = None
    syntax_uid: str = ""
    media_directory: bool = False
    corrections: set[str] = field(default_factory=set)
    fault: str = ""


@dataclass(slots=True)
class _Meta:
    end: int
    class_uid: str = ""
    syntax_uid: str = ""
    mended: bool = False
    whole: bool = True


def open_file(data: bytes) -> Opened:
    """Opens one file's bytes. Never raises for bad input; allocates at most MAX_INFLATED."""
    opened = Opened(body=data)
    start = _start(data, opened)
    if start is None:
        return opened
    meta = _read_meta(data, start)
    opened.media_directory = meta.class_uid == MEDIA_DIRECTORY
    opened.syntax_uid = meta.syntax_uid
    if meta.mended:
        opened.corrections.add("header-mended")
    if not meta.whole or (meta.end >= len(data) and start < meta.end):
        opened.fault = "truncated"
        return opened
    _walk_body(data, meta, opened)
    opened.media_directory |= _DIRECTORY_RECORDS in opened.walk.elements
    opened.corrections |= opened.walk.corrections
    opened.fault = opened.fault or opened.walk.fault
    if opened.syntax is None and opened.fault:
        opened.fault = "unsupported-syntax"
    return opened


def _start(data: bytes, opened: Opened) -> int | None:
    """Where the first element lies."""
    if data[128:132] == b"DICM":
        if len(data) == 132:
            opened.fault = "truncated"
            return None
        if _looks_like(data, 132) is not None:
            return 132
        # The magic may be text of a file without preamble.
        if _looks_like(data, 0) is None:
            opened.fault = "truncated" if len(data) < 140 else "broken-structure"
            return None
    elif _looks_like(data, 0) is None:
        opened.fault = "broken-structure"
        return None
    opened.corrections.add("preamble-missing")
    return 0


def _looks_like(data: bytes, at: int) -> Encoding | None:
    """How the element at `at` seems to be written: groups 0002 to 0010 begin every file, a VR says the rest."""
    if at + 8 > len(data):
        return None
    little, big = data[at : at + 2], data[at : at + 2][::-1]
    explicit = data[at + 4 : at + 6] in VALUE_REPRESENTATIONS
    for group, big_endian in ((little, False), (big, True)):
        if group[1] == 0 and 2 <= group[0] <= 0x10 and (explicit or not big_endian):
            return Encoding(implicit=not explicit, big_endian=big_endian)
    return None


def _read_meta(data: bytes, at: int) -> _Meta:
    """The elements of group 0002, whatever its length element says."""
    meta = _Meta(at)
    declared: int | None = None
    first_end = at
    while data[meta.end : meta.end + 2] == b"\2\0" and meta.end + 8 <= len(data):
        here = meta.end
        tag = 0x00020000 | unpack_from("<H", data, here + 2)[0]
        vr = data[here + 4 : here + 6]
        if vr in (b"OB", b"OW", b"UN", b"UT", b"SQ"):
            if here + 12 > len(data):
                meta.whole = False
                return meta
            value, length = here + 12, unpack_from("<I", data, here + 8)[0]
        elif vr in VALUE_REPRESENTATIONS:
            value, length = here + 8, unpack_from("<H", data, here + 6)[0]
        else:
            value, length = here + 8, unpack_from("<I", data, here + 4)[0]
            meta.mended = True
        if value + length > len(data):
            meta.whole = False
            return meta
        text = data[value : value + min(length, _META_VALUE_MAX)]
        meta.end = value + length
        if tag == _META_LENGTH and length == 4:
            declared, first_end = unpack_from("<I", text)[0], meta.end
        elif tag == _META_CLASS:
            meta.class_uid = _uid(text)
        elif tag == _META_SYNTAX:
            meta.syntax_uid = _uid(text)
    if meta.end > at:
        meta.mended |= declared is None or first_end + declared != meta.end or not meta.class_uid
    return meta


def _uid(value: bytes) -> str:
    """The digits and dots of a UID: what else stands there is no part of one, and may stand in no message."""
    return "".join(character for character in value.decode("latin-1") if character in "0123456789.")


def _walk_body(data: bytes, meta: _Meta, opened: Opened) -> None:
    syntax = SYNTAXES.get(meta.syntax_uid)
    opened.syntax = syntax
    if syntax is not None and syntax.deflated:
        opened.body = _inflate(data, meta.end, opened)
        opened.walk = walk(opened.body, 0, syntax.encoding)
        return
    encoding = (syntax or EXPLICIT_LITTLE).encoding
    seen = _looks_like(data, meta.end)
    if not meta.syntax_uid:
        opened.corrections.add("syntax-guessed")
        encoding = seen or encoding
        opened.syntax = _plain(encoding)
    elif seen is not None and seen != encoding:
        opened.corrections.add("syntax-guessed")
        encoding = seen
        if syntax is not None and not syntax.encapsulated:
            opened.syntax = _plain(encoding)
    opened.walk = walk(data, meta.end, encoding)


def _plain(encoding: Encoding) -> Syntax:
    """The uncompressed syntax of an encoding."""
    return next(
        row for row in SYNTAXES.values() if row.encoding == encoding and not row.encapsulated and not row.deflated
    )


def _inflate(data: bytes, at: int, opened: Opened) -> bytes:
    """The inflated data set, or as much of it as there is with a fault beside it."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(memoryview(data)[at:], MAX_INFLATED)
    except zlib.error:
        opened.fault = "decode-failed"
        return b""
    if not unpacker.eof:
        opened.fault = "bomb" if unpacker.unconsumed_tail or len(body) >= MAX_INFLATED else "truncated"
    return body
