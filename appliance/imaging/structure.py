"""Proves that a DICOM data set is whole, without believing one number in it.

Walks the bytes element by element (PS3.5 chapter 7 and annex A) with an explicit stack, so that no nesting can reach
Python's own, and allocates nothing by a declared length. What it hands on are places in the bytes.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from appliance.imaging.transfer import Encoding

PIXEL_DATA: Final = 0x7FE00010
FLOAT_PIXELS: Final = (0x7FE00008, 0x7FE00009)

MAX_ELEMENTS: Final = 20_000
MAX_ITEMS: Final = 10_000
MAX_FRAGMENTS: Final = 10_000
# The walker does not recurse and no other parser sees the sequences, so depth costs nothing here; reports are deep.
MAX_DEPTH: Final = 64

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF

_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT: Final = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"),
        *(b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
VALUE_REPRESENTATIONS: Final = _LONG | _SHORT

_LITTLE_TAG, _BIG_TAG = Struct("<HH"), Struct(">HH")
_LITTLE_16, _BIG_16 = Struct("<H"), Struct(">H")
_LITTLE_32, _BIG_32 = Struct("<I"), Struct(">I")


@dataclass(frozen=True, slots=True)
class Element:
    """Where a value of the root data set lies. `vr` is empty where the file does not say it."""

    vr: bytes
    at: int
    length: int


@dataclass(slots=True)
class Walk:
    """What the walker found. With a `fault`, what had been found until then: never proof of anything but a name.

    `elements` are those of the root data set, the first of each tag. `fragments` are (at, length) of encapsulated
    pixels, the offset table apart. `corrections` are codes of `core.reasons`.
    """

    encoding: Encoding
    elements: dict[int, Element] = field(default_factory=dict)
    encapsulated: bool = False
    offset_table: tuple[int, int] = (0, 0)
    fragments: list[tuple[int, int]] = field(default_factory=list)
    corrections: set[str] = field(default_factory=set)
    fault: str = ""


class _Fault(Exception):
    """The walk ends here, with this reason."""


@dataclass(slots=True)
class _Level:
    """An open sequence or item. `end` is None while its length is undefined; `limit` is the tightest known end."""

    sequence: bool
    end: int | None
    limit: int
    implicit: bool


def walk(data: bytes, at: int, encoding: Encoding) -> Walk:
    """Walks the data set that begins at `at` and runs to the end of `data`. Never raises for bad input."""
    found = Walk(encoding)
    try:
        _Walker(data, encoding, found).run(at)
    except _Fault as fault:
        found.fault = str(fault)
    return found


class _Walker:
    def __init__(self, data: bytes, encoding: Encoding, found: Walk) -> None:
        self.data = data
        self.size = len(data)
        self.found = found
        self.tag_of = (_BIG_TAG if encoding.big_endian else _LITTLE_TAG).unpack_from
        self.u16 = (_BIG_16 if encoding.big_endian else _LITTLE_16).unpack_from
        self.u32 = (_BIG_32 if encoding.big_endian else _LITTLE_32).unpack_from
        self.elements = 0
        self.items = 0
        self.last_tag = -1

    def run(self, at: int) -> None:
        levels = [_Level(False, None, self.size, self.found.encoding.implicit)]
        while True:
            top = levels[-1]
            if top.end is not None and at >= top.end:
                if at > top.end:
                    raise _Fault("broken-structure")
                levels.pop()
                continue
            if at >= self.size:
                if len(levels) > 1:
                    raise _Fault("truncated")
                return
            if at + 8 > top.limit:
                if self.past_pixels(levels):
                    return
                raise _Fault("truncated" if top.limit == self.size else "broken-structure")
            at = self.item(at, levels) if top.sequence else self.element(at, levels)
            if at < 0:
                return

    def past_pixels(self, levels: list[_Level]) -> bool:
        """What lies behind a whole picture and is no element is left out."""
        if len(levels) == 1 and PIXEL_DATA in self.found.elements:
            self.found.corrections.add("pixels-trimmed")
            return True
        return False

    def item(self, at: int, levels: list[_Level]) -> int:
        """One item of the open sequence, or its end."""
        top = levels[-1]
        group, number = self.tag_of(self.data, at)
        tag = group << 16 | number
        (length,) = self.u32(self.data, at + 4)
        if tag == _SEQUENCE_END and top.end is None:
            levels.pop()
            return at + 8
        if tag != _ITEM:
            raise _Fault("broken-structure")
        self.items += 1
        if self.items > MAX_ITEMS:
            raise _Fault("too-large")
        at += 8
        end = None if length == _UNDEFINED else at + length
        self.check_end(end, top.limit)
        implicit = top.implicit or not self.explicit_here(at, end)
        if implicit != top.implicit:
            self.found.corrections.add("header-mended")
        levels.append(_Level(False, end, end if end is not None else top.limit, implicit))
        return at

    def explicit_here(self, at: int, end: int | None) -> bool:
        """Whether the first element of an explicit item says its VR: some writers forget it inside sequences."""
        if at + 8 > (self.size if end is None else end):
            return True
        group, _ = self.tag_of(self.data, at)
        return group == 0xFFFE or self.data[at + 4 : at + 6].isalpha()

    def check_end(self, end: int | None, limit: int) -> None:
        if end is None or end <= limit:
            return
        raise _Fault("truncated" if end > self.size else "broken-structure")

    def element(self, at: int, levels: list[_Level]) -> int:
        """One element. The answer is where the next begins, or -1 where the rest is left out."""
        top, root = levels[-1], len(levels) == 1
        data = self.data
        group, number = self.tag_of(data, at)
        tag = group << 16 | number
        if tag == _ITEM_END and not root and top.end is None:
            levels.pop()
            return at + 8
        if group == 0xFFFE:
            if self.past_pixels(levels):
                return -1
            raise _Fault("broken-structure")
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise _Fault("too-large")
        head = self.head(at, top)
        if head is None:
            if self.past_pixels(levels):
                return -1
            raise _Fault("truncated" if at + 12 > self.size else "broken-structure")
        vr, value_at, length = head
        again = root and self.note(tag)
        if length == _UNDEFINED:
            return self.undefined(tag, vr, value_at, levels, keep=root and not again)
        end = value_at + length
        if end > top.limit:
            # Behind a whole picture only an element in its place can be a part that is still missing.
            if tag < PIXEL_DATA and self.past_pixels(levels):
                return -1
            self.check_end(end, top.limit)
        if length & 1:
            self.found.corrections.add("header-mended")
        if root and not again:
            self.found.elements[tag] = Element(vr, value_at, length)
        if vr == b"SQ":
            self.open_sequence(levels, end, top.implicit)
            return value_at
        return end

    def head(self, at: int, top: _Level) -> tuple[bytes, int, int] | None:
        """VR, place and length of the value; None if no element can be read here."""
        data = self.data
        if top.implicit:
            return b"", at + 8, self.u32(data, at + 4)[0]
        vr = data[at + 4 : at + 6]
        if vr in _SHORT:
            return vr, at + 8, self.u16(data, at + 6)[0]
        long = vr in _LONG
        if not long:
            if not (vr.isalpha() and vr.isupper()):
                return None
            # A VR that nobody knows. The standard gives new ones the long form; whether it is one, its zeros say.
            self.found.corrections.add("header-mended")
            long = data[at + 6 : at + 8] == b"\0\0"
            vr = b""
        if not long:
            return vr, at + 8, self.u16(data, at + 6)[0]
        if at + 12 > top.limit:
            return None
        return vr, at + 12, self.u32(data, at + 8)[0]

    def note(self, tag: int) -> bool:
        """Whether an element of the root was there before. Order and repeats against the rules are marked."""
        again = tag in self.found.elements
        if again or tag < self.last_tag:
            self.found.corrections.add("header-mended")
        self.last_tag = max(tag, self.last_tag)
        return again

    def undefined(self, tag: int, vr: bytes, at: int, levels: list[_Level], *, keep: bool) -> int:
        """A value of undefined length: fragments, or a sequence."""
        if vr in (b"OB", b"OW") or tag == PIXEL_DATA:
            kept = self.found if keep and tag == PIXEL_DATA else None
            after = self.skip_fragments(at, levels[-1].limit, kept)
            if kept is not None:
                kept.encapsulated = True
                kept.elements[tag] = Element(vr, at, after - at)
            return after
        if vr not in (b"SQ", b"UN", b""):
            raise _Fault("broken-structure")
        if keep:
            self.found.elements[tag] = Element(b"SQ", at, 0)
        # PS3.5 6.2.2: what an unknown sequence holds is written implicitly.
        self.open_sequence(levels, None, levels[-1].implicit or vr == b"UN")
        return at

    def open_sequence(self, levels: list[_Level], end: int | None, implicit: bool) -> None:
        if len(levels) // 2 >= MAX_DEPTH:
            raise _Fault("too-deep")
        limit = levels[-1].limit if end is None else end
        levels.append(_Level(True, end, limit, implicit))

    def skip_fragments(self, at: int, limit: int, kept: Walk | None) -> int:
        """Items of encapsulated pixels up to their closing delimiter."""
        count = 0
        while True:
            if at + 8 > limit:
                raise _Fault("truncated")
            group, number = self.tag_of(self.data, at)
            tag = group << 16 | number
            (length,) = self.u32(self.data, at + 4)
            if tag == _SEQUENCE_END:
                return at + 8
            if tag != _ITEM or length == _UNDEFINED:
                raise _Fault("broken-structure")
            at += 8
            if at + length > limit:
                raise _Fault("truncated")
            if kept is not None:
                if count == 0:
                    kept.offset_table = (at, length)
                else:
                    kept.fragments.append((at, length))
            count += 1
            if count > MAX_FRAGMENTS:
                raise _Fault("too-large")
            at += length
